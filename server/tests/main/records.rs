//! Rows that cannot be read, things that others stand on, and launches that are asked for twice.

use std::collections::BTreeSet;

use contract::{RunId, RunState};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::*;

/// Writes to the database past the server.
async fn write(state: &AppState, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(state.config.database());
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("opens");
    sqlx::query(statement).execute(&pool).await.expect(statement);
    pool.close().await;
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// A server with a model `m1` and a dataset, whose queue does not run unless it is started.
async fn studio(place: &Path) -> (AppState, String) {
    let state = AppState::open(config(place)).await.expect("opens");
    let model = contract::ModelId("m1".to_owned());
    state.store.add_model(&model, "little", false, 0).await.expect("added");
    let facts = r#"{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":1,"context_length":1,
        "digest":"d","has_chat_template":false,"source":"scratch"}"#;
    state.store.end_import(&model, Ok(&serde_json::from_str(facts).expect("facts"))).await.expect("ready");
    std::fs::create_dir_all(state.model_folder(&model)).expect("made");
    let data = dataset(&state, "a").await;
    (state, data)
}

async fn dataset(state: &AppState, name: &str) -> String {
    let row = format!("{{\"prompt\":\"{name}?\",\"response\":\"{name}.\"}}\n");
    let (_, text) = ask(state, "POST", &format!("/api/v1/uploads?name={name}.jsonl"), &[], &row).await;
    let view: serde_json::Value = serde_json::from_str(&text).expect("a dataset");
    view["id"].as_str().expect("an id").to_owned()
}

fn draft(name: &str, dataset: &str, adapters: &str) -> serde_json::Value {
    serde_json::json!({
        "name": name, "dataset": dataset, "model": "m1", "stage": "sft", "template": "alpaca", "system": "",
        "tuning": "lora", "reward_model": "", "adapters": adapters, "values": {},
    })
}

/// Status and answer of a launch.
async fn launch(state: &AppState, draft: &serde_json::Value, key: Option<&str>) -> (u16, serde_json::Value) {
    let body = serde_json::json!({ "draft": draft, "key": key }).to_string();
    let (status, text) = ask(state, "POST", "/api/launch_run", &JSON, &body).await;
    (status, serde_json::from_str(&text).expect("JSON"))
}

async fn launched(state: &AppState, draft: &serde_json::Value) -> String {
    let (status, run) = launch(state, draft, None).await;
    assert_eq!(status, 200, "{run}");
    run.as_str().expect("an id").to_owned()
}

/// Status and first code of a call about one thing.
async fn about(state: &AppState, name: &str, id: &str) -> (u16, String) {
    let (status, text) =
        ask(state, "POST", &format!("/api/{name}"), &JSON, &serde_json::json!({ "id": id }).to_string())
            .await;
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    (status, answer[0]["code"].as_str().unwrap_or_default().to_owned())
}

/// A checkpoint of step `step` of a run, as a worker leaves it.
fn save(state: &AppState, run: &str, step: u64) {
    let folder = rundir::RunDir::open(&state.run_folder(&RunId(run.to_owned()))).expect("opens");
    let writer = folder.begin_checkpoint(step).expect("begun");
    let header = br#"{"a.q_proj.lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#;
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header);
    weights.extend([0; 4]);
    writer.write("adapter_model.safetensors", &weights).expect("written");
    writer.write("adapter_config.json", br#"{"peft_type":"LORA"}"#).expect("written");
    writer.commit("adapter_model.safetensors", Default::default()).expect("saved");
}

/// A run that a worker has trained to step 20, and that is over.
async fn trained(state: &AppState, name: &str, data: &str, adapters: &str) -> String {
    let run = launched(state, &draft(name, data, adapters)).await;
    reaches(state, &run, "running").await;
    save(state, &run, 20);
    call(state, "stop_run", &serde_json::json!({ "id": run }).to_string()).await;
    reaches(state, &run, "stopped").await;
    while !state.store.active_attempts().await.expect("reads").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_e_a_record_that_cannot_be_read_is_listed_as_such_and_blocks_nobody() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    let mut runs = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        runs.push(launched(&state, &draft(name, &data, "")).await);
    }
    let other = dataset(&state, "b").await;
    write(&state, "UPDATE run SET spec = '{}' WHERE name = 'two'").await;
    write(&state, "UPDATE run SET stage = 'grpo' WHERE name = 'three'").await;
    write(&state, "UPDATE run SET spec = replace(spec, '\"lr_scheduler_type\":\"cosine\"', '\"lr_scheduler_type\":\"wsd\"') WHERE name = 'four'").await;
    write(&state, "UPDATE dataset SET inspection = '{}' WHERE name = 'b'").await;
    write(
        &state,
        "INSERT INTO model (id, name, state, facts, created_ms) VALUES ('m2', 'odd', 'ready', '{}', 0)",
    )
    .await;

    let list = call(&state, "list_runs", "{}").await;
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 5);
    let odd: BTreeSet<_> = list
        .iter()
        .filter(|one| one["unreadable"].is_object())
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(odd, ["four", "three", "two"].into(), "what it was meant to be is not guessed");
    let codes: BTreeSet<_> = list.iter().filter_map(|one| one["unreadable"]["code"].as_str()).collect();
    assert_eq!(codes, ["run.unreadable"].into());
    assert_eq!(about(&state, "get_run", &runs[1]).await.1, "run.unreadable");
    for (name, code) in [("list_datasets", "dataset.record_broken"), ("list_models", "model.record_broken")] {
        let list = call(&state, name, "{}").await;
        let list = list.as_array().expect("a list");
        assert_eq!(list.len(), 2, "{name}");
        assert_eq!(
            list.iter().filter(|one| one["unreadable"]["code"] == code).count(),
            1,
            "{name}: {list:?}"
        );
    }
    for page in ["/runs", "/datasets", "/models", "/runs/new", "/playground", "/settings"] {
        let (status, html) = ask(&state, "GET", page, &[], "").await;
        assert!(status == 200 && !html.contains("server.fault") && !html.contains("(fault "), "{page}");
    }
    call(&state, "list_voices", "{}").await;

    state.start().await.expect("starts");
    for (run, state_of) in [(&runs[0], "running"), (&runs[1], ""), (&runs[4], "running")] {
        if !state_of.is_empty() {
            reaches(&state, run, state_of).await;
            call(&state, "stop_run", &serde_json::json!({ "id": run }).to_string()).await;
            reaches(&state, run, "stopped").await;
        }
    }
    for run in &runs[1..4] {
        let id = RunId(run.clone());
        let (now, problem) = state.store.run_state(&id).await.expect("reads").expect("there");
        assert_eq!((now, problem.map(|one| one.code.as_str())), (RunState::Failed, Some("run.unreadable")));
    }
    // what cannot be read can be deleted, and so can what has nothing to do with it
    for run in &runs[1..4] {
        assert_eq!(about(&state, "delete_run", run).await.0, 200);
    }
    assert_eq!(about(&state, "delete_dataset", &other).await.0, 200);
    assert_eq!(about(&state, "delete_model", "m2").await.0, 200);
    assert_eq!(call(&state, "list_runs", "{}").await.as_array().map(Vec::len), Some(2));
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_a_damaged_folder_is_told_of_its_run_and_of_no_other() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    state.start().await.expect("starts");
    let (sound, damaged) =
        (trained(&state, "sound", &data, "").await, trained(&state, "damaged", &data, "").await);
    let folder = state.run_folder(&RunId(damaged.clone())).join("checkpoints");
    std::fs::remove_dir_all(&folder).expect("removed");
    std::fs::write(&folder, "a file").expect("written");
    let voices = call(&state, "list_voices", "{}").await;
    let steps = voices.as_array().expect("a list").iter().filter(|one| one["target"]["step"] == 20);
    assert_eq!(steps.map(|one| one["target"]["run"].clone()).collect::<Vec<_>>(), [sound.as_str()]);
    let view = call(&state, "get_run", &serde_json::json!({ "id": damaged }).to_string()).await;
    assert!(
        view["damage"]["code"].is_string() && view["checkpoints"] == serde_json::json!([]),
        "{}",
        view["damage"]
    );
    assert_eq!(ask(&state, "GET", &format!("/runs/{damaged}"), &[], "").await.0, 200);
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_n3_a_checkpoint_that_others_stand_on_stays_and_so_does_its_run() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    state.start().await.expect("starts");
    let a = trained(&state, "a", &data, "").await;
    let b = launched(&state, &draft("b", &data, &format!("{a}:20"))).await;
    reaches(&state, &b, "running").await;
    // retention, as the worker of A does it
    let folder = rundir::RunDir::open(&state.run_folder(&RunId(a.clone()))).expect("opens");
    for step in [30, 40, 50] {
        save(&state, &a, step);
    }
    folder.keep(1, None).expect("kept");
    let there: Vec<_> = folder.checkpoints().expect("lists").iter().map(rundir::Checkpoint::step).collect();
    assert_eq!(there, [50, 20], "B stands on step 20, queued, running or over");
    call(&state, "stop_run", &serde_json::json!({ "id": b }).to_string()).await;
    reaches(&state, &b, "stopped").await;

    let refused = launch(&state, &draft("c", &data, &format!("{a}:30")), None).await;
    assert_eq!((refused.0, refused.1[0]["code"].as_str()), (404, Some("not_found")));
    let (status, answer) = {
        let body = serde_json::json!({ "id": a }).to_string();
        let (status, text) = ask(&state, "POST", "/api/delete_run", &JSON, &body).await;
        (status, serde_json::from_str::<serde_json::Value>(&text).expect("JSON"))
    };
    assert_eq!((status, answer[0]["code"].as_str()), (409, Some("run.stood_on")));
    assert_eq!(answer[0]["params"]["names"], "b", "it says what stands on it");
    let usage = call(&state, "runs_using", &serde_json::json!({ "kind": "run", "id": a }).to_string()).await;
    assert_eq!(usage, serde_json::json!({ "runs": 1, "names": ["b"] }));

    assert_eq!(about(&state, "delete_run", &b).await.0, 200);
    assert_eq!(about(&state, "delete_run", &a).await.0, 200, "nothing stands on it any more");
    let purge = |id: String| serde_json::json!({ "kind": "run", "id": id }).to_string();
    let (status, _) = ask(&state, "POST", "/api/purge_deleted", &JSON, &purge(a.clone())).await;
    assert_eq!(status, 409, "B can be brought back still");
    call(&state, "restore_deleted", &purge(b.clone())).await;
    assert_eq!(
        call(&state, "list_runs", "{}").await.as_array().map(Vec::len),
        Some(2),
        "B comes back with A"
    );
    call(&state, "resume_run", &serde_json::json!({ "id": b }).to_string()).await;
    reaches(&state, &b, "running").await;
    call(&state, "stop_run", &serde_json::json!({ "id": b }).to_string()).await;
    reaches(&state, &b, "stopped").await;

    // what a start needs is asked for before it (N3)
    std::fs::remove_dir_all(folder.path().join("checkpoints/step-00000020")).expect("removed by hand");
    let (status, code) = about(&state, "resume_run", &b).await;
    assert!(status != 200 && code.starts_with("chain."), "{status} {code}");
    assert_eq!(
        state.store.run_state(&RunId(b)).await.expect("reads").map(|now| now.0),
        Some(RunState::Stopped)
    );
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_a_launch_and_a_deletion_at_once_never_leave_a_run_without_its_data() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, _) = studio(place.path()).await;
    let (mut ran, mut went) = (0, 0);
    for round in 0..100 {
        let data = dataset(&state, &format!("d{round}")).await;
        let draft = draft("x", &data, "");
        let (launched, deleted) = if round % 2 == 0 {
            tokio::join!(launch(&state, &draft, None), about(&state, "delete_dataset", &data))
        } else {
            let (deleted, launched) =
                tokio::join!(about(&state, "delete_dataset", &data), launch(&state, &draft, None));
            (launched, deleted)
        };
        match (launched.0, deleted.0) {
            (200, 409) => {
                assert_eq!(deleted.1, "dataset.in_use");
                ran += 1;
            }
            (404, 200) => went += 1,
            both => panic!("round {round}: {both:?} {} {}", launched.1, deleted.1),
        }
    }
    assert_eq!(ran + went, 100);
    assert_eq!(call(&state, "list_runs", "{}").await.as_array().map(Vec::len), Some(ran));
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_an_edit_and_a_deletion_at_once_leave_a_whole_dataset_or_none() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, _) = studio(place.path()).await;
    for round in 0..20 {
        let data = dataset(&state, &format!("d{round}")).await;
        let edit = serde_json::json!({ "id": data, "edit": { "row": 1, "cells": [{ "column": "prompt", "text": "new?", "json": false }] } });
        let edit = edit.to_string();
        let (_, deleted) = tokio::join!(
            ask(&state, "POST", "/api/edit_row", &JSON, &edit),
            about(&state, "delete_dataset", &data)
        );
        assert_eq!(deleted.0, 200);
    }
    let list = call(&state, "list_datasets", "{}").await;
    let versions: Vec<_> =
        list.as_array().expect("a list").iter().map(|one| one["version"].clone()).collect();
    assert_eq!(versions, [1], "no version without the one it was made from: {list}");
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f25_a_tour_that_is_begun_twice_is_one_run() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let begun = futures::future::join_all((0..8).map(|_| call(&state, "start_tour", "{}"))).await;
    let runs: BTreeSet<_> = begun.iter().map(|view| view["run"].as_str().expect("an id")).collect();
    assert_eq!(runs.len(), 1);
    assert_eq!(call(&state, "list_datasets", "{}").await.as_array().map(Vec::len), Some(1));
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_launch_asked_for_fifty_times_under_one_key_is_one_run() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    let draft = draft("x", &data, "");
    let all = futures::future::join_all((0..50).map(|_| launch(&state, &draft, Some("key-1")))).await;
    assert!(all.iter().all(|(status, _)| *status == 200), "{:?}", all[0]);
    let runs: BTreeSet<_> = all.iter().map(|(_, run)| run.as_str().expect("an id")).collect();
    assert_eq!(runs.len(), 1);
    let again = launch(&state, &draft, Some("key-2")).await;
    assert!(!runs.contains(again.1.as_str().expect("an id")), "another key is another run");
    let mut other = draft.clone();
    other["name"] = "y".into();
    let reused = launch(&state, &other, Some("key-1")).await;
    assert_eq!((reused.0, reused.1[0]["code"].as_str()), (422, Some("run.key_reused")));
    for bad in ["", "a b", "ä", &"x".repeat(201)] {
        assert_eq!(launch(&state, &draft, Some(bad)).await.0, 422, "{bad}");
    }

    let id = runs.first().expect("a run");
    let (_, text) = ask(&state, "GET", &format!("/api/v1/runs/{id}/specification.json"), &[], "").await;
    let key = [("idempotency-key", "from a script")];
    assert_eq!(ask(&state, "POST", "/api/v1/runs", &key, &text).await.0, 422, "no spaces");
    let key = [("idempotency-key", "from-a-script")];
    let (first, second) = tokio::join!(
        ask(&state, "POST", "/api/v1/runs", &key, &text),
        ask(&state, "POST", "/api/v1/runs", &key, &text)
    );
    assert_eq!((first.0, second.0), (201, 201), "{}", first.1);
    assert_eq!(first.1, second.1);
    assert_eq!(call(&state, "list_runs", "{}").await.as_array().map(Vec::len), Some(3));
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n6_a_run_that_a_worker_holds_is_not_deleted_whatever_its_row_says() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    state.start().await.expect("starts");
    let run = trained(&state, "a", &data, "").await;
    let folder = rundir::RunDir::open(&state.run_folder(&RunId(run.clone()))).expect("opens");
    let claim = folder.attempt(1).claim(&rundir::WorkerInfo::of_this_process("0")).expect("claimed");
    assert_eq!(about(&state, "delete_run", &run).await, (409, "run.training".to_owned()));
    drop(claim);
    assert_eq!(about(&state, "delete_run", &run).await.0, 200);
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back_whole_and_goes_for_good_in_the_end() {
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    state.start().await.expect("starts");
    let run = trained(&state, "a", &data, "").await;
    let before = call(&state, "get_run", &serde_json::json!({ "id": run }).to_string()).await;
    for (name, id) in [("delete_run", run.as_str()), ("delete_dataset", &data), ("delete_model", "m1")] {
        assert_eq!(about(&state, name, id).await.0, 200, "{name}");
        assert_eq!(about(&state, name, id).await, (404, "not_found".to_owned()), "{name} twice");
    }
    for (list, get, id) in [
        ("list_runs", "get_run", run.as_str()),
        ("list_datasets", "get_dataset", &data),
        ("list_models", "get_run", "m1"),
    ] {
        assert_eq!(call(&state, list, "{}").await, serde_json::json!([]), "{list}");
        assert_eq!(about(&state, get, id).await.0, 404);
    }
    let deleted = call(&state, "list_deleted", "{}").await;
    let deleted = deleted.as_array().expect("a list");
    assert_eq!(deleted.len(), 3);
    assert!(deleted.iter().filter(|one| one["kind"] != "model").all(|one| one["bytes"].as_u64() > Some(0)));
    for one in deleted {
        let what = serde_json::json!({ "kind": one["kind"], "id": one["id"] }).to_string();
        call(&state, "restore_deleted", &what).await;
    }
    let after = call(&state, "get_run", &serde_json::json!({ "id": run }).to_string()).await;
    assert_eq!(after, before);
    call(&state, "resume_run", &serde_json::json!({ "id": run }).to_string()).await;
    reaches(&state, &run, "running").await;
    call(&state, "stop_run", &serde_json::json!({ "id": run }).to_string()).await;
    reaches(&state, &run, "stopped").await;
    while !state.store.active_attempts().await.expect("reads").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    for (name, id) in [("delete_run", run.as_str()), ("delete_dataset", &data), ("delete_model", "m1")] {
        assert_eq!(about(&state, name, id).await.0, 200, "{name}");
    }
    server::services::trash::turn(&state).await.expect("looks");
    assert_eq!(
        call(&state, "list_deleted", "{}").await.as_array().map(Vec::len),
        Some(3),
        "thirty days are not over"
    );
    write(&state, "UPDATE run SET deleted_ms = deleted_ms - 2592000001").await;
    write(&state, "UPDATE dataset SET deleted_ms = deleted_ms - 2592000001").await;
    server::services::trash::turn(&state).await.expect("looks");
    let left = call(&state, "list_deleted", "{}").await;
    assert_eq!(
        left.as_array().expect("a list").iter().map(|one| one["kind"].clone()).collect::<Vec<_>>(),
        ["model"]
    );
    assert!(!state.run_folder(&RunId(run)).exists() && !state.config.folder("datasets").join(&data).exists());
    state.stop().await;
}

/// Counts the statements that the database is asked.
#[derive(Clone, Default)]
struct Statements(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g_lists_and_deletions_ask_the_database_as_often_however_many_runs_there_are() {
    use std::sync::atomic::Ordering;
    use tracing_subscriber::layer::SubscriberExt;
    let statements = Statements::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(statements.clone()))
        .expect("a process of its own");
    let place = tempfile::tempdir().expect("a folder");
    let (state, data) = studio(place.path()).await;
    state.start().await.expect("starts");
    trained(&state, "a", &data, "").await;
    write(
        &state,
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
         INSERT INTO run (id, name, state, stage, tuning, model_id, model_name, dataset_id, dataset_name, spec, created_ms, updated_ms, queued_ms)
         SELECT 'r' || n, name, 'stopped', stage, tuning, model_id, model_name, dataset_id, dataset_name, spec, 0, 0, 0 FROM run, n",
    )
    .await;
    state.shutdown.cancel();
    state.tasks.close();
    state.tasks.wait().await;
    for (name, body) in [
        ("list_voices", "{}".to_owned()),
        ("list_runs", "{}".to_owned()),
        ("dataset_versions", serde_json::json!({ "id": data }).to_string()),
        ("delete_dataset", serde_json::json!({ "id": data }).to_string()),
    ] {
        let before = statements.0.load(Ordering::SeqCst);
        call(&state, name, &body).await;
        let asked = statements.0.load(Ordering::SeqCst) - before;
        assert!((1..=6).contains(&asked), "{name}: {asked} statements for 301 runs");
    }
    state.stop().await;
}
