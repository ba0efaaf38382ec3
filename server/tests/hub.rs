//! The studio against a hub on loopback: a real listener that redirects, breaks off, lies and refuses.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "support/worker.rs"]
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{HubPort, ModelsPort, Problems};
use axum::body::{Body, Bytes};
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use contract::Code;
use contract::hub::{HubKind, NewTransfer, TransferState, TransferView};
use contract::registry::Finding;
use futures::StreamExt;
use server::services::{datasets::Datasets, hub::HubService, models::Models};
use server::{AppState, config::Config};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ROWS: &[u8] =
    b"{\"prompt\":\"Who?\",\"response\":\"Ember.\"}\n{\"prompt\":\"Where?\",\"response\":\"Here.\"}\n";

/// What the hub does wrong.
#[derive(Default)]
struct Moods {
    /// Answers that break off after 40,000 bytes.
    cuts: AtomicUsize,
    /// Whether an answer that breaks off brings any byte at all.
    barren: AtomicBool,
    /// Sends other bytes than it says.
    lies: AtomicBool,
    /// Status of every answer about the repository, 0 for none.
    refuses: AtomicUsize,
    /// Sends small files elsewhere.
    sends_to: Mutex<Option<String>>,
    /// Asked for weights: range and authorization as they came, store first.
    asked: Mutex<Vec<(Option<String>, Option<String>)>>,
    /// Address of the store that large files are redirected to.
    store: Mutex<String>,
}

type Shared = Arc<Moods>;

fn weights() -> Vec<u8> {
    (0..200_000u32).map(|n| (n * 7 % 251) as u8).collect()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn info(
    State(moods): State<Shared>,
    Segments((kind, _, _, revision)): Segments<(String, String, String, String)>,
) -> Response {
    let refuses = u16::try_from(moods.refuses.load(Ordering::Relaxed)).expect("a status");
    if refuses > 0 {
        return StatusCode::from_u16(refuses).expect("a status").into_response();
    }
    if revision == "nope" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let sha256 = format!("{:x}", Sha256::digest(weights()));
    let small = |name: &str, size: usize| serde_json::json!({"rfilename": name, "size": size});
    let siblings = if kind == "models" {
        serde_json::json!([
            small("config.json", 2), small("tokenizer.json", 2), small("modeling.py", 2), small("pytorch_model.bin", 2),
            {"rfilename": "model.safetensors", "size": 200_000, "lfs": {"sha256": sha256, "size": 200_000}},
        ])
    } else {
        serde_json::json!([
            small("data/train.jsonl", ROWS.len()),
            {"rfilename": "data/endless.jsonl"},
            small("data/away.jsonl", 9),
            small("../../evil.jsonl", 3),
            small("load.py", 2),
            small("data/tea-00002-of-00003.jsonl", ROWS.len()),
            small("data/tea-00000-of-00003.jsonl", ROWS.len()),
            small("data/tea.csv", 12)
        ])
    };
    Json(serde_json::json!({"id": "ada/tea", "sha": COMMIT, "gated": false, "tags": ["license:mit"], "siblings": siblings})).into_response()
}

async fn search() -> Json<serde_json::Value> {
    Json(serde_json::json!([
        {"id": "ada/tea", "downloads": 1200, "tags": ["license:mit"], "gated": "manual"},
        {"id": "<script>/x", "downloads": 1},
    ]))
}

async fn file(
    State(moods): State<Shared>,
    Segments((_, _, _, path)): Segments<(String, String, String, String)>,
) -> Response {
    match path.as_str() {
        "model.safetensors" => {
            Redirect::temporary(&format!("{}/blob", moods.store.lock().expect("free"))).into_response()
        }
        "data/train.jsonl" | "data/tea-00000-of-00003.jsonl" | "data/tea-00002-of-00003.jsonl" => {
            ROWS.into_response()
        }
        "data/tea.csv" => "prompt\nhello".into_response(),
        "data/endless.jsonl" => {
            let rows = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(ROWS)));
            Body::from_stream(rows).into_response()
        }
        "data/away.jsonl" => {
            let to = moods.sends_to.lock().expect("free").clone().expect("somewhere");
            Redirect::temporary(&to).into_response()
        }
        _ => "{}".into_response(),
    }
}

async fn blob(State(moods): State<Shared>, headers: HeaderMap) -> Response {
    let range = text(&headers, header::RANGE);
    moods.asked.lock().expect("free").push((range.clone(), text(&headers, header::AUTHORIZATION)));
    let mut bytes = weights();
    if moods.lies.load(Ordering::Relaxed) {
        bytes[100] ^= 1;
    }
    let from: usize =
        range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let rest = Bytes::from(bytes.split_off(from));
    let length = rest.len().to_string();
    let cut =
        moods.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let body = if cut {
        let some = if moods.barren.load(Ordering::Relaxed) { 0 } else { 40_000 };
        let head = rest.slice(..some.min(rest.len()));
        // the pause lets what was sent reach the other side before the line breaks
        let breaks = futures::stream::once(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::other("gone"))
        });
        Body::from_stream(futures::stream::iter([Ok(head)]).chain(breaks))
    } else {
        Body::from(rest)
    };
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let range = format!("bytes {from}-199999/200000");
    (status, [(header::CONTENT_LENGTH, length), (header::CONTENT_RANGE, range)], body).into_response()
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn hub() -> (Shared, String) {
    let moods = Shared::default();
    let store = listen(Router::new().route("/blob", get(blob)).with_state(moods.clone())).await;
    *moods.store.lock().expect("free") = store;
    let router = Router::new()
        .route("/api/{kind}", get(search))
        .route("/api/{kind}/{owner}/{name}/revision/{revision}", get(info))
        .route("/datasets/{owner}/{name}/resolve/{commit}/{*path}", get(file))
        .route("/{owner}/{name}/resolve/{commit}/{*path}", get(file))
        .with_state(moods.clone());
    (moods, listen(router).await)
}

async fn studio(place: &Path, endpoint: &str, offline: bool) -> AppState {
    let worker = worker::stub(place);
    let mut config = Config::for_testing(place, &worker);
    config.hub.endpoint = endpoint.parse().expect("an address");
    (config.hub.offline, config.hub.pause) = (offline, Duration::from_millis(1));
    config.hub.token = Some("hf_secret".to_owned());
    AppState::open(config).await.expect("opens")
}

fn wanted(kind: HubKind, files: &[&str]) -> NewTransfer {
    NewTransfer {
        kind,
        repo: "ada/tea".to_owned(),
        revision: String::new(),
        name: String::new(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
    }
}

const FOLDER: &[&str] = &["config.json", "tokenizer.json", "model.safetensors"];

async fn ends(state: &AppState, new: NewTransfer) -> TransferView {
    let kind = new.kind;
    let service = HubService(state.clone());
    let id = service.start(new).await.expect("begins").id;
    for _ in 0..200 {
        let all = service.transfers(kind).await.expect("listed");
        let one = all.into_iter().find(|one| one.id == id).expect("known");
        if !one.state.is_live() {
            return one;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the transfer did not end within 5 s");
}

fn code(view: &TransferView) -> Option<Code> {
    view.problem.as_ref().map(|problem| problem.code)
}

fn first(problems: Problems) -> Code {
    problems.0.into_iter().next().expect("a problem").code
}

#[tokio::test]
async fn a_model_comes_through_a_redirect_and_the_token_stays_with_the_hub() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    let service = HubService(state.clone());
    let hits = service.search(HubKind::Model, "tea".to_owned()).await.expect("found");
    assert_eq!(hits.hits.len(), 1, "a name that is no name is not shown");
    assert!(hits.hits[0].gated && !hits.hits[0].cached && hits.hits[0].license.as_deref() == Some("mit"));
    let repo = service.repo(HubKind::Model, "ada/tea".to_owned(), String::new()).await.expect("there");
    assert_eq!((repo.commit.as_str(), repo.choices()[0].bytes), (COMMIT, 200_004));
    assert_eq!(
        repo.files.iter().filter(|file| file.refused.is_some()).count(),
        2,
        "the script and the pickle"
    );
    let done = ends(&state, wanted(HubKind::Model, FOLDER)).await;
    assert_eq!((done.state, done.done), (TransferState::Done, 200_004), "{:?}", done.problem);
    let models = Models(state.clone());
    let listed = contract::listed::readable(models.list().await.expect("listed"));
    assert_eq!(listed[0].name, "tea");
    assert_eq!(moods.asked.lock().expect("free")[0].1, None, "the store never sees the token");
    let link = place.path().join(format!("hub/models--ada--tea/snapshots/{COMMIT}/model.safetensors"));
    assert_eq!(std::fs::read(link).expect("in the shared cache"), weights());
}

#[tokio::test]
async fn a_cut_connection_goes_on_where_it_broke() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    moods.cuts.store(3, Ordering::Relaxed);
    let done = ends(&state, wanted(HubKind::Model, FOLDER)).await;
    assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    let asked = moods.asked.lock().expect("free");
    let from: Vec<u64> = asked
        .iter()
        .map(|(range, _)| {
            range.as_deref().map_or(0, |r| r["bytes=".len()..r.len() - 1].parse().expect("a number"))
        })
        .collect();
    assert!(from.len() >= 2 && from.windows(2).all(|pair| pair[0] <= pair[1]), "{from:?}");
    assert!(*from.last().expect("asked") > 0, "the last request asked for the rest only: {from:?}");
}

#[tokio::test]
async fn what_came_in_before_a_transfer_was_given_up_is_used_by_the_next() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    let blobs = place.path().join("hub/models--ada--tea/blobs");
    std::fs::create_dir_all(&blobs).expect("made");
    let sha256 = format!("{:x}", Sha256::digest(weights()));
    std::fs::write(blobs.join(format!("{sha256}.incomplete")), &weights()[..40_000])
        .expect("left by an earlier try");
    moods.cuts.store(99, Ordering::Relaxed);
    moods.barren.store(true, Ordering::Relaxed);
    let failed = ends(&state, wanted(HubKind::Model, FOLDER)).await;
    assert_eq!((failed.state, code(&failed)), (TransferState::Failed, Some(Code::HubCutOff)));
    moods.cuts.store(0, Ordering::Relaxed);
    let done = ends(&state, wanted(HubKind::Model, FOLDER)).await;
    assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    assert!(
        moods.asked.lock().expect("free").iter().all(|(range, _)| range.as_deref() == Some("bytes=40000-"))
    );
}

#[tokio::test]
async fn bytes_that_are_not_what_the_hub_says_are_refused_and_not_kept() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    moods.lies.store(true, Ordering::Relaxed);
    let failed = ends(&state, wanted(HubKind::Model, FOLDER)).await;
    let problem = failed.problem.expect("a problem");
    assert_eq!(problem.code, Code::HubWrongDigest);
    assert_eq!(problem.place.expect("a place").file.as_deref(), Some("model.safetensors"));
    let blobs = std::fs::read_dir(place.path().join("hub/models--ada--tea/blobs")).expect("there");
    assert!(
        blobs.flatten().all(|blob| blob.metadata().expect("there").len() < 100),
        "only the small files are kept"
    );
    assert!(Models(state).list().await.expect("listed").is_empty());
}

#[tokio::test]
async fn s_072_a_dataset_comes_in_and_scripts_and_odd_paths_do_not() {
    let (place, (_, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    let service = HubService(state.clone());
    let done = ends(&state, wanted(HubKind::Dataset, &["data/train.jsonl"])).await;
    assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    let all = contract::listed::readable(Datasets(state.clone()).all().await.expect("listed"));
    assert_eq!(
        (all[0].name.as_str(), all[0].inspection.rows, all[0].file_name.as_str()),
        ("tea", 2, "train.jsonl")
    );
    for (file, wanted_code) in [
        ("load.py", Code::HubRefusedFile),
        ("../../evil.jsonl", Code::HubRefusedFile),
        ("none.jsonl", Code::HubNoSuchFile),
    ] {
        let problems = service.start(wanted(HubKind::Dataset, &[file])).await.expect_err(file);
        assert_eq!(first(problems), wanted_code);
    }
    for repo in ["../tea", "ada/../tea", "ada/tea?x", "a/b/c"] {
        let new = NewTransfer { repo: repo.to_owned(), ..wanted(HubKind::Dataset, &["data/train.jsonl"]) };
        assert_eq!(first(service.start(new).await.expect_err(repo)), Code::HubBadName);
    }
}

#[tokio::test]
async fn s_025_s_073_the_shards_of_a_split_come_as_one_dataset_that_says_which_is_missing() {
    let (place, (_, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    let service = HubService(state.clone());
    let repo = service.repo(HubKind::Dataset, "ada/tea".to_owned(), String::new()).await.expect("there");
    let split = repo.choices().remove(0);
    assert_eq!((split.label.as_str(), split.files.len()), ("data/tea", 2));
    assert_eq!(split.missing, ["tea-00001-of-00003.jsonl"]);
    let files: Vec<&str> = split.files.iter().map(String::as_str).collect();
    let done = ends(&state, wanted(HubKind::Dataset, &files)).await;
    assert_eq!((done.state, done.done), (TransferState::Done, 2 * ROWS.len() as u64), "{:?}", done.problem);
    let view = contract::listed::readable(Datasets(state.clone()).all().await.expect("listed")).remove(0);
    assert_eq!((view.name.as_str(), view.files, view.inspection.rows), ("tea", 2, 4));
    assert_eq!(view.findings, [Finding::ShardsMissing { names: split.missing }]);
    let mixed = ends(&state, wanted(HubKind::Dataset, &["data/tea.csv", "data/train.jsonl"])).await;
    assert_eq!((mixed.state, code(&mixed)), (TransferState::Failed, Some(Code::DatasetMixedKinds)));
    let many = vec!["data/train.jsonl"; 401];
    let refused = service.start(wanted(HubKind::Dataset, &many)).await.expect_err("too many");
    assert_eq!(first(refused), Code::DatasetTooManyFiles);
}

#[tokio::test]
async fn f21_a_file_without_a_size_has_an_end() {
    let (place, (_, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let mut config = studio(place.path(), &endpoint, false).await.config.clone();
    config.hub.unsized_most = 1 << 20;
    config.data_dir = place.path().join("second");
    let state = AppState::open(config).await.expect("opens");
    let failed = ends(&state, wanted(HubKind::Dataset, &["data/endless.jsonl"])).await;
    assert_eq!((failed.state, code(&failed)), (TransferState::Failed, Some(Code::HubWrongSize)));
    let blobs = std::fs::read_dir(place.path().join("hub/datasets--ada--tea/blobs")).expect("there");
    assert_eq!(blobs.count(), 0, "nothing of it is kept");
}

#[tokio::test]
async fn s12_a_redirect_into_another_network_is_not_followed() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    for to in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://10.0.0.1/x",
        "https://192.168.0.1/x",
        "http://0x0a000001/x",
        "https://user@127.0.0.1/x",
        "http://0.0.0.0/x",
    ] {
        *moods.sends_to.lock().expect("free") = Some(to.to_owned());
        let failed = ends(&state, wanted(HubKind::Dataset, &["data/away.jsonl"])).await;
        assert_eq!((failed.state, code(&failed)), (TransferState::Failed, Some(Code::HubElsewhere)), "{to}");
    }
}

#[tokio::test]
async fn f21_a_blob_that_two_want_is_fetched_once() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let one = studio(place.path(), &endpoint, false).await;
    let mut config = one.config.clone();
    config.data_dir = place.path().join("second");
    let two = AppState::open(config).await.expect("opens");
    // every try breaks off a few times, so that both are at it together
    moods.cuts.store(3, Ordering::Relaxed);
    let (first, second) =
        tokio::join!(ends(&one, wanted(HubKind::Model, FOLDER)), ends(&two, wanted(HubKind::Model, FOLDER)));
    for done in [&first, &second] {
        assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    }
    let asked = moods.asked.lock().expect("free");
    let whole = asked.iter().filter(|(range, _)| range.is_none()).count();
    assert_eq!(whole, 1, "the second found what the first brought: {asked:?}");
    let link = place.path().join(format!("hub/models--ada--tea/snapshots/{COMMIT}/model.safetensors"));
    assert_eq!(std::fs::read(link).expect("in the shared cache"), weights());
}

#[tokio::test]
async fn a_hub_that_refuses_says_what_to_do() {
    let (place, (moods, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let state = studio(place.path(), &endpoint, false).await;
    let service = HubService(state.clone());
    for (status, code) in [
        (401, Code::HubBadToken),
        (403, Code::HubGated),
        (404, Code::HubNoSuchRepo),
        (429, Code::HubBusy),
        (500, Code::HubOddAnswer),
    ] {
        moods.refuses.store(status, Ordering::Relaxed);
        let problems =
            service.repo(HubKind::Model, "ada/tea".to_owned(), String::new()).await.expect_err("refused");
        assert!(problems.0[0].hint.is_some(), "what to do: {}", problems.0[0]);
        assert!(!problems.sentence().contains("hf_secret"));
        assert_eq!(first(problems), code);
    }
    moods.refuses.store(0, Ordering::Relaxed);
    let gone = service
        .repo(HubKind::Model, "ada/tea".to_owned(), "nope".to_owned())
        .await
        .expect_err("no such branch");
    assert_eq!(first(gone), Code::HubNoSuchRepo);
    let dead = studio(&place.path().join("other"), "http://127.0.0.1:9/", false).await;
    let why = HubService(dead).search(HubKind::Model, String::new()).await.expect_err("nobody listens");
    assert_eq!(first(why), Code::HubUnreachable);
}

#[tokio::test]
async fn offline_the_cache_answers_and_nothing_else() {
    let (place, (_, endpoint)) = (tempfile::tempdir().expect("a folder"), hub().await);
    let online = studio(place.path(), &endpoint, false).await;
    assert_eq!(
        ends(&online, wanted(HubKind::Dataset, &["data/train.jsonl"])).await.state,
        TransferState::Done
    );
    let place = place.path().join("hub");
    let mut config = online.config.clone();
    config.data_dir = place.parent().expect("a parent").join("second");
    (config.hub.offline, config.hub.endpoint) = (true, "http://127.0.0.1:9/".parse().expect("an address"));
    let state = AppState::open(config).await.expect("opens");
    let service = HubService(state.clone());
    let hits = service.search(HubKind::Dataset, "TEA".to_owned()).await.expect("found");
    assert_eq!((hits.host.as_str(), hits.hits[0].repo.as_str(), hits.hits[0].cached), ("", "ada/tea", true));
    let done = ends(&state, wanted(HubKind::Dataset, &["data/train.jsonl"])).await;
    assert_eq!(done.state, TransferState::Done, "{:?}", done.problem);
    let none =
        service.repo(HubKind::Model, "ada/tea".to_owned(), String::new()).await.expect_err("not cached");
    assert_eq!(first(none), Code::HubNotCached);
}
