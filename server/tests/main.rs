//! The server from outside: real database, real sockets, a stub worker.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "support/markup.rs"]
mod markup;
#[path = "main/records.rs"]
mod records;
#[path = "support/site.rs"]
mod site;
#[path = "main/stops.rs"]
mod stops;
#[path = "support/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::chat::{ChatMessage, ChatRequest, ChatTarget};
use contract::checkpoint::Mark;
use contract::dataset::FileKind;
use contract::event::{Event, Kind};
use contract::registry::Finding;
use contract::run::RunView;
use contract::wire::ServerFrame;
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use server::{AppState, config::Config};
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

fn config(place: &Path) -> Config {
    let worker = worker::stub(place);
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    Config { site_root: public, ..Config::for_testing(place, &worker) }
}

async fn ask(
    state: &AppState,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let mut request = axum::http::Request::builder().method(method).uri(path).header("host", "localhost");
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    let request = request.body(axum::body::Body::from(body.to_owned())).expect("a request");
    let response = server::build(state).oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

async fn call(state: &AppState, name: &str, body: &str) -> serde_json::Value {
    let path = format!("/api/{name}");
    let (status, text) = ask(state, "POST", &path, &[("content-type", "application/json")], body).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn what_is_refused_is_not_answered_as_a_fault_of_the_server() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let json = [("content-type", "application/json")];
    let draft = r#"{"draft":{"name":"x","dataset":"gone","model":"gone","stage":"sft","template":"default","system":"",
        "tuning":"lora","values":{},"reward_model":""}}"#;
    for (name, body, expected, code) in [
        ("get_run", r#"{"id":"gone"}"#, 404, "not_found"),
        ("get_dataset", r#"{"id":"gone"}"#, 404, "not_found"),
        ("launch_run", draft, 404, "not_found"),
        (
            "create_model",
            r#"{"new":{"from":"path","name":"x","path":"/no/such"}}"#,
            422,
            "model.no_such_path",
        ),
        ("get_run", r#"{"id":7}"#, 422, "wire.unreadable"),
        ("get_run", "{", 422, "wire.unreadable"),
        ("get_run", "", 422, "wire.unreadable"),
    ] {
        let (status, text) = ask(&state, "POST", &format!("/api/{name}"), &json, body).await;
        let problems: serde_json::Value = serde_json::from_str(&text).expect("problems");
        assert_eq!((status, problems[0]["code"].as_str()), (expected, Some(code)), "{name} {body}: {text}");
    }
}

/// A new model from a path, as the browser asks for it.
fn from_path(path: &Path) -> String {
    serde_json::json!({ "new": { "from": "path", "name": "x", "path": path } }).to_string()
}

#[tokio::test]
async fn f15_n20_what_is_no_file_is_refused_at_once_and_nothing_tells_missing_from_unreadable() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let at = |name: &str| place.path().join(name);
    let made = std::process::Command::new("mkfifo").arg(at("pipe.gguf")).status().expect("mkfifo");
    assert!(made.success());
    symlink("circle.gguf", at("circle.gguf")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.gguf")).expect("a socket");
    std::fs::write(at("hidden.gguf"), "x").expect("written");
    std::fs::set_permissions(at("hidden.gguf"), std::fs::Permissions::from_mode(0o0)).expect("closed");
    let readable = std::fs::File::open(at("hidden.gguf")).is_ok();
    for (path, code) in [
        (at("pipe.gguf"), "model.not_a_file"),
        (at("circle.gguf"), "model.not_a_file"),
        (at("socket.gguf"), "model.not_a_file"),
        ("/dev/zero".into(), "model.not_a_file"),
        ("/proc/self/maps".into(), "model.not_a_file"),
        (at("nothing.gguf"), "model.no_such_path"),
        ("hidden.gguf".into(), "model.no_such_path"),
        // Root reads everything.
        (at(if readable { "nothing.gguf" } else { "hidden.gguf" }), "model.no_such_path"),
    ] {
        let json = [("content-type", "application/json")];
        let (status, text) = ask(&state, "POST", "/api/create_model", &json, &from_path(&path)).await;
        assert!(status == 422 && text.contains(code), "{}: {status} {text}", path.display());
    }
    assert!(state.store.models().await.expect("reads").is_empty());
}

#[tokio::test]
async fn f15_f22_deleting_an_importing_model_ends_its_worker_and_lets_the_next_one_in() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let sources = ["hanging", "waiting-hanging", "next"].map(|name| place.path().join(name));
    let mut ids = Vec::new();
    for source in &sources {
        std::fs::create_dir(source).expect("a folder");
        ids.push(call(&state, "create_model", &from_path(source)).await["id"].clone());
    }
    let pid_file = sources[0].join("pid");
    let pid = soon(|| std::fs::read_to_string(&pid_file).ok()?.trim().parse::<u32>().ok()).await;
    // The second waits behind the first; deleting it needs no turn.
    for id in [&ids[1], &ids[0]] {
        call(&state, "delete_model", &serde_json::json!({ "id": id }).to_string()).await;
    }
    soon(|| (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())).await;
    assert!(!sources[1].join("pid").exists(), "a deleted import never starts");
    let mut state_of_next = "importing".to_owned();
    for _ in 0..200 {
        let models = state.store.models().await.expect("reads");
        assert_eq!(models.len(), 1, "two were deleted");
        state_of_next = models[0].state.clone();
        if state_of_next != "importing" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(state_of_next, "ready");
    let models = state.config.folder("models");
    let left = || std::fs::read_dir(&models).expect("lists").flatten().map(|entry| entry.file_name());
    soon(|| left().all(|name| !name.to_string_lossy().starts_with("new-")).then_some(())).await;
    assert_eq!(left().count(), 1, "only the model that came in");
}

#[tokio::test]
async fn f22_a_killed_import_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let source = place.path().join("hanging");
    std::fs::create_dir(&source).expect("a folder");
    call(&state, "create_model", &from_path(&source)).await;
    let pid = soon(|| std::fs::read_to_string(source.join("pid")).ok()?.trim().parse::<u32>().ok()).await;
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill");
    assert!(killed.success());
    let models = state.config.folder("models");
    soon(|| (std::fs::read_dir(&models).expect("lists").count() == 0).then_some(())).await;
    let models = state.store.models().await.expect("reads");
    assert_eq!(models.len(), 1, "the row says what happened");
}

/// Waits, up to ten seconds, until something is there.
async fn soon<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..200 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it took longer than ten seconds");
}

async fn reaches(state: &AppState, run: &str, wanted: &str) -> serde_json::Value {
    for _ in 0..100 {
        let (_, text) = ask(state, "GET", &format!("/api/v1/runs/{run}"), &[], "").await;
        let view: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        if view["summary"]["state"] == wanted {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the run was not {wanted} within 5 s");
}

async fn tour(state: &AppState) -> String {
    call(state, "start_tour", "{}").await["run"].as_str().expect("an id").to_owned()
}

async fn ordinals(state: &AppState, run: &str, from: u64, count: usize) -> Vec<u64> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let service = server::build(state);
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.expect("connects");
    let frame = format!(r#"{{"type":"subscribe","run":"{run}","from":{from}}}"#);
    socket.send(Message::Text(frame.into())).await.expect("sent");
    let mut seen = Vec::new();
    while seen.len() < count {
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("in time");
        let Message::Text(text) = message.expect("open").expect("whole") else { continue };
        if let ServerFrame::Events { events, .. } = serde_json::from_str(text.as_str()).expect("a frame") {
            seen.extend(events.iter().map(|event| event.ord));
        }
    }
    server.abort();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_timed_once_and_its_best_time_is_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    assert_eq!(call(&state, "read_system", "{}").await["speed"], serde_json::Value::Null, "not yet");
    let timed = server::services::system::speed(&state).await;
    assert_eq!(call(&state, "read_system", "{}").await["speed"].as_f64(), timed);
    assert_eq!(timed, Some(1e11), "what the worker says");
    let kept = state.config.data_dir.join("speed.json");
    state.stop().await;
    std::fs::write(&kept, "2e11").expect("written");
    let state = AppState::open(config(place.path())).await.expect("opens again");
    assert_eq!(server::services::system::speed(&state).await, Some(2e11), "it was busy this time");
    std::fs::write(&kept, "what?").expect("written");
    let state = AppState::open(config(place.path())).await.expect("opens again");
    assert_eq!(server::services::system::speed(&state).await, Some(1e11), "a damaged file is timed anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_streams_without_gaps_stops_resumes_and_survives_a_restart() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let run = tour(&state).await;
    reaches(&state, &run, "running").await;
    let first = ordinals(&state, &run, 0, 8).await;
    let next = first.len() as u64;
    let later = ordinals(&state, &run, next, 8).await;
    let all: Vec<u64> = first.into_iter().chain(later).collect();
    assert!(all.iter().enumerate().all(|(at, ord)| at as u64 == *ord), "{all:?}");
    state.stop().await;

    let state = AppState::open(config(place.path())).await.expect("opens again");
    state.start().await.expect("starts again");
    assert_eq!(reaches(&state, &run, "running").await["attempt"], 1, "the same worker goes on");
    call(&state, "stop_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    reaches(&state, &run, "stopped").await;
    call(&state, "resume_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    assert_eq!(reaches(&state, &run, "running").await["attempt"], 2);
    let active = state.store.active_attempts().await.expect("reads");
    let (pid, _) = active[0].process.expect("a process");
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("killed");
    let view = reaches(&state, &run, "failed").await;
    assert_eq!(view["problem"]["code"], "worker.killed");
    call(&state, "delete_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    call(&state, "purge_deleted", &format!(r#"{{"kind":"run","id":"{run}"}}"#)).await;
    assert!(!state.run_folder(&contract::RunId(run)).exists());
    state.stop().await;
}

/// What every model of this server was asked so far, a command each.
fn asked(state: &AppState) -> Vec<serde_json::Value> {
    let models = std::fs::read_dir(state.config.folder("models")).expect("lists");
    let lines = models.filter_map(|model| std::fs::read_to_string(model.ok()?.path().join("asked")).ok());
    lines
        .flat_map(|text| {
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<_>>()
        })
        .collect()
}

async fn look_at_tour(state: &AppState, run: &str) -> serde_json::Value {
    call(state, "get_tour", &format!(r#"{{"run":"{run}"}}"#)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_from_before_training_is_made_once_and_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let run = tour(&state).await;
    let mut kept = serde_json::Value::Null;
    for _ in 0..100 {
        kept = look_at_tour(&state, &run).await["before"].clone();
        if !kept.is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((&kept["answer"], &kept["reason"]), (&"answer 1".into(), &"stop".into()), "{kept}");
    let commands = asked(&state);
    assert_eq!(commands.len(), 1, "once, however many look: {commands:?}");
    assert_eq!(commands[0]["settings"]["do_sample"], false, "the likeliest token each time");
    for _ in 0..3 {
        assert_eq!(look_at_tour(&state, &run).await["before"], kept);
    }
    state.stop().await;

    let state = AppState::open(config(place.path())).await.expect("opens again");
    state.start().await.expect("starts again");
    assert_eq!(look_at_tour(&state, &run).await["before"], kept, "after a restart, too");
    assert_eq!(asked(&state).len(), 1);
    call(&state, "stop_run", &format!(r#"{{"id":"{run}"}}"#)).await;
    reaches(&state, &run, "stopped").await;
    let id = contract::RunId(run);
    while !state.store.active_attempts().await.expect("reads").is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    call(&state, "delete_run", &format!(r#"{{"id":"{id}"}}"#)).await;
    call(&state, "purge_deleted", &format!(r#"{{"kind":"run","id":"{id}"}}"#)).await;
    assert_eq!(state.store.before_answer(&id).await.expect("reads"), None, "it goes with its run");
    state.stop().await;
}

/// What the model was asked with: template, and the system text if there is one.
async fn asked_with(state: &AppState, target: ChatTarget, system: Option<&str>) -> (String, Option<String>) {
    let message =
        |role: &str, content: &str| ChatMessage { role: role.to_owned(), content: content.to_owned() };
    let mut messages = vec![message("user", "Tea?")];
    messages.splice(0..0, system.map(|text| message("system", text)));
    let request = ChatRequest { target, template: None, messages, settings: Default::default() };
    let mut answer = server::services::chat::answer(state, request).await.expect("asked");
    while answer.next().await.is_some() {}
    let last = asked(state).pop().expect("a question");
    let texts = last["messages"].as_array().expect("messages").iter();
    let systems: Vec<_> =
        texts.filter(|one| one["role"] == "system").map(|one| one["content"].clone()).collect();
    assert!(systems.len() <= 1, "{systems:?}");
    let system = systems.first().and_then(|text| text.as_str()).map(str::to_owned);
    (last["template"].as_str().expect("a key").to_owned(), system)
}

#[tokio::test(flavor = "multi_thread")]
async fn s_222_s_032_s_061_a_question_is_asked_as_its_rows_were_trained() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let model = contract::ModelId("m1".to_owned());
    state.store.add_model(&model, "vicuna-7b", false, 0).await.expect("added");
    let facts = r#"{"architecture":"llama","parameters":1,"vocab_size":1,"layers":1,"hidden_size":1,"context_length":1,
        "digest":"d","has_chat_template":false,"source":"scratch"}"#;
    state.store.end_import(&model, Ok(&serde_json::from_str(facts).expect("facts"))).await.expect("ready");
    std::fs::create_dir_all(state.model_folder(&model)).expect("made");
    let mut data = Vec::new();
    for name in ["a", "b"] {
        let row = format!("{{\"prompt\":\"{name}?\",\"response\":\"{name}.\"}}\n");
        let (_, text) = ask(&state, "POST", &format!("/api/v1/uploads?name={name}.jsonl"), &[], &row).await;
        let view: serde_json::Value = serde_json::from_str(&text).expect("a dataset");
        data.push(view["id"].as_str().expect("an id").to_owned());
    }
    for (further, prefix, expected) in [
        (data[1].as_str(), "Be brief.|Be kind.", Some("Be brief.")),
        (&data[1], "Be brief.", Some("Be brief.")),
        (&data[1], "|Be kind.", None),
        ("", "", Some("Of the run.")),
    ] {
        let draft = serde_json::json!({
            "name": "x", "dataset": data[0], "more_datasets": further, "model": "m1", "stage": "sft", "template": "alpaca",
            "system": "Of the run.", "tuning": "lora", "reward_model": "", "values": {"source_prefix": prefix},
        });
        let run = call(&state, "launch_run", &serde_json::json!({ "draft": draft }).to_string()).await;
        let run = run.as_str().expect("an id").to_owned();
        reaches(&state, &run, "running").await;
        let id = contract::RunId(run.clone());
        let writer =
            rundir::RunDir::open(&state.run_folder(&id)).expect("opens").begin_checkpoint(5).expect("begun");
        writer.write("adapter_model.safetensors", b"weights").expect("written");
        writer.commit("adapter_model.safetensors", Default::default()).expect("saved");
        let target = ChatTarget { model: model.clone(), run: Some(id), step: None };
        let expected = expected.map(str::to_owned);
        assert_eq!(
            asked_with(&state, target.clone(), None).await,
            ("alpaca".to_owned(), expected),
            "{prefix}"
        );
        let own = asked_with(&state, target, Some("My own.")).await;
        assert_eq!(own, ("alpaca".to_owned(), Some("My own.".to_owned())));
        call(&state, "stop_run", &format!(r#"{{"id":"{run}"}}"#)).await;
        reaches(&state, &run, "stopped").await;
    }
    let base = ChatTarget { model, run: None, step: None };
    assert_eq!(asked_with(&state, base, None).await, ("vicuna".to_owned(), None), "by its family");
    let voices = call(&state, "list_voices", "{}").await;
    let systems = voices.as_array().expect("a list").iter().map(|voice| voice["systems"].clone());
    let brief_and_kind = serde_json::json!(["Be brief.", "Be kind."]);
    assert!(systems.clone().any(|texts| texts == brief_and_kind), "{voices}");
    state.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_are_gone_are_listed_nowhere_and_none_worse_than_the_base_is_the_best() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    state.start().await.expect("starts");
    let run = tour(&state).await;
    reaches(&state, &run, "running").await;
    let id = contract::RunId(run.clone());
    let folder = rundir::RunDir::open(&state.run_folder(&id)).expect("opens");
    for step in [20, 30] {
        let writer = folder.begin_checkpoint(step).expect("begun");
        writer.write("adapter_model.safetensors", b"weights").expect("written");
        writer.commit("adapter_model.safetensors", Default::default()).expect("saved");
    }
    let saved = |step, loss| Kind::Checkpoint {
        step,
        folder: String::new(),
        eval_loss: Some(loss),
        best: true,
        digest: String::new(),
    };
    let base = Kind::Eval { step: 0, eval_loss: Some(4.5), metrics: Default::default() };
    let told = [base, saved(10, 3.9), saved(20, 12.0), saved(30, 35.37)];
    let event = |(seq, kind): (usize, Kind)| Event { seq: seq as u64, at_ms: 1, what: kind.into() };
    let mut tx = state.store.begin().await.expect("begins");
    let events = told.into_iter().enumerate().map(event).collect();
    state.store.add_events(&mut tx, &id, 2, events).await.expect("stored");
    tx.commit().await.expect("commits");

    let (_, text) = ask(&state, "GET", &format!("/api/v1/runs/{run}"), &[], "").await;
    let view: RunView = serde_json::from_str(&text).expect("a run");
    let marks: Vec<_> = view.checkpoints.iter().map(|one| (one.step, one.mark)).collect();
    assert_eq!(marks, [(30, Some(Mark::NoBetter)), (20, Some(Mark::NoBetter))]);
    let voices = call(&state, "list_voices", "{}").await;
    let of_run =
        voices.as_array().expect("a list").iter().filter(|voice| voice["target"]["run"] == run.as_str());
    let picker: Vec<_> =
        of_run.map(|voice| (voice["target"]["step"].as_u64(), voice["mark"].clone())).collect();
    assert_eq!(picker, [(Some(30), "no_better".into()), (Some(20), serde_json::Value::from("no_better"))]);
    let mut socket = subscribed(&state, &run).await;
    let listed = loop {
        match frame(&mut socket).await {
            ServerFrame::Checkpoints { checkpoints, .. } => break checkpoints,
            _ => continue,
        }
    };
    assert_eq!(listed, view.checkpoints, "an open page hears the same");
    state.stop().await;
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A socket that watches a run from its first event on. The server behind it lives as long as the test.
async fn subscribed(state: &AppState, run: &str) -> Socket {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let service = server::build(state);
    tokio::spawn(async move { axum::serve(listener, service).await });
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.expect("connects");
    let frame = format!(r#"{{"type":"subscribe","run":"{run}","from":0}}"#);
    socket.send(Message::Text(frame.into())).await.expect("sent");
    socket
}

async fn frame(socket: &mut Socket) -> ServerFrame {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("in time");
        if let Message::Text(text) = message.expect("open").expect("whole") {
            return serde_json::from_str(text.as_str()).expect("a frame");
        }
    }
}

#[tokio::test]
async fn bad_uploads_say_where_and_leave_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let at = "/api/v1/uploads?kind=dataset&name=x.jsonl";
    let (status, text) = ask(&state, "POST", at, &[], "{\"a\":1}\n{\"a\":1,\"a\":2}").await;
    assert_eq!(status, 422);
    assert!(text.contains("dataset.column_twice") && text.contains("\"row\":2"), "{text}");
    let (status, _) = ask(&state, "POST", at, &[], &"x".repeat((1 << 20) + 1)).await;
    assert_eq!(status, 413);
    for name in ["..%2Fx", "a%2Fb", "model.bin", "x.npz", "config.py"] {
        let path = format!("/api/v1/uploads?kind=model&upload=u1&name={name}");
        assert_eq!(ask(&state, "POST", &path, &[], "x").await.0, 422, "{name}");
    }
    let path = "/api/v1/uploads?kind=model&upload=..%2F..&name=config.json";
    assert_eq!(ask(&state, "POST", path, &[], "x").await.0, 422);
    assert!(state.store.datasets().await.expect("reads").is_empty());
    for kind in ["uploads", "datasets"] {
        let left = std::fs::read_dir(state.config.folder(kind)).expect("lists").count();
        assert_eq!(left, 0, "{kind}");
    }
}

#[tokio::test]
async fn a_file_in_a_chosen_encoding_is_kept_as_utf8() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let at = "/api/v1/uploads?kind=dataset&name=x.csv&encoding=";
    let body = "prompt,response\n\u{1b}$B?e\u{1b}(B,\u{1b}$B2P\u{1b}(B\n";
    let (status, text) = ask(&state, "POST", &format!("{at}moon"), &[], body).await;
    assert!(status == 422 && text.contains("dataset.encoding_unknown"), "{text}");
    let (status, text) = ask(&state, "POST", &format!("{at}iso-2022-jp"), &[], body).await;
    assert_eq!(status, 200, "{text}");
    let view: contract::dataset::DatasetView = serde_json::from_str(&text).expect("a dataset");
    assert_eq!((view.inspection.encoding.as_str(), view.inspection.usable), ("UTF-8", 1));
    assert_eq!(view.bytes, "prompt,response\n水,火\n".len() as u64);
    let converted = contract::registry::Finding::Converted { encoding: "ISO-2022-JP".to_owned() };
    assert_eq!(view.findings, [converted]);
    let left = std::fs::read_dir(state.config.folder("uploads")).expect("lists").count();
    assert_eq!(left, 0, "neither the file as it came nor half of another");
}

#[tokio::test]
async fn a_sheet_of_a_workbook_is_kept_as_json_lines() {
    const BOOK: &[u8] = include_bytes!("../corpus/tests/xlsx/files/openpyxl.xlsx");
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let send = async |query: &str| {
        let path = format!("/api/v1/uploads?kind=dataset&name=Fragen.xlsx&encoding={query}");
        let request = axum::http::Request::builder().method("POST").uri(path).header("host", "localhost");
        let request = request.body(axum::body::Body::from(BOOK)).expect("a request");
        let response = server::build(&state).oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    };
    let (status, text) = send("&sheet=&ask=true").await;
    assert!(
        status == 422 && text.contains("dataset.sheet_unsure") && text.contains("How many cups?"),
        "{text}"
    );
    let (status, text) = send("&sheet=Moon").await;
    assert!(status == 422 && text.contains("dataset.no_such_sheet"), "{text}");
    assert!(state.store.datasets().await.expect("reads").is_empty());
    for (query, sheet, other, rows) in
        [("", "Fragen", "Other", 5), ("&sheet=Other&ask=true", "Other", "Fragen", 1)]
    {
        let (status, text) = send(query).await;
        assert_eq!(status, 200, "{text}");
        let view: contract::dataset::DatasetView = serde_json::from_str(&text).expect("a dataset");
        let found = &view.inspection;
        assert_eq!((found.kind, found.rows, view.file_name.as_str()), (FileKind::Jsonl, rows, "Fragen.xlsx"));
        let (sheet, others) = (sheet.to_owned(), vec![other.to_owned()]);
        assert!(
            view.findings.contains(&Finding::Sheet { sheet, others, hidden: false }),
            "{:?}",
            view.findings
        );
        let file = state.config.folder("datasets").join(view.id.as_str()).join("data.jsonl");
        assert_eq!(std::fs::metadata(file).expect("is kept").len(), view.bytes);
    }
    let (_, register) = ask(&state, "GET", "/api/v1/dataset_info.json", &[], "").await;
    assert!(register.contains("Fragen.xlsx.jsonl"), "{register}");
    let left = std::fs::read_dir(state.config.folder("uploads")).expect("lists").count();
    assert_eq!(left, 0, "neither the file as it came nor half of another");
}

#[tokio::test]
async fn a_sample_comes_in_once_and_other_sites_may_do_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let at = "/api/v1/samples/kettle-and-co";
    let (_, first) = ask(&state, "POST", at, &[], "").await;
    let (_, second) = ask(&state, "POST", at, &[], "").await;
    assert_eq!(first, second);
    assert_eq!(ask(&state, "POST", at, &[("origin", "http://evil.example")], "").await.0, 403);
    assert_eq!(ask(&state, "POST", "/api/v1/samples/..%2Fx", &[], "").await.0, 404);
    assert_eq!(ask(&state, "GET", "/api/v1/runs/no-such-run", &[], "").await.0, 404);
    let (status, page) = ask(&state, "GET", "/datasets", &[], "").await;
    assert_eq!(status, 200);
    assert!(page.contains("Kettle &amp; Co"), "the list is in the page before any script");
}

#[tokio::test]
async fn files_asked_for_beside_pages_leave_each_page_its_own_policy() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path())).await.expect("opens");
    let service = server::build(&state);
    let one = |path: &'static str| {
        let request = axum::http::Request::builder().uri(path).header("host", "localhost");
        let request = request.body(axum::body::Body::empty()).expect("a request");
        service.clone().oneshot(request)
    };
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.extend([("/datasets", one("/datasets")), ("/favicon.svg", one("/favicon.svg"))]);
        asked.push(("/no-such-page", one("/no-such-page")));
    }
    let answers =
        asked.into_iter().map(|(path, answer)| async move { (path, answer.await.expect("an answer")) });
    for (path, answer) in futures::future::join_all(answers).await {
        let policy = answer.headers()["content-security-policy"].to_str().expect("text");
        let expected =
            if path == "/favicon.svg" { "sandbox; default-src 'none'" } else { "default-src 'self'" };
        assert!(policy.starts_with(expected), "{path}: {policy}");
        assert_eq!(answer.status().as_u16(), if path == "/no-such-page" { 404 } else { 200 }, "{path}");
    }
}
