//! Whether a run could be launched, and what hangs without holding up the rest.

use std::sync::atomic::{AtomicUsize, Ordering};

use contract::RunId;

use super::*;

async fn health(state: &AppState) -> (u16, String) {
    ask(state, "GET", "/healthz", &[], "").await
}

#[tokio::test]
async fn f26_health_fails_with_the_loop_that_does_not_turn_and_the_database_that_takes_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
    state.start().await.expect("starts");
    assert_eq!(health(&state).await, (200, "ok\n".to_owned()));
    let held = state.store.begin().await.expect("begins");
    let failing = loop {
        match health(&state).await {
            // an answer holds for a moment
            (200, _) => tokio::time::sleep(Duration::from_millis(50)).await,
            failing => break failing,
        }
    };
    assert_eq!(failing, (503, "failing: database\n".to_owned()));
    drop(held);
    state.loops.expect("queue of another kind", Duration::ZERO);
    let late = loop {
        match health(&state).await {
            (503, text) if text.contains("database") => tokio::time::sleep(Duration::from_millis(50)).await,
            late => break late,
        }
    };
    assert_eq!(late, (503, "failing: queue of another kind\n".to_owned()));
    state.stop().await;
}

#[test]
fn f6_health_fails_when_no_thread_is_left() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build().expect("a runtime");
    let place = tempfile::tempdir().expect("a folder");
    let (go, hang) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
        let hung = tokio::task::spawn_blocking(move || hang.recv());
        assert_eq!(health(&state).await, (503, "failing: threads\n".to_owned()));
        go.send(()).expect("it waits");
        hung.await.expect("ends").expect("told to");
        tokio::time::timeout(LONG, async {
            while health(&state).await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("well again");
    });
}

static BEGUN: AtomicUsize = AtomicUsize::new(0);

async fn panics_once(state: AppState) {
    assert!(BEGUN.fetch_add(1, Ordering::SeqCst) > 0, "the first time");
    state.shutdown.cancelled().await;
}

#[tokio::test]
async fn f26_a_loop_that_panics_is_begun_again() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
    let kept = tokio::spawn(server::loops::keep(state.clone(), "a loop", LONG, panics_once));
    tokio::time::timeout(LONG, async {
        while BEGUN.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("begun again");
    state.shutdown.cancel();
    kept.await.expect("ends with the server");
}

fn fifo(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

/// Lets whoever waits for a pipe go.
fn let_go(path: &Path) {
    let opened = std::fs::File::options().write(true).open(path);
    drop(opened.expect("somebody reads"));
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_run_whose_folder_hangs_holds_up_no_other() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
    let (hangs, other) = (RunId("hangs".to_owned()), RunId("other".to_owned()));
    let events = state.run_folder(&hangs).join("attempts/0001/events.jsonl");
    fifo(&events);
    std::fs::write(state.run_folder(&hangs).join("spec.json"), "{}").expect("written");
    let slow = tokio::spawn({
        let (state, run) = (state.clone(), hangs.clone());
        async move { state.ingest.poll(&state, &run, 1).await }
    });
    while !state.lanes.is_busy("events hangs 1") {
        tokio::task::yield_now().await;
    }
    let fault = state.ingest.poll(&state, &other, 1).await.expect_err("there is no such folder");
    assert!(!server::lanes::is_slow(&fault) && !slow.is_finished(), "it was not waited for: {fault}");
    let fault = slow.await.expect("ends").expect_err("it hangs");
    assert!(server::lanes::is_slow(&fault), "{fault}");
    let fault = state.ingest.poll(&state, &hangs, 1).await.expect_err("it still hangs");
    assert!(server::lanes::is_slow(&fault), "{fault}");
    let_go(&events);
}
