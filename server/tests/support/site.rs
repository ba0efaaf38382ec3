//! Files of the browser side: how long they are kept, and that two builds never mix.

use axum::http::{HeaderMap, Request, Response, StatusCode};

use super::*;

const SCRIPT: &str = "export const answer = 'a script that is long enough to be worth packing';\n";

fn build(place: &Path, script: &str) -> Config {
    let site = place.join("site");
    for (name, text) in
        [("pkg/burnish.js", script), ("engine/worker.js", "1"), ("sw.js", "2"), (".stamp", "")]
    {
        let path = site.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    Config { site_root: site, ..config(place) }
}

async fn get(
    state: &AppState,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<axum::body::Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    let request = request.body(axum::body::Body::empty()).expect("a request");
    server::build(state).oneshot(request).await.expect("an answer")
}

async fn text(response: Response<axum::body::Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn says<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_file_under_its_build_is_kept_for_good_and_others_are_asked_for_again() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(build(place.path(), SCRIPT)).await.expect("opens");
    let own = format!("/build/{}/pkg/burnish.js", state.site.build());

    let answer = get(&state, "GET", &own, &[]).await;
    assert_eq!(says(answer.headers(), "cache-control"), "public, max-age=31536000, immutable");
    assert!(says(answer.headers(), "content-type").starts_with("text/javascript"));
    assert_eq!(text(answer).await, SCRIPT);

    let answer = get(&state, "GET", "/pkg/burnish.js", &[]).await;
    assert_eq!(says(answer.headers(), "cache-control"), "no-cache");
    let tag = says(answer.headers(), "etag").to_owned();
    for path in [own.as_str(), "/pkg/burnish.js"] {
        let again = get(&state, "GET", path, &[("if-none-match", &tag), ("accept-encoding", "br")]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(says(again.headers(), "etag"), tag);
        assert!(!says(again.headers(), "cache-control").is_empty());
        assert_eq!(text(again).await, "");
    }
    let other = get(&state, "GET", "/pkg/burnish.js", &[("if-none-match", "\"another\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);

    for path in ["/.stamp", "/pkg", "/pkg/../sw.js", "/pkg/gone.js"] {
        assert_eq!(get(&state, "GET", path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/sw.js", &format!("/build/{}/engine/worker.js", state.site.build())] {
        let answer = get(&state, "GET", path, &[]).await;
        assert!(says(answer.headers(), "content-security-policy").contains("'wasm-unsafe-eval'"), "{path}");
    }
}

#[tokio::test]
async fn heads_ranges_and_packing() {
    let place = tempfile::tempdir().expect("a folder");
    let state = AppState::open(build(place.path(), SCRIPT)).await.expect("opens");
    let path = format!("/build/{}/pkg/burnish.js", state.site.build());
    let all = SCRIPT.len().to_string();

    let head = get(&state, "HEAD", &path, &[]).await;
    assert_eq!((head.status(), says(head.headers(), "content-length")), (StatusCode::OK, all.as_str()));
    assert_eq!(text(head).await, "");

    let part = get(&state, "GET", &path, &[("range", "bytes=7-11"), ("accept-encoding", "br")]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(says(part.headers(), "content-range"), format!("bytes 7-11/{all}"));
    assert_eq!(text(part).await, &SCRIPT[7..=11]);
    let beyond = get(&state, "GET", &path, &[("range", "bytes=9999-")]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let changed = get(&state, "GET", &path, &[("range", "bytes=7-11"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status(), text(changed).await.len()), (StatusCode::OK, SCRIPT.len()));

    for packing in ["br", "gzip"] {
        let packed = get(&state, "GET", &path, &[("accept-encoding", packing)]).await;
        assert_eq!(says(packed.headers(), "content-encoding"), packing);
        assert!(says(packed.headers(), "etag").starts_with("W/"), "the tag of two forms of one file is weak");
    }
    assert_eq!(get(&state, "POST", &path, &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn two_builds_never_meet() {
    let place = tempfile::tempdir().expect("a folder");
    let old = AppState::open(build(place.path(), SCRIPT)).await.expect("opens");
    let of_old = format!("/build/{}/pkg/burnish.js", old.site.build());
    let new = AppState::open(build(place.path(), "export const answer = 'of the next build';\n"))
        .await
        .expect("opens");
    assert_ne!(old.site.build(), new.site.build());
    assert_eq!(
        text(get(&old, "GET", &of_old, &[]).await).await,
        SCRIPT,
        "a running server keeps to its build"
    );

    let gone = get(&new, "GET", &of_old, &[]).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    assert_eq!(says(gone.headers(), "cache-control"), "no-store");

    let page = get(&new, "GET", "/", &[]).await;
    assert_eq!(says(page.headers(), "burnish-build"), new.site.build());
    assert_eq!(says(page.headers(), "cache-control"), "no-store");
    let page = text(page).await;
    assert!(page.contains(&format!("data-build=\"{}\"", new.site.build())));
    for name in ["pkg/burnish.js", "pkg/burnish_bg.wasm", "pkg/burnish.css", "early.js", "renewal.js"] {
        assert!(page.contains(&format!("/build/{}/{name}", new.site.build())), "{name}");
    }

    let json = ("content-type", "application/json");
    for path in ["/api/list_runs", "/api/v1/samples/kettle-and-co"] {
        let (status, body) =
            ask(&new, "POST", path, &[json, ("burnish-build", old.site.build())], "{}").await;
        assert_eq!(status, 409, "{path}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let problems = body.get("problems").unwrap_or(&body);
        assert_eq!(problems[0]["code"], "build.changed", "{path}");
    }
    let (status, _) =
        ask(&new, "POST", "/api/list_runs", &[json, ("burnish-build", new.site.build())], "{}").await;
    assert_eq!(status, 200);
}
