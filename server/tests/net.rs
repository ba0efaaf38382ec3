//! Slow, many and hostile clients, over real sockets and against the real binary.

#![expect(clippy::expect_used, reason = "a broken set-up is to fail the test where it breaks")]

#[path = "net/binary.rs"]
mod binary;
#[path = "net/bodies.rs"]
mod bodies;
#[path = "net/health.rs"]
mod health;
#[path = "net/promises.rs"]
mod promises;
#[path = "net/resumable.rs"]
mod resumable;
#[path = "net/sockets.rs"]
mod sockets;
#[path = "support/worker.rs"]
mod worker;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt;
use server::net::Limits;
use server::{AppState, config::Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn config(place: &Path, limits: Limits) -> Config {
    let worker = worker::stub(place);
    let public = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public");
    Config { site_root: public, limits, ..Config::for_testing(place, &worker) }
}

async fn listening(place: &Path, limits: Limits) -> (AppState, SocketAddr) {
    serving(config(place, limits)).await
}

/// A server that listens as `burnish serve` does.
async fn serving(config: Config) -> (AppState, SocketAddr) {
    let state = AppState::open(config).await.expect("opens");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let served = state.clone();
    tokio::spawn(async move { server::serve::listen(&served, listener).await });
    (state, address)
}

/// Everything a connection says until it ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut all)).await.expect("the connection ends");
    // what came before a reset counts
    drop(read);
    String::from_utf8_lossy(&all).into_owned()
}

async fn says(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sent");
    rest(&mut stream).await
}

async fn healthz(address: SocketAddr) -> String {
    says(address, "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await
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

#[tokio::test]
async fn f17_a_connection_without_a_request_is_closed() {
    assert!(Limits::default().header <= Duration::from_secs(15));
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { header: Duration::from_millis(300), ..Limits::default() };
    let (_, address) = listening(place.path(), limits).await;
    let mut silent = TcpStream::connect(address).await.expect("connects");
    assert_eq!(rest(&mut silent).await, "");
    let mut drips = TcpStream::connect(address).await.expect("connects");
    let (mut reads, mut writes) = drips.split();
    let drip = async {
        loop {
            if writes.write_all(b"x").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut all = Vec::new();
    let read = async { drop(reads.read_to_end(&mut all).await) };
    let ended = async {
        tokio::select! { () = drip => {}, () = read => {} }
    };
    tokio::time::timeout(LONG, ended).await.expect("one byte at a time does not count either");
    // a connection that was kept after an answer
    let kept = says(address, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(kept.starts_with("HTTP/1.1 200"), "{kept}");
}

#[tokio::test]
async fn f17_silent_connections_do_not_keep_out_one_that_asks() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { connections: 20, connections_per_address: 20, ..Limits::default() };
    let (_, address) = listening(place.path(), limits).await;
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(TcpStream::connect(address).await.expect("connects"));
    }
    let answer = tokio::time::timeout(Duration::from_secs(5), healthz(address)).await.expect("in time");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(rest(&mut silent[0]).await, "", "the first made room");
}

#[tokio::test]
async fn s28_a_header_above_16_kib_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let (_, address) = listening(place.path(), Limits::default()).await;
    for (bytes, status) in
        [(15 << 10, "HTTP/1.1 200"), (17 << 10, "HTTP/1.1 431"), (100 << 10, "HTTP/1.1 431")]
    {
        let filler = "x".repeat(bytes);
        let request =
            format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-a: {filler}\r\n\r\n");
        let mut stream = TcpStream::connect(address).await.expect("connects");
        // the server may stop reading before the end
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(status), "{bytes}: {answer}");
    }
}

#[tokio::test]
async fn s20_an_address_that_calls_too_often_is_told_so() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { calls_a_minute: 60, ..Limits::default() };
    let state = AppState::open(config(place.path(), limits)).await.expect("opens");
    let json = [("content-type", "application/json")];
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(ask(&state, "POST", "/api/list_runs", &json, "{}").await);
    }
    assert_eq!(answers[0].0, 200);
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status == 429).collect();
    assert!(!refused.is_empty());
    let problems: serde_json::Value = serde_json::from_str(&refused[0].1).expect("problems");
    assert_eq!(problems[0]["code"], "client.too_many");
    assert_eq!(ask(&state, "GET", "/datasets", &[], "").await.0, 200, "pages are not calls");
}

#[tokio::test]
async fn s4_other_sites_may_send_visitors_and_load_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(config(place.path(), Limits::default())).await.expect("opens");
    let from =
        |site, mode, dest| [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    for site in ["cross-site", "same-site"] {
        for path in [
            "/api/v1/dataset_info.json",
            "/api/v1/takeaway.zip?model=x",
            "/api/v1/weights?model=x",
            "/api/v1/weights/file?model=x&name=y",
            "/api/v1/runs",
            "/api/list_runs",
            "/healthz",
        ] {
            for headers in [from(site, "no-cors", "image"), from(site, "navigate", "document")] {
                let (status, text) = ask(&state, "GET", path, &headers, "").await;
                assert_eq!(status, 403, "{path} {text}");
                assert!(text.contains("origin.foreign"), "{text}");
            }
        }
        assert_eq!(ask(&state, "GET", "/datasets", &from(site, "navigate", "document"), "").await.0, 200);
        assert_eq!(ask(&state, "GET", "/datasets", &from(site, "no-cors", "image"), "").await.0, 403);
        assert_eq!(ask(&state, "GET", "/datasets", &from(site, "navigate", "iframe"), "").await.0, 403);
    }
    for site in ["same-origin", "none"] {
        assert_eq!(ask(&state, "GET", "/api/v1/runs", &from(site, "cors", "empty"), "").await.0, 200);
    }
    assert_eq!(ask(&state, "GET", "/api/v1/runs", &[], "").await.0, 200, "programs say nothing");
}

#[tokio::test]
async fn s28_a_call_has_two_mebibytes_no_depth_and_little_time() {
    let place = tempfile::tempdir().expect("a folder");
    let limits = Limits { handler: Duration::from_millis(300), ..Limits::default() };
    let state = AppState::open(config(place.path(), limits)).await.expect("opens");
    let json = [("content-type", "application/json")];
    let large = format!(r#"{{"id":"{}"}}"#, "x".repeat((2 << 20) + 1));
    let (status, _) = ask(&state, "POST", "/api/get_run", &json, &large).await;
    assert!(matches!(status, 413 | 422), "{status}");
    let deep = format!(r#"{{"id":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let (status, text) = ask(&state, "POST", "/api/get_run", &json, &deep).await;
    assert!(status == 422 && text.contains("wire.unreadable"), "{status} {text}");
    // nobody else may write meanwhile
    let held = state.store.begin().await.expect("begins");
    let (status, text) = ask(&state, "POST", "/api/delete_template", &json, r#"{"id":"x"}"#).await;
    drop(held);
    let problems: serde_json::Value = serde_json::from_str(&text).expect("problems");
    assert_eq!((status, problems[0]["code"].as_str()), (504, Some("server.slow")), "{text}");
}
