//! Training through the real binary.

use std::process::Command;

use contract::Code;
use contract::event::Kind;
use contract::stage::{Stage, Tuning};
use rundir::{Request, RunDir};

use crate::support::{complete, events, finish, losses, model, spec, spec_of, start, text, wait_for};

fn new_run(place: &tempfile::TempDir, name: &str, tuning: Tuning, values: &[(&str, &str)]) -> RunDir {
    RunDir::create(&place.path().join(name), &spec(place.path(), tuning, values)).expect("created")
}

fn failure(run: &RunDir) -> (Code, u64) {
    match events(run, 1).last() {
        Some(Kind::Failed { problem, step }) => (problem.code, *step),
        other => panic!("did not fail: {other:?}"),
    }
}

#[test]
fn s_065_s_121_a_model_from_scratch_learns_and_is_saved() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("num_train_epochs", "8"),
        ("learning_rate", "3e-3"),
        ("per_device_train_batch_size", "8"),
        ("dev_ratio", "0.1"),
    ];
    let run = new_run(&place, "run", Tuning::Full, &values);
    let ended = finish(start(&run));
    assert!(ended.status.success(), "{}", text(&ended));
    let events = events(&run, 1);
    let at = |wanted: fn(&Kind) -> bool| events.iter().position(wanted).expect("is there");
    let started = at(|kind| {
        matches!(kind, Kind::Started { train_rows: 21, eval_rows: 3, from_step: 0, total_steps: 24, device, .. }
            if !device.is_empty())
    });
    let before = at(|kind| matches!(kind, Kind::Eval { step: 0, eval_loss: Some(_), .. }));
    let first = at(|kind| matches!(kind, Kind::Step { step: 1, .. }));
    assert!(started < before && before < first, "the base is measured before it changes");
    let Kind::Started { trainable_params, total_params, .. } = &events[started] else {
        panic!("found above")
    };
    assert_eq!(trainable_params, total_params, "every weight learns");
    let losses = losses(&events);
    assert_eq!(losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=24).collect::<Vec<_>>());
    assert!(losses[23].1 < 0.5 * losses[0].1, "{losses:?}");
    assert!(
        matches!(events.last(), Some(Kind::Finished { step: 24, peak_memory_bytes, .. }) if *peak_memory_bytes > 0)
    );
    assert_eq!(run.result().expect("reads").map(|result| result.step), Some(24));
    let saved = run.checkpoint(24).expect("lists").expect("the last step is saved");
    saved.verify().expect("whole");
    for name in ["model.safetensors", "config.json", "tokenizer.json", "optimizer.safetensors"] {
        assert!(saved.path().join(name).is_file(), "{name}");
    }
    assert!(run.checkpoints().expect("lists").len() <= 3, "best and last two");
}

#[test]
fn s_161_s_162_pre_training_measures_perplexity_and_leaves_its_results() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("max_source_length", "32"), ("max_steps", "4"), ("dev_ratio", "0.2")];
    let run = complete(place.path(), "pt", &spec_of(Stage::Pt, place.path(), Tuning::Full, &values));
    let perplexities: Vec<(f64, f64)> = events(&run, 1)
        .iter()
        .filter_map(|kind| match kind {
            Kind::Eval { eval_loss, metrics, .. } => (*eval_loss).zip(metrics.get("perplexity").copied()),
            _ => None,
        })
        .collect();
    assert!(perplexities.len() >= 2, "{perplexities:?}");
    for (loss, perplexity) in perplexities {
        assert!((loss.exp() - perplexity).abs() < 1e-9 * perplexity, "{loss} {perplexity}");
    }
    let read = |name: &str| -> serde_json::Value {
        let text = std::fs::read(run.path().join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        serde_json::from_slice(&text).expect("JSON")
    };
    for name in ["train_results.json", "all_results.json"] {
        assert_eq!(read(name)["global_step"], 4.0, "{name}");
    }
    let history = read("trainer_state.json")["log_history"].as_array().expect("a list").clone();
    assert!(history.iter().any(|line| line["loss"].is_number()), "{history:?}");
    assert!(history.iter().any(|line| line["eval_perplexity"].is_number()), "{history:?}");
}

#[test]
fn a_killed_run_goes_on_exactly_as_if_nothing_had_happened() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("max_steps", "60"),
        ("save_steps", "10"),
        ("lora_dropout", "0.1"),
        ("learning_rate", "2e-3"),
        ("gradient_accumulation_steps", "2"),
        ("per_device_train_batch_size", "3"),
    ];
    let (straight, broken) =
        (new_run(&place, "a", Tuning::Lora, &values), new_run(&place, "b", Tuning::Lora, &values));
    assert!(finish(start(&straight)).status.success());
    let mut child = start(&broken);
    wait_for(&broken, 1, |kind| matches!(kind, Kind::Checkpoint { step: 20, .. }));
    child.kill().expect("killed");
    assert!(!finish(child).status.success());
    assert!(broken.result().expect("reads").is_none(), "killed before its end");
    let ended = finish(start(&broken));
    assert!(ended.status.success(), "{}", text(&ended));
    let resumed = events(&broken, 2);
    assert!(resumed.iter().any(|kind| matches!(kind, Kind::Started { from_step, .. } if *from_step >= 20)));
    let (all, rest) = (losses(&events(&straight, 1)), losses(&resumed));
    assert_eq!(all[all.len() - rest.len()..], rest, "bit for bit");
    let digest = |run: &RunDir| run.checkpoint(60).expect("lists").expect("saved").manifest().digest.clone();
    assert_eq!(digest(&straight), digest(&broken));
}

#[test]
fn a_stop_saves_and_a_stopped_run_can_go_on() {
    let place = tempfile::tempdir().expect("a folder");
    let run = new_run(&place, "run", Tuning::Lora, &[("max_steps", "100000")]);
    let child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Step { step: 3, .. }));
    run.control().request(Request::Checkpoint).expect("asked");
    wait_for(&run, 1, |kind| matches!(kind, Kind::Checkpoint { .. }));
    run.control().request(Request::Stop).expect("asked");
    assert!(finish(child).status.success());
    let Some(Kind::Stopped { step }) = events(&run, 1).last().cloned() else { panic!("not stopped") };
    run.checkpoint(step).expect("lists").expect("saved where it stopped").verify().expect("whole");
    assert!(run.control().is_seen(Request::Stop) && run.result().expect("reads").is_none());
    let child = start(&run);
    wait_for(&run, 2, |kind| matches!(kind, Kind::Step { step: made, .. } if *made == step + 1));
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("sent").success());
    assert!(finish(child).status.success(), "SIGTERM saves, too");
    let Some(Kind::Stopped { step }) = events(&run, 2).last().cloned() else { panic!("not stopped") };
    assert!(run.checkpoint(step).expect("lists").is_some());
}

#[test]
fn a_dataset_without_usable_rows_is_one_clear_problem() {
    let place = tempfile::tempdir().expect("a folder");
    let mut spec = spec(place.path(), Tuning::Lora, &[]);
    spec.dataset.mapping.response = Some("nothing".to_owned());
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    assert!(!finish(start(&run)).status.success());
    assert_eq!(failure(&run), (Code::DatasetNoUsableRows, 0));
}

#[test]
fn a_gpu_that_is_not_there_is_one_clear_problem() {
    let place = tempfile::tempdir().expect("a folder");
    let run = new_run(&place, "run", Tuning::Lora, &[("device", "cuda")]);
    assert!(!finish(start(&run)).status.success());
    assert_eq!(failure(&run), (Code::DeviceNoCuda, 0));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let place = tempfile::tempdir().expect("a folder");
    let broken = place.path().join("model");
    std::fs::create_dir(&broken).expect("a folder");
    for entry in std::fs::read_dir(model()).expect("lists").flatten() {
        std::fs::copy(entry.path(), broken.join(entry.file_name())).expect("copied");
    }
    let weights = broken.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("reads");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&weights, bytes).expect("written");
    let mut spec = spec(place.path(), Tuning::Lora, &[]);
    spec.model.folder = broken.to_string_lossy().into_owned();
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    assert!(!finish(start(&run)).status.success());
    assert_eq!(failure(&run), (Code::TrainNotFinite, 1));
    assert!(events(&run, 1).iter().any(|kind| matches!(kind, Kind::Step { loss: None, .. })));
}

#[test]
fn s_182_a_run_that_makes_the_model_worse_says_so_and_marks_no_checkpoint_as_the_best() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("max_steps", "4"),
        ("save_steps", "2"),
        ("eval_steps", "2"),
        ("learning_rate", "1.0"),
        ("eval_share", "0"),
        ("dev_ratio", "0.2"),
    ];
    let run = new_run(&place, "run", Tuning::Full, &values);
    let ended = finish(start(&run));
    assert!(ended.status.success(), "{}", text(&ended));
    let events = events(&run, 1);
    let eval = |wanted| {
        events.iter().find_map(|kind| match kind {
            Kind::Eval { step, eval_loss, .. } if *step == wanted => *eval_loss,
            _ => None,
        })
    };
    let base = eval(0).expect("measured before training");
    let mut saved = 0;
    for kind in &events {
        if let Kind::Checkpoint { eval_loss, best, .. } = kind {
            assert!(eval_loss.is_some_and(|loss| loss > base), "{kind:?} is no burst");
            assert!(!best, "{kind:?}");
            saved += 1;
        }
    }
    assert!(saved > 0);
    let warned = |kind: &Kind| matches!(kind, Kind::Log { level, text } if level == "warn" && text.contains(&format!("{base:.3}")));
    assert!(events.iter().any(warned), "the log names the loss before training");
    let newest = run.checkpoints().expect("lists").remove(0);
    assert_eq!(newest.manifest().loop_state.base_eval_loss, Some(base), "a resumed run knows it");
}

#[test]
fn two_workers_never_share_a_run() {
    let place = tempfile::tempdir().expect("a folder");
    let run = new_run(&place, "run", Tuning::Lora, &[("max_steps", "100000")]);
    let child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Preparing { .. }));
    let second = finish(start(&run));
    assert!(!second.status.success() && text(&second).contains("Attempt 1"), "{}", text(&second));
    run.control().request(Request::Stop).expect("asked");
    assert!(finish(child).status.success());
}
