//! Stages one after another: sft, then rm and dpo on top of it, then ppo with the reward model.

use std::path::Path;

use contract::Code;
use contract::cost::Planned;
use contract::event::Kind;
use contract::sizes::Sizes;
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use model::weights::{TensorSource, Weights};
use rundir::RunDir;

use crate::support::{complete, events, finish, metric, reference, spec_of, start, text};

const SHORT: [(&str, &str); 6] = [
    ("max_source_length", "48"),
    ("max_target_length", "8"),
    ("per_device_train_batch_size", "4"),
    ("lora_rank", "4"),
    ("save_steps", "100"),
    ("max_steps", "6"),
];

fn of(stage: Stage, place: &tempfile::TempDir, more: &[(&str, &str)]) -> RunSpec {
    let values: Vec<_> = SHORT.iter().chain(more).copied().collect();
    spec_of(stage, place.path(), Tuning::Lora, &values)
}

fn failure(run: &RunDir) -> Code {
    match events(run, 1).last() {
        Some(Kind::Failed { problem, .. }) => problem.code,
        other => panic!("did not fail: {other:?}"),
    }
}

/// Weights that learn in a run.
fn trainable(run: &RunDir) -> u64 {
    let of = |kind: &Kind| match kind {
        Kind::Started { trainable_params, .. } => Some(*trainable_params),
        _ => None,
    };
    events(run, 1).iter().find_map(of).expect("started")
}

#[test]
fn s_103_s_124_s_169_s_200_s_215_sft_then_rm_then_ppo_on_one_backbone() {
    let place = tempfile::tempdir().expect("a folder");
    let sft = complete(place.path(), "sft", &of(Stage::Sft, &place, &[]));
    let mut spec =
        of(Stage::Rm, &place, &[("max_steps", "12"), ("learning_rate", "3e-3"), ("dev_ratio", "0.2")]);
    spec.adapters = vec![reference(&sft)];
    let rm = complete(place.path(), "rm", &spec);
    let said = events(&rm, 1);
    assert!(
        said.iter()
            .any(|kind| matches!(kind, Kind::Log { text, .. } if text == "Merged 1 model checkpoint(s)."))
    );
    let accuracies = metric(&said, "accuracy");
    assert!(accuracies.len() == 12 && accuracies[9..].iter().sum::<f64>() > 2.0, "{accuracies:?}");
    assert!(
        said.iter()
            .any(|kind| matches!(kind, Kind::Eval { metrics, .. } if metrics.contains_key("accuracy")))
    );
    let saved = rm.checkpoint(12).expect("lists").expect("saved");
    let lineage = saved.manifest().lineage.clone().expect("written");
    assert!(lineage.value_head && lineage.merged == [reference(&sft).digest]);
    for name in
        ["value_head.safetensors", "adapter_config.json", "finetuning_args.json", "trainer_state.json"]
    {
        assert!(saved.path().join(name).is_file(), "{name}");
    }

    let mut spec = of(Stage::Ppo, &place, &[("ppo_epochs", "2"), ("max_steps", "4")]);
    spec.adapters = vec![reference(&sft)];
    spec.reward_model = Some(reference(&rm));
    let ppo = complete(place.path(), "ppo", &spec);
    let said = events(&ppo, 1);
    for name in ["reward", "kl", "beta", "clip_fraction", "response_length", "entropy", "value_loss"] {
        assert_eq!(metric(&said, name).len(), 4, "{name}");
    }
    assert!(metric(&said, "kl")[0].abs() < 1e-3, "a fresh adapter is the SFT model itself");
    assert!(metric(&said, "response_length").iter().all(|length| (2.0..=8.0).contains(length)));
    assert_eq!(said.iter().filter(|kind| matches!(kind, Kind::Sample { .. })).count(), 4);
    let saved = ppo.checkpoint(4).expect("lists").expect("saved");
    assert!(saved.path().join("value_head.safetensors").is_file(), "S-215: adapter and value head");
    assert_eq!(saved.manifest().loop_state.updates, Some(8), "two passes a step");
    let log = std::fs::read_to_string(ppo.path().join("trainer_log.jsonl")).expect("written");
    let last: serde_json::Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert!(last["loss"].is_number() && last["reward"].is_number(), "S-169: {last}");
    assert_eq!((last["current_steps"].as_u64(), last["percentage"].as_f64()), (Some(4), Some(100.0)));
}

#[test]
fn dpo_learns_pairs_against_the_model_it_starts_from() {
    let place = tempfile::tempdir().expect("a folder");
    let run = complete(
        place.path(),
        "dpo",
        &of(Stage::Dpo, &place, &[("max_steps", "10"), ("learning_rate", "3e-3"), ("dev_ratio", "0")]),
    );
    let said = events(&run, 1);
    let margins = metric(&said, "margin");
    assert!(margins[0].abs() < 1e-4 && margins[9] > 0.05, "{margins:?}");
    let losses = crate::support::losses(&said);
    assert!((losses[0].1 - std::f64::consts::LN_2).abs() < 1e-4 && losses[9].1 < losses[0].1, "{losses:?}");
}

#[test]
fn s_021_s_067_an_adapter_is_trained_further_or_merged_as_asked() {
    let place = tempfile::tempdir().expect("a folder");
    let first = complete(place.path(), "first", &of(Stage::Sft, &place, &[("learning_rate", "3e-3")]));
    let last = |run: &RunDir| crate::support::losses(&events(run, 1));
    let mut spec = of(Stage::Sft, &place, &[("warmup_ratio", "0"), ("learning_rate", "1e-9")]);
    spec.adapters = vec![reference(&first)];
    spec.hyper.lora_rank = 2;
    let further = complete(place.path(), "further", &spec);
    assert_eq!(trainable(&further), trainable(&first), "S-067: an adapter that goes on keeps its own rank");
    assert_eq!(
        further
            .checkpoint(6)
            .expect("lists")
            .expect("saved")
            .manifest()
            .lineage
            .clone()
            .expect("there")
            .merged
            .len(),
        0
    );
    spec.hyper.resume_lora_training = false;
    let merged = complete(place.path(), "merged", &spec);
    assert_eq!(trainable(&merged) * 2, trainable(&first), "a new one has the rank asked for");
    assert_eq!(
        merged
            .checkpoint(6)
            .expect("lists")
            .expect("saved")
            .manifest()
            .lineage
            .clone()
            .expect("there")
            .merged
            .len(),
        1
    );
    for ((_, a), (_, b)) in last(&further).iter().zip(last(&merged)) {
        assert!((a - b).abs() < 1e-3, "both begin where the first ended: {a} {b}");
    }
    assert!(last(&further)[0].1 < last(&first)[0].1 - 0.05, "not from the base");
}

#[test]
fn s_021_s_104_s_132_what_an_earlier_checkpoint_means_for_the_reference_and_the_head_is_said() {
    let place = tempfile::tempdir().expect("a folder");
    let first = complete(place.path(), "first", &of(Stage::Sft, &place, &[("max_steps", "1")]));
    let said = |name: &str, stage, from: &RunDir, further: &str, level: &str| {
        let mut spec = of(stage, &place, &[("max_steps", "1"), ("resume_lora_training", further)]);
        spec.adapters = vec![reference(from)];
        let run = complete(place.path(), name, &spec);
        let lines = events(&run, 1).into_iter().filter_map(|kind| match kind {
            Kind::Log { level: of, text } if of == level => Some(text),
            _ => None,
        });
        (lines.collect::<Vec<_>>().join("\n"), run)
    };
    assert!(said("dpo-further", Stage::Dpo, &first, "true", "warn").0.contains("reference"));
    assert!(!said("dpo-merged", Stage::Dpo, &first, "false", "warn").0.contains("reference"));
    let (fresh, judge) = said("rm", Stage::Rm, &first, "true", "info");
    let (further, _) = said("rm-further", Stage::Rm, &judge, "true", "info");
    assert!(
        fresh.contains("has no value head") && further.contains("value head is loaded"),
        "{fresh}\n{further}"
    );
}

#[test]
fn s_105_a_wrong_reward_model_is_refused_before_anything_is_loaded() {
    let place = tempfile::tempdir().expect("a folder");
    let sft = complete(place.path(), "sft", &of(Stage::Sft, &place, &[]));
    let mut spec = of(Stage::Ppo, &place, &[]);
    spec.adapters = vec![reference(&sft)];
    spec.reward_model = Some(reference(&sft));
    let run = RunDir::create(&place.path().join("ppo"), &spec).expect("created");
    let ended = finish(start(&run));
    assert!(!ended.status.success(), "{}", text(&ended));
    assert_eq!(failure(&run), Code::RewardNoHead);
    let loading = |kind: &Kind| matches!(kind, Kind::Preparing { phase } if phase == "loading_model");
    assert!(!events(&run, 1).iter().any(loading));
}

#[test]
fn s_163_s_166_s_167_s_190_answers_are_measured_and_written() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("predict_with_generate", "true"), ("dev_ratio", "0.2"), ("predict_temperature", "0")];
    let run = complete(place.path(), "sft", &of(Stage::Sft, &place, &values));
    let said = events(&run, 1);
    let measured = said.iter().find_map(|kind| match kind {
        Kind::Eval { metrics, eval_loss, .. } if metrics.contains_key("rouge-l") => {
            assert_eq!(*eval_loss, None, "S-166: answers have no loss");
            Some(metrics.clone())
        }
        _ => None,
    });
    assert!(measured.expect("measured").values().all(|score| (0.0..=100.0).contains(score)));
    let text = std::fs::read_to_string(run.path().join("generated_predictions.jsonl")).expect("written");
    assert_eq!(text.lines().count(), 5, "a fifth of 24 rows, rounded up");
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(row["label"].as_str().is_some_and(|label| label.starts_with("The ")), "{row}");
        assert!(row["predict"].is_string() && row["prompt"].is_string());
    }
    for name in ["trainer_log.jsonl", "trainer_state.json", "train_results.json", "all_results.json"] {
        assert!(run.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn s_122_a_freeze_run_changes_only_its_blocks() {
    let place = tempfile::tempdir().expect("a folder");
    let values: Vec<_> = SHORT.iter().chain(&[("num_layer_trainable", "1")]).copied().collect();
    let spec = spec_of(Stage::Sft, place.path(), Tuning::Freeze, &values);
    let run = complete(place.path(), "freeze", &spec);
    assert_eq!(trainable(&run), 3 * 128 * 344, "one feed-forward part");
    assert!(run.checkpoint(6).expect("lists").expect("saved").path().join("model.safetensors").is_file());
}

#[test]
fn s_099_s_122_a_full_or_freeze_run_goes_on_from_a_whole_checkpoint() {
    let place = tempfile::tempdir().expect("a folder");
    let values = |rate| SHORT.iter().copied().chain([("learning_rate", rate), ("num_layer_trainable", "2")]);
    let spec = |tuning, rate| spec_of(Stage::Sft, place.path(), tuning, &values(rate).collect::<Vec<_>>());
    let first = complete(place.path(), "first", &spec(Tuning::Freeze, "1e-2"));
    let begun = crate::support::losses(&events(&first, 1))[0].1;
    for tuning in [Tuning::Full, Tuning::Freeze] {
        let mut next = spec(tuning, "1e-9");
        next.adapters = vec![reference(&first)];
        let run = complete(place.path(), tuning.key(), &next);
        let (_, loss) = crate::support::losses(&events(&run, 1))[0];
        assert!(loss < begun - 0.05, "{}: begins at {loss}, the base at {begun}", tuning.key());
    }
}

#[test]
fn s_104_a_reward_run_begins_with_the_head_of_its_last_checkpoint() {
    let place = tempfile::tempdir().expect("a folder");
    let head = |run: &RunDir| {
        let path = reference(run).folder + "/value_head.safetensors";
        let weights = Weights::open(Path::new(&path)).expect("a head");
        weights.read("v_head.summary.weight").expect("its weight")
    };
    let first = complete(place.path(), "first", &of(Stage::Rm, &place, &[("learning_rate", "1e-2")]));
    for (name, further) in [("further", "true"), ("merged", "false")] {
        let values = [("resume_lora_training", further), ("learning_rate", "1e-9"), ("max_steps", "1")];
        let mut spec = of(Stage::Rm, &place, &values);
        spec.adapters = vec![reference(&first)];
        let next = complete(place.path(), name, &spec);
        let near = head(&first).iter().zip(head(&next)).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{name}: the head was drawn anew");
    }
}

#[test]
fn s_107_what_the_form_counts_is_what_learns() {
    let place = tempfile::tempdir().expect("a folder");
    let facts = worker::facts::read(crate::support::model()).expect("facts");
    for (name, stage, tuning, value) in [
        ("rank", Stage::Sft, Tuning::Lora, ("lora_rank", "2")),
        ("targets", Stage::Sft, Tuning::Lora, ("lora_target", "q_proj,down_proj")),
        ("saved", Stage::Sft, Tuning::Lora, ("modules_to_save", "embed_tokens")),
        ("judge", Stage::Rm, Tuning::Lora, ("use_dora", "true")),
        ("blocks", Stage::Sft, Tuning::Freeze, ("name_module_trainable", "all")),
        ("full", Stage::Sft, Tuning::Full, ("weight_decay", "0")),
    ] {
        let values: Vec<_> = SHORT.iter().copied().chain([("max_steps", "1"), value]).collect();
        let spec = spec_of(stage, place.path(), tuning, &values);
        let (hyper, sizes) = (&spec.hyper, &Sizes::default());
        let planned = Planned { facts: &facts, stage, tuning, hyper, sizes, rows: 24, held: 0 };
        let cost = planned.cost().expect("a shape");
        let started =
            events(&complete(place.path(), name, &spec), 1).into_iter().find_map(|kind| match kind {
                Kind::Started { trainable_params, total_params, .. } => {
                    Some((trainable_params, total_params))
                }
                _ => None,
            });
        assert_eq!(started, Some((cost.trainable(), cost.parameters)), "{name}");
    }
}

#[test]
fn s_204_a_response_of_less_than_two_tokens_becomes_two_end_tokens() {
    let place = tempfile::tempdir().expect("a folder");
    let rm = complete(place.path(), "rm", &of(Stage::Rm, &place, &[("max_steps", "1")]));
    // At most two tokens of an answer: between one and two are drawn, which is one.
    let mut spec = of(Stage::Ppo, &place, &[("max_steps", "2"), ("max_target_length", "2")]);
    spec.reward_model = Some(reference(&rm));
    let said = events(&complete(place.path(), "ppo", &spec), 1);
    assert_eq!(metric(&said, "response_length"), [2.0, 2.0]);
    let answers = said.iter().filter_map(|kind| match kind {
        Kind::Sample { answer, .. } => Some(answer.as_str()),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), ["", ""], "end tokens are no text");
}

#[test]
fn s_213_a_batch_is_left_early_when_the_policy_has_gone_too_far() {
    let place = tempfile::tempdir().expect("a folder");
    let rm = complete(place.path(), "rm", &of(Stage::Rm, &place, &[("max_steps", "2")]));
    let updates = |name: &str, limit: &str| {
        let values = [
            ("max_steps", "2"),
            ("ppo_epochs", "4"),
            ("learning_rate", "1e-2"),
            ("ppo_early_stop_kl", limit),
        ];
        let mut spec = of(Stage::Ppo, &place, &values);
        spec.reward_model = Some(reference(&rm));
        let run = complete(place.path(), name, &spec);
        run.checkpoint(2).expect("lists").expect("saved").manifest().loop_state.updates.expect("counted")
    };
    assert_eq!(updates("never", "0"), 8);
    assert!(updates("early", "0.0001") < 8);
}

/// A copy of the model with one number of its first tensor lost.
fn diverged(place: &Path) -> String {
    let copy = place.join("diverged");
    std::fs::create_dir(&copy).expect("created");
    for entry in std::fs::read_dir(crate::support::model()).expect("lists").flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    let path = copy.join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("reads");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    copy.to_string_lossy().into_owned()
}

#[test]
fn s_191_answers_that_fail_are_named_and_the_measuring_goes_on() {
    let place = tempfile::tempdir().expect("a folder");
    let values =
        [("predict_with_generate", "true"), ("dev_ratio", "0.2"), ("max_steps", "1"), ("nan_policy", "skip")];
    let mut spec = of(Stage::Sft, &place, &values);
    spec.model.folder = diverged(place.path());
    let run = complete(place.path(), "sft", &spec);
    let text = std::fs::read_to_string(run.path().join("generated_predictions.jsonl")).expect("written");
    assert_eq!(text.lines().count(), 5);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(row["problem"]["code"], "generation.scores", "{row}");
    }
    let said = events(&run, 1);
    let failed = |kind: &&Kind| matches!(kind, Kind::Sample { problem: Some(_), .. });
    assert_eq!(said.iter().filter(failed).count(), 5);
    let counted = |kind: &Kind| match kind {
        Kind::Eval { metrics, .. } => metrics.get("unanswered").copied(),
        _ => None,
    };
    assert_eq!(said.iter().find_map(counted), Some(5.0));
}

#[test]
fn s_182_the_best_checkpoint_is_what_is_measured_at_the_end() {
    let place = tempfile::tempdir().expect("a folder");
    let run = |name: &str, best: &str| {
        let values = [
            ("dev_ratio", "0.2"),
            ("learning_rate", "0.5"),
            ("lr_scheduler_type", "constant"),
            ("max_grad_norm", "0"),
            ("save_steps", "1"),
            ("eval_steps", "1"),
            ("eval_share", "0"),
            ("max_steps", "8"),
            ("load_best_model_at_end", best),
        ];
        let run = complete(place.path(), name, &of(Stage::Sft, &place, &values));
        let newest = run.checkpoints().expect("lists").remove(0);
        assert_ne!(newest.manifest().loop_state.best_step, Some(8), "too large a rate makes it worse");
        events(&run, 1)
            .iter()
            .any(|kind| matches!(kind, Kind::Log { text, .. } if text.contains("stands for")))
    };
    assert!(run("best", "true") && !run("last", "false"));
}

#[test]
fn s_056_s_059_an_adapter_learns_on_a_base_in_few_bits() {
    let place = tempfile::tempdir().expect("a folder");
    for form in ["int8", "nf4", "fp4"] {
        let values = [
            ("quantization_bit", form),
            ("dev_ratio", "0.2"),
            ("learning_rate", "1e-2"),
            ("max_steps", "12"),
        ];
        let run = complete(place.path(), form, &of(Stage::Sft, &place, &values));
        let said = events(&run, 1);
        let losses = crate::support::losses(&said);
        assert!(losses[11].1 < losses[0].1 - 0.5, "{form}: {losses:?}");
        let warned = |kind: &Kind| matches!(kind, Kind::Log { level, text } if level == "warn" && text.contains("4/8-bit"));
        assert!(said.iter().any(warned), "{form}");
    }
    let quiet = complete(place.path(), "file", &of(Stage::Sft, &place, &[("dev_ratio", "0.2")]));
    let warned = |kind: &Kind| matches!(kind, Kind::Log { level, .. } if level == "warn");
    assert!(!events(&quiet, 1).iter().any(warned));
}
