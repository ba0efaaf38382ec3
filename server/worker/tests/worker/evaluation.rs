//! Measuring without training (S-160): what a run measures of its own checkpoint, an evaluation finds again; models,
//! adapters and reward models alike.

use std::path::Path;

use contract::Code;
use contract::event::Kind;
use contract::prediction::{FILE, Prediction};
use contract::results::{Numbers, Results};
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use rundir::{Request, RunDir};

use crate::support::{complete, events, finish, reference, spec_of, start, text, wait_for};

const SHORT: [(&str, &str); 8] = [
    ("max_source_length", "48"),
    ("max_target_length", "8"),
    ("per_device_train_batch_size", "4"),
    ("lora_rank", "4"),
    ("max_steps", "4"),
    ("dev_ratio", "0.25"),
    ("learning_rate", "3e-3"),
    ("load_best_model_at_end", "false"),
];

fn spec(stage: Stage, tuning: Tuning, place: &Path, more: &[(&str, &str)]) -> RunSpec {
    let values: Vec<_> = SHORT.iter().chain(more).copied().collect();
    spec_of(stage, place, tuning, &values)
}

fn results(run: &RunDir) -> Results {
    let said = events(run, 1);
    let found = said.iter().find_map(|kind| match kind {
        Kind::Results { results } => Some(results.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no results: {said:?}"))
}

fn file(run: &RunDir, name: &str) -> Option<Numbers> {
    let text = std::fs::read(run.path().join(name)).ok()?;
    Some(serde_json::from_slice(&text).expect("JSON"))
}

fn predictions(run: &RunDir) -> Vec<Prediction> {
    let text = std::fs::read_to_string(run.path().join(FILE)).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Trains in a stage, then measures what was made on the rows that were held out; both in numbers.
fn trained_and_measured(
    stage: Stage,
    tuning: Tuning,
    place: &Path,
    more: &[(&str, &str)],
) -> [(RunDir, Results); 2] {
    let trained = complete(place, "trained", &spec(stage, tuning, place, more));
    let mut alone = spec(stage, Tuning::None, place, more);
    alone.adapters = vec![reference(&trained)];
    let measured = complete(place, "measured", &alone);
    let (was, is) = (results(&trained), results(&measured));
    [(trained, was), (measured, is)]
}

fn near(was: &Numbers, is: &Numbers, names: &[&str]) {
    for name in names {
        let (was, is) = (was[*name], is[*name]);
        assert!((was - is).abs() <= 1e-5 * was.abs().max(1e-3), "{name}: {was} {is}");
    }
}

#[test]
fn s_054_s_055_s_160_s_161_a_checkpoint_is_measured_as_its_own_run_measured_it() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("predict_with_generate", "true"), ("predict_temperature", "0")];
    let [(trained, was), (measured, is)] =
        trained_and_measured(Stage::Sft, Tuning::Lora, place.path(), &values);
    near(&was.eval, &is.eval, &["eval_loss"]);
    near(&was.predict, &is.predict, &["predict_rouge-1", "predict_bleu-4", "predict_exact_match"]);
    assert_eq!(predictions(&trained), predictions(&measured), "the same answers to the same questions");
    assert!((is.eval["perplexity"] - is.eval["eval_loss"].exp()).abs() < 1e-9 * is.eval["perplexity"]);
    assert!(measured.checkpoints().expect("lists").is_empty() && is.train.is_empty(), "nothing learned");
    let learning = |kind: &Kind| matches!(kind, Kind::Step { .. } | Kind::Checkpoint { .. });
    assert!(!events(&measured, 1).iter().any(learning));
    assert_eq!(file(&measured, "train_results.json"), None);
    for (part, numbers) in was.parts() {
        assert_eq!(file(&trained, &format!("{part}_results.json")).as_ref(), Some(numbers), "{part}");
        for rate in ["runtime", "samples_per_second", "steps_per_second"] {
            assert!(numbers[&format!("{part}_{rate}")] > 0.0, "{part}_{rate}");
        }
    }
    assert_eq!(file(&trained, "all_results.json"), Some(was.all()));
    assert_eq!(was.train["epoch"], 4.0 / 5.0, "4 steps of the 5 that 18 rows make");
    assert_eq!(file(&measured, "all_results.json"), Some(is.all()));
}

#[test]
fn s_160_a_base_a_whole_model_and_plain_text_are_measured_on_every_row() {
    let place = tempfile::tempdir().expect("a folder");
    let all = [("dev_ratio", "1"), ("predict_samples", "3")];
    let run = complete(place.path(), "base", &spec(Stage::Sft, Tuning::None, place.path(), &all));
    let rows =
        |run: &RunDir| match events(run, 1).into_iter().find(|kind| matches!(kind, Kind::Started { .. })) {
            Some(Kind::Started { train_rows, eval_rows, trainable_params, total_steps, .. }) => {
                (train_rows, eval_rows, trainable_params, total_steps)
            }
            other => panic!("not started: {other:?}"),
        };
    assert_eq!(rows(&run), (0, 24, 0, 0));
    assert_eq!(predictions(&run).len(), 3);
    let places: Vec<u64> = predictions(&run).iter().map(|row| row.row).collect();
    assert!(places.is_sorted() && (1..=24).contains(&places[0]), "{places:?}");
    let [(_, was), (_, is)] =
        trained_and_measured(Stage::Pt, Tuning::Full, place.path(), &[("dev_ratio", "0.5")]);
    near(&was.eval, &is.eval, &["eval_loss", "perplexity"]);
    assert!(is.predict.is_empty(), "plain text asks nothing");
}

#[test]
fn s_160_rewards_and_preferences_are_measured_of_checkpoints() {
    let place = tempfile::tempdir().expect("a folder");
    for stage in [Stage::Rm, Stage::Dpo] {
        let place = place.path().join(stage.key());
        std::fs::create_dir(&place).expect("a folder");
        let [(_, was), (_, is)] = trained_and_measured(stage, Tuning::Lora, &place, &[]);
        near(&was.eval, &is.eval, &["eval_loss", "eval_accuracy", "eval_margin"]);
    }
}

#[test]
fn s_104_a_checkpoint_without_a_value_head_judges_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let sft = complete(place.path(), "sft", &spec(Stage::Sft, Tuning::Lora, place.path(), &[]));
    let mut alone = spec(Stage::Rm, Tuning::None, place.path(), &[]);
    alone.adapters = vec![reference(&sft)];
    let run = RunDir::create(&place.path().join("rm"), &alone).expect("created");
    let ended = finish(start(&run));
    assert!(!ended.status.success(), "{}", text(&ended));
    let Some(Kind::Failed { problem, .. }) = events(&run, 1).pop() else { panic!("did not fail") };
    assert_eq!(problem.code, Code::RewardNoHead);
}

#[test]
fn s_030_s_164_beams_find_the_likeliest_answer_and_repeat_it() {
    let place = tempfile::tempdir().expect("a folder");
    let answers = |name: &str, beams: &str| {
        let values = [("dev_ratio", "1"), ("predict_temperature", "0"), ("eval_num_beams", beams)];
        let run = complete(place.path(), name, &spec(Stage::Sft, Tuning::None, place.path(), &values));
        predictions(&run).into_iter().map(|row| row.predict).collect::<Vec<_>>()
    };
    let (greedy, beams) = (answers("greedy", "1"), answers("beams", "4"));
    assert_eq!((greedy.len(), beams.len()), (24, 24));
    assert_ne!(greedy, beams, "a random model is unsure of every token");
    assert_eq!(beams, answers("again", "4"));
}

#[test]
fn an_evaluation_stops_when_asked_and_begins_anew() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("dev_ratio", "1"), ("max_target_length", "4000"), ("predict_temperature", "0")];
    let run =
        RunDir::create(&place.path().join("run"), &spec(Stage::Sft, Tuning::None, place.path(), &values))
            .expect("created");
    let child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Measuring { by: contract::event::Measure::Answers, .. }));
    run.control().request(Request::Stop).expect("asked");
    assert!(finish(child).status.success());
    assert_eq!(events(&run, 1).last(), Some(&Kind::Stopped { step: 0 }));
    assert!(!run.path().join(FILE).exists() && file(&run, "all_results.json").is_none());
    assert!(run.checkpoints().expect("lists").is_empty(), "there is nothing to save");
}
