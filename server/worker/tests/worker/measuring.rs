//! Measuring held-out rows: a fixed draw, a bounded share, told as it goes, and stopped when asked.

use std::path::Path;
use std::process::Command;

use contract::event::{Kind, Measure};
use contract::spec::RunSpec;
use contract::stage::{Stage, Tuning};
use rundir::{Request, RunDir};

use crate::support::{complete, events, finish, losses, spec_of, start, text, wait_for};

/// Rows and few settings that all these runs share.
fn spec_with(place: &Path, rows: u64, values: &[(&str, &str)]) -> RunSpec {
    let short = [("max_source_length", "48"), ("max_target_length", "24"), ("lora_rank", "4")];
    let values: Vec<_> = short.iter().chain(values).copied().collect();
    let spec = spec_of(Stage::Sft, place, Tuning::Lora, &values);
    let line = |row: u64| {
        let answer = format!("The cup of shelf {} is {} and {} years old.", row % 7, row % 13, row % 91);
        serde_json::json!({ "instruction": format!("What about cup {row}?"), "output": answer }).to_string()
    };
    let lines: Vec<_> = (0..rows).map(line).collect();
    std::fs::write(&spec.dataset.file, lines.join("\n")).expect("written");
    spec
}

/// Step, rows and way of every measuring that began.
fn begun(events: &[Kind]) -> Vec<(u64, u64, Measure)> {
    let of = |kind: &Kind| match kind {
        Kind::Measuring { step, by, done: 0, of, .. } => Some((*step, *of, *by)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// Step and loss of every measuring of the draw that ended.
fn measured(events: &[Kind]) -> Vec<(u64, f64)> {
    let of = |kind: &Kind| match kind {
        Kind::Eval { step, eval_loss, .. } => eval_loss.map(|loss| (*step, loss)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn metric(events: &[Kind], wanted: &str) -> Option<f64> {
    events.iter().find_map(|kind| match kind {
        Kind::Eval { metrics, .. } => metrics.get(wanted).copied(),
        _ => None,
    })
}

#[test]
fn the_draw_is_fixed_and_all_rows_are_measured_apart_from_it() {
    let place = tempfile::tempdir().expect("a folder");
    // A rate this small leaves the weights as they are: the same rows have the same loss.
    let values = |batch| {
        [
            ("dev_ratio", "0.5"),
            ("max_eval_samples", "16"),
            ("eval_share", "0"),
            ("eval_steps", "2"),
            ("eval_all_at_end", "true"),
            ("max_steps", "4"),
            ("learning_rate", "1e-9"),
            ("per_device_train_batch_size", batch),
        ]
    };
    let said: Vec<Vec<Kind>> = ["3", "5"]
        .iter()
        .map(|batch| {
            let spec = spec_with(place.path(), 120, &values(*batch));
            events(&complete(place.path(), batch, &spec), 1)
        })
        .collect();
    let loss = measured(&said[0])[0].1;
    for events in &said {
        let rows = [(0, 16), (1, 16), (2, 16), (3, 16), (4, 16), (4, 60)];
        assert_eq!(begun(events), rows.map(|(step, rows)| (step, rows, Measure::Loss)));
        let losses = measured(events);
        assert_eq!(losses.len(), 5, "that of all rows is none of them: {losses:?}");
        assert!(losses.iter().all(|(_, other)| (other - loss).abs() < 1e-5), "{losses:?}");
        let all = metric(events, "loss_all_rows").expect("measured at the end");
        assert!((all - loss).abs() > 1e-4, "other rows: {all} and {loss}");
    }
}

#[test]
fn a_short_run_on_many_rows_measures_few_of_them() {
    let place = tempfile::tempdir().expect("a folder");
    let spec = spec_with(place.path(), 2000, &[("dev_ratio", "0.5"), ("max_steps", "3")]);
    let said = events(&complete(place.path(), "run", &spec), 1);
    assert_eq!(begun(&said), [(0, 8, Measure::Loss), (3, 8, Measure::Loss)], "of 1000 that are held out");
    let unbounded = spec_with(
        place.path(),
        2000,
        &[("dev_ratio", "0.5"), ("max_steps", "3"), ("eval_share", "0"), ("max_eval_samples", "64")],
    );
    let said = events(&complete(place.path(), "unbounded", &unbounded), 1);
    assert_eq!(begun(&said).iter().map(|(_, rows, _)| *rows).collect::<Vec<_>>(), [64; 4]);
}

#[test]
fn the_time_left_after_the_last_step_is_that_of_its_measuring() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("dev_ratio", "0.5"), ("max_steps", "2"), ("predict_with_generate", "true")];
    let run = complete(place.path(), "run", &spec_with(place.path(), 60, &values));
    let left = events(&run, 1).into_iter().find_map(|kind| match kind {
        Kind::Step { step: 2, remaining_s, .. } => remaining_s,
        _ => None,
    });
    assert!(left.is_some_and(|seconds| seconds > 0.0), "{left:?}");
    let told = events(&run, 1).into_iter().filter_map(|kind| match kind {
        Kind::Measuring { step: 2, by, remaining_s, .. } => Some((by, remaining_s.is_some())),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(told.contains(&(Measure::Loss, true)) && told.contains(&(Measure::Answers, true)), "{told:?}");
}

#[test]
fn a_stop_is_heard_within_a_measuring_and_a_resumed_run_catches_up() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("dev_ratio", "0.9"),
        ("max_eval_samples", "0"),
        ("eval_share", "0"),
        ("eval_steps", "2"),
        ("save_steps", "100"),
        ("max_steps", "4"),
        ("learning_rate", "1e-3"),
        ("per_device_train_batch_size", "2"),
    ];
    let spec = spec_with(place.path(), 1500, &values);
    let straight = complete(place.path(), "straight", &spec);
    let expected = measured(&events(&straight, 1));
    assert_eq!(expected.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 2, 4]);

    let broken = RunDir::create(&place.path().join("broken"), &spec).expect("created");
    // Asked in the folder, by a signal, and at the last step: within the first, the second and the third measuring.
    for (attempt, step) in [(1, 0), (2, 2), (3, 4)] {
        let child = start(&broken);
        wait_for(&broken, attempt, |kind| matches!(kind, Kind::Measuring { step: at, .. } if *at == step));
        if step == 2 {
            assert!(Command::new("kill").arg(child.id().to_string()).status().expect("sent").success());
        } else {
            broken.control().request(Request::Stop).expect("asked");
        }
        let ended = finish(child);
        assert!(ended.status.success(), "{}", text(&ended));
        let said = events(&broken, attempt);
        assert_eq!(said.last(), Some(&Kind::Stopped { step }));
        assert!(!measured(&said).iter().any(|(at, _)| *at == step), "given up: {said:?}");
        broken.checkpoint(step).expect("lists").expect("saved").verify().expect("whole");
        assert!(broken.result().expect("reads").is_none());
    }
    let ended = finish(start(&broken));
    assert!(ended.status.success(), "{}", text(&ended));
    let all: Vec<_> = (1..=4).flat_map(|attempt| measured(&events(&broken, attempt))).collect();
    assert_eq!(all, expected, "what a stop kept from being measured was measured later");
    let steps: Vec<_> = (1..=4).flat_map(|attempt| losses(&events(&broken, attempt))).collect();
    assert_eq!(steps, losses(&events(&straight, 1)), "bit for bit");
    let saved = |run: &RunDir| run.checkpoint(4).expect("lists").expect("saved").manifest().clone();
    let best = |run: &RunDir| {
        let state = saved(run).loop_state;
        (state.best_step, state.best_eval_loss, state.owes_measuring)
    };
    assert_eq!((saved(&straight).digest, best(&straight).2), (saved(&broken).digest, best(&broken).2));
    assert_eq!(best(&broken).1, Some(expected[1].1.min(expected[2].1)), "step 2 was saved and measured, too");
    assert!(broken.result().expect("reads").is_some());
}

#[test]
fn s_163_a_stop_is_heard_while_questions_are_answered_and_they_are_answered_later() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("dev_ratio", "0.9"),
        ("max_eval_samples", "8"),
        ("eval_share", "0"),
        ("predict_with_generate", "true"),
        ("predict_samples", "24"),
        ("predict_temperature", "0"),
        ("max_target_length", "200"),
        ("max_steps", "2"),
    ];
    let mut spec = spec_with(place.path(), 400, &values);
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    let child = start(&run);
    let answering = |kind: &Kind| matches!(kind, Kind::Measuring { by: Measure::Answers, .. });
    wait_for(&run, 1, answering);
    run.control().request(Request::Stop).expect("asked");
    assert!(finish(child).status.success());
    assert_eq!(events(&run, 1).last(), Some(&Kind::Stopped { step: 2 }));
    assert!(!run.path().join("generated_predictions.jsonl").exists());
    let ended = finish(start(&run));
    assert!(ended.status.success(), "{}", text(&ended));
    let said = events(&run, 2);
    assert!(losses(&said).is_empty() && measured(&said).is_empty(), "only the answers were missing");
    assert_eq!(begun(&said), [(2, 24, Measure::Answers)]);
    let answers = |run: &RunDir| {
        std::fs::read_to_string(run.path().join("generated_predictions.jsonl")).expect("written")
    };
    assert_eq!(answers(&run).lines().count(), 24);

    // The share bounds answers as well, and a smaller draw is part of the larger one.
    spec.hyper.eval_share = 0.1;
    let few = complete(place.path(), "few", &spec);
    let said = events(&few, 1);
    assert!(begun(&said).contains(&(2, 8, Measure::Answers)), "{:?}", begun(&said));
    let prompts = |run: &RunDir| -> Vec<String> {
        let row =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["prompt"].clone();
        answers(run).lines().map(|line| row(line).as_str().expect("text").to_owned()).collect()
    };
    let all = prompts(&run);
    assert!(prompts(&few).iter().all(|prompt| all.contains(prompt)));
}

#[test]
fn a_run_that_ended_early_does_not_go_on_after_a_stop() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [
        ("dev_ratio", "0.9"),
        ("max_eval_samples", "8"),
        ("eval_share", "0"),
        ("eval_steps", "1"),
        ("early_stopping_patience", "1"),
        ("learning_rate", "0.5"),
        ("lr_scheduler_type", "constant"),
        ("max_grad_norm", "0"),
        ("max_steps", "50"),
        ("eval_all_at_end", "true"),
        ("per_device_train_batch_size", "2"),
    ];
    let spec = spec_with(place.path(), 1500, &values);
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    let child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Measuring { of, .. } if *of > 8));
    run.control().request(Request::Stop).expect("asked");
    assert!(finish(child).status.success());
    let Some(Kind::Stopped { step }) = events(&run, 1).last().cloned() else { panic!("not stopped") };
    assert!(step < 50, "too large a rate makes it worse");
    assert!(finish(start(&run)).status.success());
    let said = events(&run, 2);
    assert!(losses(&said).is_empty(), "it had ended early: {:?}", losses(&said));
    assert!(metric(&said, "loss_all_rows").is_some() && run.result().expect("reads").is_some());
}
