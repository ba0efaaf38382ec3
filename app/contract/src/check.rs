//! Checks a draft as a whole; returns every problem, so that a form can show them all.

use crate::code::Code;
use crate::dataset::{mixing_weights, source_prefixes};
use crate::ids::{DatasetId, ModelId};
use crate::label;
use crate::params::{Hyper, holds_out};
use crate::problem::Problem;
use crate::spec::{CheckpointKey, Draft};
use crate::stage::{Stage, Tuning};
use crate::templates;

/// A draft whose own words are valid. Whether dataset and model exist is for the server to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Label; empty where one is to be made.
    pub name: String,
    /// Dataset.
    pub dataset: DatasetId,
    /// Further datasets, in order.
    pub more_datasets: Vec<DatasetId>,
    /// Model.
    pub model: ModelId,
    /// Template key.
    pub template: String,
    /// System text.
    pub system: String,
    /// Stage.
    pub stage: Stage,
    /// Tuning method.
    pub tuning: Tuning,
    /// Hyperparameters.
    pub hyper: Hyper,
    /// Checkpoints to start from, in merge order.
    pub adapters: Vec<CheckpointKey>,
    /// The reward model of a ppo run.
    pub reward_model: Option<CheckpointKey>,
}

/// Checks a draft.
pub fn check(draft: &Draft) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    let name = label::optional(&draft.name).unwrap_or_else(|problem| {
        problems.push(problem);
        String::new()
    });
    let mut need = |found: bool, key: &str, code: Code, message: &str| {
        if !found {
            problems.push(Problem::new(code, message).field(key));
        }
    };
    let dataset = DatasetId::parse(&draft.dataset);
    let more_datasets = more_datasets(draft);
    let model = ModelId::parse(&draft.model);
    let stage = Stage::parse(&draft.stage).filter(|stage| Stage::OFFERED.contains(stage));
    let tuning = Tuning::parse(&draft.tuning);
    need(dataset.is_some(), "dataset", Code::FormMissing, "Choose a dataset.");
    need(
        more_datasets.is_some(),
        "more_datasets",
        Code::FormUnknownChoice,
        "Every dataset may be chosen once, and must be one of yours.",
    );
    need(model.is_some(), "model", Code::FormMissing, "Choose a model.");
    need(
        stage.is_some(),
        "stage",
        Code::FormUnknownChoice,
        "Choose what to do: pre-train (pt), fine-tune (sft), a reward model (rm), ppo or dpo.",
    );
    need(
        tuning.is_some(),
        "tuning",
        Code::FormUnknownChoice,
        "Choose what learns: an adapter (lora), every weight (full), some blocks (freeze), or nothing (none).",
    );
    let known = templates::is_known(&draft.template);
    need(known, "template", Code::FormUnknownChoice, &format!("Template {} does not exist.", draft.template));
    let hyper = match (stage, tuning) {
        (Some(stage), Some(tuning)) => {
            Hyper::read(&draft.values, stage, tuning).map_err(|more| problems.extend(more)).ok()
        }
        _ => None,
    };
    let adapters = CheckpointKey::parse_list(&draft.adapters).unwrap_or_else(|typed| {
        problems.push(unreadable_checkpoint("adapters", &typed));
        Vec::new()
    });
    let reward = Some(draft.reward_model.trim()).filter(|typed| !typed.is_empty());
    let reward_model = reward.and_then(CheckpointKey::parse);
    if let (Some(typed), None) = (reward, &reward_model) {
        problems.push(unreadable_checkpoint("reward_model", typed));
    }
    if let (Some(stage), Some(tuning)) = (stage, tuning) {
        problems.extend(fits_stage(stage, tuning, adapters.len(), reward.is_some()));
    }
    if let Some(hyper) = &hyper {
        problems.extend(cross_field(hyper, stage, tuning));
        problems.extend(tuning.and_then(|tuning| quantised_base(hyper, tuning, adapters.len())));
        let datasets = 1 + more_datasets.as_ref().map_or(0, Vec::len);
        problems.extend(source_prefixes(&hyper.source_prefix, datasets).err());
        problems.extend(mixing_weights(&hyper.mixing_weights, datasets).err());
    }
    match (dataset, model, stage, tuning, hyper) {
        (Some(dataset), Some(model), Some(stage), Some(tuning), Some(hyper)) if problems.is_empty() => {
            Ok(Checked {
                name,
                dataset,
                more_datasets: more_datasets.unwrap_or_default(),
                model,
                template: draft.template.clone(),
                system: draft.system.trim().to_owned(),
                stage,
                tuning,
                hyper,
                adapters,
                reward_model,
            })
        }
        _ => Err(problems),
    }
}

/// The further datasets of a draft; `None` when one is no id, or stands there twice.
fn more_datasets(draft: &Draft) -> Option<Vec<DatasetId>> {
    let typed = draft.more_datasets.split(',').map(str::trim).filter(|one| !one.is_empty());
    let mut all: Vec<DatasetId> = Vec::new();
    for one in typed {
        let id = DatasetId::parse(one)?;
        if one == draft.dataset || all.contains(&id) {
            return None;
        }
        all.push(id);
    }
    Some(all)
}

fn unreadable_checkpoint(key: &str, typed: &str) -> Problem {
    Problem::new(Code::FormUnknownChoice, format!("\"{typed}\" names no checkpoint.")).field(key)
}

/// Rules between stage, tuning method and checkpoints (S-057, S-091, S-105).
fn fits_stage(stage: Stage, tuning: Tuning, adapters: usize, reward_model: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if stage == Stage::Ppo && !tuning.learns() {
        problems.push(
            Problem::new(Code::FormNothingToMeasure, "The stage ppo only trains; it has nothing to measure.")
                .field("stage")
                .hint("Measure the answers (sft), or how the reward model judges pairs (rm)."),
        );
    }
    if stage.wants_lora() && !tuning.keeps_base() {
        problems.push(
            Problem::new(Code::FormLoraOnly, format!("The stage {} trains an adapter only.", stage.key()))
                .field("tuning")
                .hint("Choose an adapter (lora): the model it is compared with is the same one without the adapter."),
        );
    }
    if !tuning.learns() && matches!(stage, Stage::Rm | Stage::Dpo) && adapters == 0 {
        problems.push(needs_checkpoint(stage));
    }
    if !tuning.keeps_base() && adapters > 1 {
        problems.push(
            Problem::new(Code::FormOneCheckpoint, "Only LoRA tuning accepts multiple checkpoints.")
                .field("adapters")
                .hint("Start from one checkpoint, or choose an adapter (lora)."),
        );
    }
    match (stage == Stage::Ppo, reward_model) {
        (true, false) => problems.push(
            Problem::new(Code::FormNoRewardModel, "A PPO run needs a reward model.")
                .field("reward_model")
                .hint("Train one (stage rm) on the model you start from, then choose it here."),
        ),
        (false, true) => problems.push(
            Problem::new(Code::FormRewardModelUnused, "Only PPO uses a reward model.").field("reward_model"),
        ),
        _ => {}
    }
    problems
}

/// What is measured on pairs is a checkpoint: a reward model, or an adapter against the model without it.
fn needs_checkpoint(stage: Stage) -> Problem {
    let (message, hint) = match stage {
        Stage::Rm => ("Only a reward model can judge pairs.", "Choose a checkpoint of a run with stage rm."),
        _ => (
            "Preferences are measured against the model without its adapter.",
            "Choose a checkpoint with an adapter.",
        ),
    };
    Problem::new(Code::FormNoCheckpoint, message).with("stage", stage.key()).field("adapters").hint(hint)
}

/// What a base that is held in few bits allows: adapters only, and one of them (S-056, S-058).
fn quantised_base(hyper: &Hyper, tuning: Tuning, adapters: usize) -> Option<Problem> {
    if !tuning.keeps_base() && hyper.quantization_bit != "none" {
        let message = "Quantization is only compatible with the LoRA method.";
        let problem = Problem::new(Code::FormQuantizedLoraOnly, message).field("quantization_bit");
        return Some(problem.hint("Choose f32 for the base, or an adapter (lora)."));
    }
    (hyper.quantised() && adapters > 1)
        .then(|| quantized_single("Quantized model only accepts a single checkpoint."))
}

/// The problem of a chain on a base that is held in few bits (S-058).
pub fn quantized_single(message: impl Into<String>) -> Problem {
    Problem::new(Code::FormQuantizedSingle, message)
        .field("adapters")
        .hint("Start from one checkpoint, or keep the base as its file has it.")
}

/// The largest share of rows that a training may hold out.
const MOST_HELD_OUT: f64 = 0.9;

/// Rules between hyperparameters.
fn cross_field(hyper: &Hyper, stage: Option<Stage>, tuning: Option<Tuning>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut need = |holds: bool, key: &str, code: Code, message: &str| {
        if !holds {
            problems.push(Problem::new(code, message).field(key));
        }
    };
    let learns = tuning.is_none_or(Tuning::learns);
    need(
        learns || stage == Some(Stage::Ppo) || holds_out(hyper.dev_ratio),
        "dev_ratio",
        Code::FormNeedsHeldOut,
        "Nothing would be measured: choose 1 for every row.",
    );
    need(
        hyper.eval_num_beams <= 1 || hyper.predict_temperature == 0.0,
        "eval_num_beams",
        Code::GenerationBeamsDraw,
        "Beams search the likeliest answer and do not draw: set the temperature of measured answers to 0.",
    );
    need(
        hyper.max_steps == 0 || hyper.warmup_steps < hyper.max_steps,
        "warmup_steps",
        Code::FormWarmup,
        "The warm-up must be shorter than the run.",
    );
    need(
        hyper.lr_scheduler_type != "polynomial" || hyper.lr_end < hyper.learning_rate,
        "lr_end",
        Code::FormLrEnd,
        "The last learning rate must be below the first.",
    );
    need(
        hyper.early_stopping_patience == 0 || holds_out(hyper.dev_ratio),
        "early_stopping_patience",
        Code::FormNeedsHeldOut,
        "Stopping early needs held-out rows to measure.",
    );
    need(
        !learns || !hyper.predict_with_generate || holds_out(hyper.dev_ratio),
        "predict_with_generate",
        Code::FormNeedsHeldOut,
        "Measuring by answering needs held-out rows.",
    );
    need(
        !hyper.eval_all_at_end || holds_out(hyper.dev_ratio),
        "eval_all_at_end",
        Code::FormNeedsHeldOut,
        "Measuring all held-out rows needs held-out rows.",
    );
    need(
        tuning != Some(Tuning::Freeze) || hyper.num_layer_trainable != 0,
        "num_layer_trainable",
        Code::FormNoBlock,
        "At least one block must learn.",
    );
    if learns && hyper.dev_ratio > MOST_HELD_OUT {
        let message = format!("Rows must be left to learn from: hold out {MOST_HELD_OUT} of them at most.");
        let problem = Problem::new(Code::FormOutOfRange, message).field("dev_ratio");
        problems.push(problem.with("min", 0).with("max", MOST_HELD_OUT));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(stage: &str, tuning: &str) -> Draft {
        Draft {
            dataset: "d1".to_owned(),
            model: "m1".to_owned(),
            template: "alpaca".to_owned(),
            stage: stage.to_owned(),
            tuning: tuning.to_owned(),
            ..Draft::default()
        }
    }

    fn codes(draft: &Draft) -> Vec<Code> {
        check(draft).err().unwrap_or_default().into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn s_057_only_lora_accepts_several_checkpoints() {
        let several = |tuning| Draft { adapters: "r1:2,r2:4".to_owned(), ..whole("sft", tuning) };
        assert_eq!(codes(&several("full")), [Code::FormOneCheckpoint]);
        assert_eq!(codes(&several("freeze")), [Code::FormOneCheckpoint]);
        assert_eq!(check(&several("lora")).expect("fine").adapters.len(), 2);
    }

    #[test]
    fn s_056_a_base_in_few_bits_is_for_adapters_only() {
        let with = |tuning, form: &str| Draft {
            values: [("quantization_bit".to_owned(), form.to_owned())].into(),
            ..whole("sft", tuning)
        };
        for form in ["file", "int8", "nf4", "fp4"] {
            assert!(codes(&with("lora", form)).is_empty(), "{form}");
            for tuning in ["full", "freeze"] {
                assert_eq!(codes(&with(tuning, form)), [Code::FormQuantizedLoraOnly], "{tuning} {form}");
            }
        }
        assert!(codes(&with("full", "none")).is_empty() && codes(&with("lora", "none")).is_empty());
        assert_eq!(codes(&with("lora", "int3")), [Code::FormUnknownChoice]);
    }

    #[test]
    fn s_058_a_base_in_few_bits_accepts_a_single_checkpoint() {
        let with = |adapters: &str, form: &str| Draft {
            adapters: adapters.to_owned(),
            values: [("quantization_bit".to_owned(), form.to_owned())].into(),
            ..whole("sft", "lora")
        };
        assert_eq!(codes(&with("r1:2,r2:4", "nf4")), [Code::FormQuantizedSingle]);
        assert!(codes(&with("r1:2", "nf4")).is_empty() && codes(&with("r1:2,r2:4", "file")).is_empty());
    }

    #[test]
    fn s_032_prefixes_and_weights_are_counted_against_the_datasets() {
        let with = |more: &str, key: &str, value: &str| Draft {
            more_datasets: more.to_owned(),
            values: [(key.to_owned(), value.to_owned())].into(),
            ..whole("sft", "lora")
        };
        assert_eq!(codes(&with("d2", "source_prefix", "a|b|c")), [Code::FormPrefixCount]);
        assert_eq!(codes(&with("d2", "mixing_weights", "1,2,3")), [Code::FormWeights]);
        assert_eq!(codes(&with("d1", "mixing", "concatenate")), [Code::FormUnknownChoice], "the first again");
        assert_eq!(codes(&with("d2,d2", "mixing", "concatenate")), [Code::FormUnknownChoice]);
        let checked = check(&with("d2, d3", "source_prefix", "a|b|c")).expect("fine");
        assert_eq!(checked.more_datasets.len(), 2);
    }

    #[test]
    fn s_091_preference_stages_train_an_adapter() {
        for stage in ["rm", "dpo"] {
            assert_eq!(codes(&whole(stage, "full")), [Code::FormLoraOnly]);
            assert!(codes(&whole(stage, "lora")).is_empty());
        }
    }

    #[test]
    fn s_020_s_105_ppo_needs_a_reward_model_and_no_other_stage_takes_one() {
        assert_eq!(codes(&whole("ppo", "lora")), [Code::FormNoRewardModel]);
        let with = |stage| Draft { reward_model: "r1:9".to_owned(), ..whole(stage, "lora") };
        assert!(codes(&with("ppo")).is_empty());
        assert_eq!(codes(&with("sft")), [Code::FormRewardModelUnused]);
        let broken = Draft { reward_model: "nonsense".to_owned(), ..whole("ppo", "lora") };
        assert_eq!(codes(&broken), [Code::FormUnknownChoice]);
    }

    #[test]
    fn s_036_s_120_nothing_learns_with_none_and_everything_is_measured() {
        for tuning in ["lora", "full", "freeze"] {
            let checked = check(&whole("sft", tuning)).expect(tuning);
            assert!(checked.tuning.learns() && checked.hyper.dev_ratio == 0.05, "{tuning}");
        }
        assert_eq!(codes(&whole("sft", "prefix")), [Code::FormUnknownChoice]);
        let hyper = check(&whole("sft", "none")).expect("an evaluation").hyper;
        assert_eq!((hyper.dev_ratio, hyper.total_steps(0), hyper.max_eval_samples), (1.0, 0, 0));
        assert!(hyper.predict_with_generate, "S-054, S-055");
        let share = |tuning, share: &str| {
            codes(&Draft {
                values: [("dev_ratio".to_owned(), share.to_owned())].into(),
                ..whole("pt", tuning)
            })
        };
        assert_eq!((share("none", "0.1"), share("lora", "0.9")), (vec![], vec![]));
        assert_eq!(
            (share("none", "0"), share("lora", "1")),
            (vec![Code::FormNeedsHeldOut], vec![Code::FormOutOfRange])
        );
    }

    #[test]
    fn s_160_on_pairs_only_a_checkpoint_is_measured() {
        let from =
            |stage, adapters: &str| codes(&Draft { adapters: adapters.to_owned(), ..whole(stage, "none") });
        for stage in ["rm", "dpo"] {
            assert_eq!(
                (from(stage, ""), from(stage, "r1:2,r2:4")),
                (vec![Code::FormNoCheckpoint], vec![]),
                "{stage}"
            );
        }
        assert!(from("sft", "").is_empty() && from("pt", "r1:2").is_empty());
        let ppo = Draft { reward_model: "r1:9".to_owned(), ..whole("ppo", "none") };
        assert_eq!(codes(&ppo), [Code::FormNothingToMeasure]);
    }

    #[test]
    fn s_030_beams_do_not_draw() {
        let beams = |temperature: &str| {
            codes(&Draft {
                values: [("eval_num_beams", "4"), ("predict_temperature", temperature)]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                ..whole("sft", "none")
            })
        };
        assert_eq!((beams("0.95"), beams("0")), (vec![Code::GenerationBeamsDraw], vec![]));
    }

    #[test]
    fn contradictions_are_named_at_their_field() {
        let with = |pairs: &[(&str, &str)]| Draft {
            values: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..whole("sft", "lora")
        };
        for (pairs, key) in [
            (&[("max_steps", "5"), ("warmup_steps", "5")][..], "warmup_steps"),
            (&[("lr_scheduler_type", "polynomial"), ("lr_end", "0.5")][..], "lr_end"),
            (&[("early_stopping_patience", "2"), ("dev_ratio", "0")][..], "early_stopping_patience"),
            (&[("predict_with_generate", "true"), ("dev_ratio", "0")][..], "predict_with_generate"),
            (&[("eval_all_at_end", "true"), ("dev_ratio", "0")][..], "eval_all_at_end"),
        ] {
            let problems = check(&with(pairs)).expect_err(key);
            assert_eq!(problems.iter().filter_map(Problem::form_key).collect::<Vec<_>>(), [key]);
        }
    }

    #[test]
    fn s_010_an_empty_form_names_everything_that_is_missing() {
        let problems = check(&Draft::default()).unwrap_err();
        let keys: Vec<_> = problems.iter().filter_map(Problem::form_key).collect();
        assert_eq!(keys, ["dataset", "model", "stage", "tuning", "template"]);
    }

    #[test]
    fn s_220_an_unknown_template_is_refused() {
        let draft = Draft { template: "llama9".to_owned(), ..Draft::default() };
        let problems = check(&draft).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message == "Template llama9 does not exist."));
    }
}
