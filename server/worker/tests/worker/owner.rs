//! One worker a run, however many are started; and a stop that comes before the first step.

use std::fmt::Write;
use std::time::{Duration, Instant};

use contract::event::Kind;
use contract::stage::Tuning;
use contract::worker::EXIT_STOPPED;
use rundir::{Request, RunDir};

use crate::support::{events, finish, spec, start, text, wait_for};

#[test]
fn f12_r4_of_two_workers_started_at_once_one_trains() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("max_steps", "100000"), ("save_steps", "100000"), ("dev_ratio", "0")];
    let mut spec = spec(place.path(), Tuning::Lora, &values);
    spec.prepared = place.path().join("prepared").to_string_lossy().into_owned();
    for pair in 0..50 {
        let run = RunDir::create(&place.path().join(format!("run-{pair}")), &spec).expect("created");
        let mut both = [start(&run), start(&run)];
        let began = Instant::now();
        let first = loop {
            if let Some(at) = both.iter_mut().position(|child| child.try_wait().expect("asked").is_some()) {
                break at;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "pair {pair}: both train");
            std::thread::sleep(Duration::from_millis(5));
        };
        let [one, two] = both;
        let (gone, other) = if first == 0 { (one, two) } else { (two, one) };
        let gone = finish(gone);
        assert!(!gone.status.success(), "pair {pair}: {}", text(&gone));
        let attempt = if first == 0 { 2 } else { 1 };
        wait_for(&run, attempt, |kind| matches!(kind, Kind::Step { .. }));
        run.control().request(Request::Stop).expect("asked");
        let ended = finish(other);
        assert!(ended.status.success(), "pair {pair}: {}", text(&ended));
        assert_eq!(events(&run, 3 - attempt), [], "pair {pair}: the other wrote nothing");
    }
}

#[test]
fn f12_a_look_at_the_lock_keeps_no_worker_out() {
    let place = tempfile::tempdir().expect("a folder");
    let values = [("max_steps", "2"), ("dev_ratio", "0")];
    let run = RunDir::create(&place.path().join("run"), &spec(place.path(), Tuning::Lora, &values))
        .expect("created");
    let attempt = run.begin_attempt().expect("begun");
    let lock = std::fs::File::create(attempt.path().join("lock")).expect("made");
    lock.lock_shared().expect("held, as who only asks holds it");
    let info = rundir::WorkerInfo::of_this_process("x");
    let held = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(lock);
    });
    assert!(attempt.claim(&info).is_ok());
    held.join().expect("ended");
}

#[test]
fn f9_r19_a_stop_is_heard_while_rows_are_prepared() {
    let place = tempfile::tempdir().expect("a folder");
    let mut spec = spec(place.path(), Tuning::Lora, &[("max_steps", "2"), ("max_target_length", "2000")]);
    let mut lines = String::new();
    let long = "The red kettle stands on the blue shelf. ".repeat(150);
    for row in 0..6000 {
        writeln!(lines, "{}", serde_json::json!({ "prompt": format!("Row {row}?"), "response": long }))
            .expect("text");
    }
    std::fs::write(&spec.dataset.file, lines).expect("written");
    spec.dataset.mapping.prompt = Some("prompt".to_owned());
    spec.dataset.mapping.response = Some("response".to_owned());
    let run = RunDir::create(&place.path().join("run"), &spec).expect("created");
    let child = start(&run);
    wait_for(&run, 1, |kind| matches!(kind, Kind::Preparing { phase } if phase == "tokenizing"));
    run.control().request(Request::Stop).expect("asked");
    let asked = Instant::now();
    let ended = finish(child);
    assert_eq!(ended.status.code(), Some(EXIT_STOPPED), "{}", text(&ended));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(!events(&run, 1).iter().any(|kind| matches!(kind, Kind::Started { .. })), "in the middle of it");
    assert!(!run.control().is_requested(Request::Stop), "the next attempt is not stopped by it");
}
