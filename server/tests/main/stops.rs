//! Stops that hold, whatever happens to the file that asks for them, to the worker, or to its log.

use contract::{RunId, RunState};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::*;

/// A server whose training worker is a script; `$2` is the run's folder, `$4` the attempt.
async fn studio(place: &Path, train: &str) -> AppState {
    let rest = include_str!("../support/stub-worker.sh").replace("train)", "trained)");
    let script = format!(
        "events=\"$2/attempts/000$4/events.jsonl\"\nsay() {{ echo \"{{\\\"seq\\\":$1,\\\"at_ms\\\":1,\\\"what\\\":$2}}\" >&3; }}\n\
         begin() {{ exec 3>>\"$events\"; say 0 '{STARTED}'; }}\nif [ \"$1\" = train ]; then\n{train}\nfi\n{rest}"
    );
    let worker = worker::scripted(place, &script);
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    let config = Config { site_root: public, ..Config::for_testing(place, &worker) };
    let state = AppState::open(config).await.expect("opens");
    state.start().await.expect("starts");
    state
}

const STARTED: &str = r#"{"kind":"started","from_step":0,"total_steps":99,"device":"cpu","trainable_params":1,"total_params":1,"train_rows":1,"eval_rows":0,"dropped_rows":0,"cut_rows":0,"worker":"x"}"#;

async fn is(state: &AppState, run: &str, wanted: RunState, within: Duration) -> serde_json::Value {
    let begun = std::time::Instant::now();
    loop {
        let (_, text) = ask(state, "GET", &format!("/api/v1/runs/{run}"), &[], "").await;
        let view: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if view["summary"]["state"] == wanted.key() {
            return view;
        }
        assert!(begun.elapsed() < within, "not {wanted:?} within {within:?}: {}", view["summary"]["state"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const SOON: Duration = Duration::from_secs(10);

fn id_of(run: &str) -> String {
    serde_json::json!({ "id": run }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_stop_that_was_only_noted_is_brought_about() {
    let place = tempfile::tempdir().expect("a folder");
    let state =
        studio(place.path(), "begin; while [ ! -e \"$2/control/stop\" ]; do sleep 0.05; done; exit 3").await;
    let run = tour(&state).await;
    is(&state, &run, RunState::Running, SOON).await;
    let id = RunId(run.clone());
    // As a server leaves it that dies between noting the stop and asking for it.
    assert!(state.store.move_run(&id, RunState::Stopping, None, 0).await.expect("noted"));
    is(&state, &run, RunState::Stopped, Duration::from_secs(5)).await;
    call(&state, "delete_run", &id_of(&run)).await;
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_r19_a_worker_that_hangs_is_ended_and_the_next_run_trains() {
    let place = tempfile::tempdir().expect("a folder");
    let train = "begin; [ -e \"$2/../hung\" ] && exec sleep 600\ntouch \"$2/../hung\"; echo $$ > \"$2/pid\"; trap '' TERM; exec sleep 600";
    let state = studio(place.path(), train).await;
    let run = tour(&state).await;
    is(&state, &run, RunState::Running, SOON).await;
    let folder = state.run_folder(&RunId(run.clone()));
    let pid = soon(|| std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse::<u32>().ok()).await;
    let begun = std::time::Instant::now();
    call(&state, "stop_run", &id_of(&run)).await;
    is(&state, &run, RunState::Stopping, Duration::from_secs(1)).await;
    let view = is(&state, &run, RunState::Failed, Duration::from_secs(25)).await;
    assert!(begun.elapsed() > SOON, "it was given time to save");
    assert_eq!(view["problem"]["code"], "worker.unresponsive");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "nothing of it is left");
    call(&state, "resume_run", &id_of(&run)).await;
    is(&state, &run, RunState::Running, SOON).await;
    call(&state, "stop_run", &id_of(&run)).await;
    // This one does not hear the file, but SIGTERM.
    is(&state, &run, RunState::Stopped, Duration::from_secs(12)).await;
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_r23_a_log_that_cannot_be_read_for_a_while_loses_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let train = "begin; while [ ! -e \"$2/go\" ]; do sleep 0.05; done\n\
        i=0; while [ $i -lt 50 ]; do i=$((i+1)); say $i \"{\\\"kind\\\":\\\"eval\\\",\\\"step\\\":$i,\\\"eval_loss\\\":1.0}\"; done\n\
        echo '{\"attempt\":1,\"step\":50,\"finished_ms\":1}' > \"$2/result.json\"; exit 0";
    let state = studio(place.path(), train).await;
    let run = tour(&state).await;
    is(&state, &run, RunState::Running, SOON).await;
    let folder = state.run_folder(&RunId(run.clone()));
    let log = folder.join("attempts/0001/events.jsonl");
    std::fs::rename(&log, folder.join("e")).expect("moved");
    std::fs::create_dir(&log).expect("made");
    std::fs::write(folder.join("go"), "").expect("written");
    let written = || std::fs::read_to_string(folder.join("e")).ok().filter(|text| text.lines().count() == 51);
    soon(written).await;
    soon(|| folder.join("result.json").exists().then_some(())).await;
    // Two turns of the queue at least, after the process is gone.
    let active = state.store.active_attempts().await.expect("reads");
    let (pid, start) = active[0].process.expect("noted");
    soon(|| (!server::proc::is_alive(pid, start)).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    is(&state, &run, RunState::Running, Duration::from_secs(1)).await;
    std::fs::remove_dir(&log).expect("removed");
    std::fs::rename(folder.join("e"), &log).expect("put back");
    let view = is(&state, &run, RunState::Finished, SOON).await;
    assert_eq!((view["event_count"].as_u64(), view["attempt"].as_u64()), (Some(51), Some(1)));
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_worker_that_could_not_be_noted_does_not_train_unseen() {
    let place = tempfile::tempdir().expect("a folder");
    let state = studio(place.path(), "echo $$ > \"$2/pid\"; begin; exec sleep 600").await;
    let file = SqliteConnectOptions::new().filename(state.config.database());
    let beside = SqlitePoolOptions::new().max_connections(1).connect_with(file).await.expect("opens");
    let no = "CREATE TRIGGER t BEFORE UPDATE OF pid ON attempt BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(no).execute(&beside).await.expect("made");
    let run = tour(&state).await;
    let view = is(&state, &run, RunState::Failed, SOON).await;
    assert_eq!(view["problem"]["code"], "worker.missing");
    let pid = std::fs::read_to_string(state.run_folder(&RunId(run.clone())).join("pid")).unwrap_or_default();
    soon(|| (pid.is_empty() || !Path::new(&format!("/proc/{}", pid.trim())).exists()).then_some(())).await;
    sqlx::query("DROP TRIGGER t").execute(&beside).await.expect("dropped");
    beside.close().await;
    call(&state, "delete_run", &id_of(&run)).await;
    state.stop().await;
}
