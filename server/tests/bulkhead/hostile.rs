//! R11, S27: hundreds of files made to do harm, taken in by a server that answers everybody else meanwhile.

use axum::http::Request;
use tower::ServiceExt;

use super::*;

#[path = "../../corpus/tests/hostile/files.rs"]
mod files;
#[path = "../../corpus/tests/hostile/parquet.rs"]
mod parquet;

/// The status and the time of a call.
async fn call(state: &AppState, method: &str, path: &str, body: Vec<u8>) -> (u16, Duration) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let began = Instant::now();
    let answer = server::build(state).oneshot(request.body(Body::from(body)).expect("a request")).await;
    (answer.expect("an answer").status().as_u16(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s27_hundreds_of_hostile_files_are_read_or_refused_and_the_server_answers_meanwhile() {
    let place = tempfile::tempdir().expect("a folder");
    let config =
        Config { max_upload: 64 << 20, ..Config::for_testing(place.path(), &worker::stub(place.path())) };
    let state = AppState::open(config).await.expect("opens");
    let all = files::files();
    assert!(all.len() > 200, "{}", all.len());
    let before = memory_kb();
    let over = tokio_util::sync::CancellationToken::new();
    let asking = {
        let (state, over) = (state.clone(), over.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while !over.is_cancelled() {
                let (status, time) = call(&state, "GET", "/healthz", Vec::new()).await;
                assert_ne!(status, 500);
                times.push(time);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            times.sort();
            times
        })
    };
    let mut slowest = Duration::ZERO;
    for (name, kind, bytes) in all {
        let path = format!("/api/v1/uploads?name=x.{}", kind.extension());
        let (status, time) = call(&state, "POST", &path, bytes).await;
        assert!(matches!(status, 200 | 400..500), "{name}: {status}");
        assert!(time < Duration::from_secs(20), "{name}: {time:?}");
        slowest = slowest.max(time);
    }
    over.cancel();
    let times = asking.await.expect("asked");
    let p99 = times[times.len() * 99 / 100];
    let grown = memory_kb().saturating_sub(before);
    println!("slowest {slowest:?}, healthz p99 {p99:?} of {}, {grown} kB more", times.len());
    assert!(grown < 128 << 10, "{grown} kB");
    state.stop().await;
}
