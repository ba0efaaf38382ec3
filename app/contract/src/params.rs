//! Every hyperparameter, declared once; one file per group. [`Hyper`] is the typed set read from a draft.

mod control;
mod data;
mod hyper;
mod preference;
mod quantization;
mod schedule;
mod size;
mod tuning;

use crate::param::{Kind, Param, Words};
use crate::stage::{Stage, Tuning};
pub use data::{held_out, holds_out};
pub use hyper::Hyper;

const fn w(en: &'static str, zh: &'static str) -> Words {
    Words { en, zh }
}

const NO_UNIT: Words = w("", "");
const TOKENS: Words = w("tokens", "词元");
const STEPS: Words = w("steps", "步");
const ROWS: Words = w("rows", "行");
const YES_NO: Kind = Kind::Choice(&[("false", w("No", "否")), ("true", w("Yes", "是"))]);

/// Linear layers LoRA may sit on in some family, in Hugging Face's names, and parts of a block; what they mean in a
/// model stands in [`crate::targets`].
pub const LORA_TARGETS: &[&str] = &[
    "q_proj",
    "k_proj",
    "v_proj",
    "qkv_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "gate_up_proj",
    "down_proj",
    "c_attn",
    "c_proj",
    "c_fc",
    "query_key_value",
    "dense",
    "dense_h_to_4h",
    "dense_4h_to_h",
    "W_pack",
    "self_attn",
    "self_attention",
    "attn",
    "mlp",
    "all-linear",
];

/// Parts of a block that may learn, see [`crate::targets`].
const BLOCK_PARTS: &[&str] = &["mlp", "self_attn", "self_attention", "attn", "all"];

fn always(_: Stage, _: Tuning) -> bool {
    true
}

/// What plays a part only where something learns.
fn learning(_: Stage, tuning: Tuning) -> bool {
    tuning.learns()
}

const GROUPS: [&[Param]; 7] = [
    &size::ALL,
    &tuning::ALL,
    &preference::ALL,
    &data::ALL,
    &schedule::ALL,
    &control::ALL,
    &quantization::ALL,
];

const COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

/// Every hyperparameter in the order of the form.
pub const PARAMS: &[Param] = &{
    let mut all = [size::ALL[0]; COUNT];
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut one = 0;
        while one < GROUPS[group].len() {
            all[at] = GROUPS[group][one];
            at += 1;
            one += 1;
        }
        group += 1;
    }
    all
};

/// The declaration of a key.
pub fn param(key: &str) -> Option<&'static Param> {
    PARAMS.iter().find(|param| param.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_default_is_valid_and_every_parameter_is_explained() {
        for param in PARAMS {
            for stage in Stage::ALL {
                for tuning in Tuning::ALL {
                    param.check((param.default)(stage, tuning)).expect(param.key);
                }
            }
            assert!(!param.help.en.is_empty() && !param.help.zh.is_empty(), "{}", param.key);
        }
    }

    #[test]
    fn a_word_for_a_learning_rate_is_one_clear_problem() {
        let problems =
            Hyper::read(&typed(&[("learning_rate", "abc")]), Stage::Sft, Tuning::Lora).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].form_key(), Some("learning_rate"));
        assert!(problems[0].message.contains("abc"));
    }

    #[test]
    fn all_problems_come_at_once() {
        let values = typed(&[("learning_rate", "nan"), ("seed", "-1"), ("lora_target", "q_proj,fc")]);
        assert_eq!(Hyper::read(&values, Stage::Sft, Tuning::Lora).unwrap_err().len(), 3);
    }

    #[test]
    fn lora_parameters_are_not_asked_of_a_full_run() {
        let hyper =
            Hyper::read(&typed(&[("lora_rank", "x")]), Stage::Pt, Tuning::Full).expect("no LoRA, no problem");
        assert_eq!(hyper.lora_rank, 8, "the default");
    }

    #[test]
    fn s_053_only_fine_tuning_measures_by_answering_and_elsewhere_it_is_refused() {
        let read = |stage, asked: &str| {
            Hyper::read(&typed(&[("predict_with_generate", asked)]), stage, Tuning::Lora)
        };
        assert!(read(Stage::Sft, "true").expect("fine-tuning").predict_with_generate);
        for stage in [Stage::Pt, Stage::Rm, Stage::Dpo, Stage::Ppo] {
            let problems = read(stage, " true ").expect_err("refused");
            let found: Vec<_> = problems.iter().map(|problem| (problem.code, problem.form_key())).collect();
            assert_eq!(found, [(crate::Code::FormPredictStage, Some("predict_with_generate"))], "{stage:?}");
            assert_eq!(problems[0].params["stage"], stage.key());
            assert!(!read(stage, "false").expect("valid").predict_with_generate);
        }
    }

    #[test]
    fn what_was_typed_for_another_stage_plays_no_part() {
        let read = |stage| Hyper::read(&typed(&[("dev_ratio", "0.2")]), stage, Tuning::Lora).expect("valid");
        assert_eq!((read(Stage::Rm).dev_ratio, read(Stage::Ppo).dev_ratio), (0.2, 0.0));
    }

    #[test]
    fn s_039_s_040_a_layer_may_be_named_with_the_part_that_holds_it() {
        let lora = |name| Hyper::read(&typed(&[("lora_target", name)]), Stage::Sft, Tuning::Lora).is_ok();
        for name in ["c_attn", "attn.c_proj", "qkv_proj,gate_up_proj", "self_attn", "self_attn.q_proj"] {
            assert!(lora(name), "{name}");
        }
        for name in ["fc", "attn.fc", "attn.", ".c_proj", "lm_head"] {
            assert!(!lora(name), "{name}");
        }
    }

    #[test]
    fn s_043_the_trainers_settings_keep_their_names() {
        for key in [
            "num_train_epochs",
            "max_steps",
            "learning_rate",
            "lr_scheduler_type",
            "warmup_steps",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "max_grad_norm",
            "weight_decay",
            "eval_steps",
            "save_steps",
            "save_total_limit",
            "predict_with_generate",
            "gradient_checkpointing",
            "seed",
        ] {
            assert!(param(key).is_some(), "{key}");
        }
    }

    #[test]
    fn the_last_rows_of_a_round_make_a_step_of_their_own() {
        let values = typed(&[("num_train_epochs", "3"), ("gradient_accumulation_steps", "2")]);
        let hyper = Hyper::read(&values, Stage::Sft, Tuning::Lora).expect("valid");
        assert_eq!(hyper.total_steps(9), 6); // 3 batches of 4 at most, 2 steps a round
    }

    #[test]
    fn no_key_is_declared_twice() {
        let mut keys: Vec<_> = PARAMS.iter().map(|param| param.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), PARAMS.len());
    }

    #[test]
    fn s_041_the_typed_set_goes_round_and_knows_every_key() {
        let hyper = Hyper::read(&BTreeMap::new(), Stage::Ppo, Tuning::Lora).expect("defaults");
        let json = serde_json::to_value(&hyper).expect("writes");
        for param in PARAMS {
            assert!(json.get(param.key).is_some(), "{} is declared and never read", param.key);
        }
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(PARAMS.len()));
        assert_eq!(serde_json::from_value::<Hyper>(json).expect("reads"), hyper);
    }

    #[test]
    fn an_older_specification_takes_defaults_for_what_it_does_not_say() {
        let hyper: Hyper = serde_json::from_str(r#"{"learning_rate":0.5}"#).expect("reads");
        assert_eq!((hyper.learning_rate, hyper.save_total_limit, hyper.dpo_beta), (0.5, 2, 0.1));
    }

    #[test]
    fn every_choice_that_this_build_does_not_know_is_told_and_none_is_a_default() {
        let hyper = Hyper::read(&BTreeMap::new(), Stage::Dpo, Tuning::Lora).expect("defaults");
        assert_eq!(hyper.unknown_choice(), None);
        let json = serde_json::to_value(&hyper).expect("writes");
        let texts = PARAMS.iter().filter(|param| matches!(param.kind, Kind::Choice(_)));
        let texts: Vec<_> = texts.filter(|param| json[param.key].is_string()).collect();
        assert!(texts.len() >= 7, "{}", texts.len());
        for param in texts {
            let mut odd = json.clone();
            odd[param.key] = "levitated".into();
            let odd: Hyper = serde_json::from_value(odd).expect("reads");
            assert_eq!(odd.unknown_choice(), Some(format!("{} is \"levitated\"", param.key)));
        }
    }

    #[test]
    fn s_040_an_adapter_sits_on_every_linear_layer_whatever_they_are_called() {
        let hyper = Hyper::read(&BTreeMap::new(), Stage::Sft, Tuning::Lora).expect("defaults");
        assert_eq!(hyper.lora_target, ["all-linear"], "Phi-3 and GPT-2 name theirs in another way");
    }

    #[test]
    fn a_base_stays_as_its_file_has_it_under_an_adapter_and_is_f32_where_it_learns() {
        let read = |tuning| Hyper::read(&BTreeMap::new(), Stage::Sft, tuning).expect("defaults");
        assert_eq!(read(Tuning::Lora).quantization_bit, "file");
        for tuning in [Tuning::Full, Tuning::Freeze] {
            assert_eq!(read(tuning).quantization_bit, "none");
        }
        assert!(!read(Tuning::Lora).quantised() && read(Tuning::Lora).double_quantization);
    }

    #[test]
    fn a_preference_stage_is_asked_for_its_own_numbers_only() {
        let applies = |key: &str, stage| param(key).is_some_and(|param| (param.applies)(stage, Tuning::Lora));
        assert!(applies("dpo_beta", Stage::Dpo) && !applies("dpo_beta", Stage::Sft));
        assert!(applies("ppo_clip", Stage::Ppo) && !applies("ppo_clip", Stage::Rm));
        assert!(!applies("predict_samples", Stage::Pt) && applies("neftune_noise_alpha", Stage::Pt));
    }

    #[test]
    fn warm_up_is_a_share_rounded_up_or_a_number_of_steps() {
        let read =
            |pairs: &[(&str, &str)]| Hyper::read(&typed(pairs), Stage::Sft, Tuning::Lora).expect("valid");
        assert_eq!(read(&[("warmup_ratio", "0.03")]).warmup(40), 2);
        assert_eq!(read(&[("warmup_steps", "7")]).warmup(40), 7);
        assert_eq!(read(&[("warmup_ratio", "0.03")]).warmup(1), 0, "the only step teaches");
        assert_eq!(read(&[("warmup_ratio", "0.9")]).warmup(2), 1);
        assert_eq!(read(&[("warmup_steps", "7")]).warmup(7), 6);
        assert_eq!(read(&[("warmup_steps", "100")]).warmup(3), 2);
        assert_eq!(read(&[("warmup_ratio", "0.03")]).warmup(0), 0);
        assert_eq!(read(&[("lr_scheduler_type", "constant")]).warmup(40), 0);
        assert_eq!(read(&[("lr_scheduler_type", "constant_with_warmup")]).warmup(40), 2);
    }
}
