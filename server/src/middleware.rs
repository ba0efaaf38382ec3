//! What every request passes through: who may call, what a panic shows, which headers go out.

use std::any::Any;
use std::time::Duration;

use app::assets;
use app::ports::Problems;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, UPGRADE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::Code;
use contract::Problem;
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;

use crate::config::Config;
use crate::error::Fault;
use crate::net::limits::LONG_HANDLER;
use crate::net::{Client, body};
use crate::state::AppState;

/// Longest list of problems that a server function answers with, bytes.
const REFUSAL: usize = 4 << 20;

/// Calls that may take [`LONG_HANDLER`]: they read or write a whole file, load a model for the first time, ask the hub, or
/// wait for a model that is made.
const LONG: &[&str] = &[
    "/api/check_health",
    "/api/dataset_row",
    "/api/dataset_rows",
    "/api/edit_row",
    "/api/handed_over_size",
    "/api/hub_repo",
    "/api/hub_search",
    "/api/hub_start",
    "/api/launch_run",
    "/api/preview_row",
    "/api/remap_dataset",
    "/api/start_tour",
    "/api/v1/dataset_info.json",
    "/api/v1/registry",
    "/api/v1/samples/",
    "/api/v1/takeaway.zip",
];

/// Policy of everything that is not a page: should a browser show it as one all the same, it runs nothing, loads nothing
/// and belongs to no site.
pub const NO_PAGE_POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// What browsers offer pages beyond the page itself; none of it is used here, so no page may.
const FEATURES: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), clipboard-write=(), \
    display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), \
    identity-credentials-get=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    picture-in-picture=(), publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), \
    storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()";

/// Refuses names that are not this server's (DNS rebinding) and requests that other sites make.
pub async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |value: Option<&HeaderValue>| value.and_then(|v| v.to_str().ok()).map(str::to_owned);
    let host = text(headers.get(HOST)).or_else(|| request.uri().authority().map(ToString::to_string));
    if !host.as_deref().is_some_and(|host| is_our_host(&state.config, host)) {
        return refuse(Code::HostUnknown, "This server does not answer to that host name.");
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let foreign = match safe && !headers.contains_key(UPGRADE) {
        true => is_from_elsewhere(headers) && !(is_visit(headers) && is_page(request.uri().path())),
        false => !is_same_origin(headers, host.as_deref().unwrap_or_default()),
    };
    if foreign {
        return refuse(Code::OriginForeign, "Another site may not do this here.");
    }
    let path = request.uri().path();
    if path.starts_with("/api/") && !state.net.calls.take(Client::of(request.extensions()).0) {
        return refusal(
            path,
            Problem::new(Code::ClientTooMany, "Too many requests come from this address.")
                .hint("Try again in a moment."),
        );
    }
    if headers.get(assets::HEADER).is_some_and(|build| build.as_bytes() != state.site.build().as_bytes()) {
        return refuse_other_build(request.uri().path());
    }
    next.run(request).await
}

/// A problem in the form that its path answers with: server functions with [`Problems`], the other routes with an object.
fn refusal(path: &str, problem: Problem) -> Response {
    let status = Fault::status(&problem);
    if path.starts_with("/api/v1/") || !path.starts_with("/api/") {
        return (status, axum::Json(serde_json::json!({ "problems": [problem] }))).into_response();
    }
    (status, axum::Json(Problems::from(problem))).into_response()
}

fn refuse(code: Code, message: &str) -> Response {
    let body = serde_json::json!({ "problems": [Problem::new(code, message)] });
    (StatusCode::FORBIDDEN, axum::Json(body)).into_response()
}

/// What a page of another build asks is not done: it may mean something else by now.
fn refuse_other_build(path: &str) -> Response {
    let problem = Problem::new(Code::BuildChanged, "Burnish was renewed since this page was loaded.");
    refusal(path, problem.hint("Load the page anew and do it again."))
}

/// Ends what takes too long. Server functions and pages are dropped then, and what they wait for with them.
pub async fn patience(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let long = LONG.iter().any(|one| path == *one || one.ends_with('/') && path.starts_with(one));
    let limit =
        if long { LONG_HANDLER.max(state.config.limits.handler) } else { state.config.limits.handler };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(&path, in_time(Code::ServerSlow, "This took too long and was given up", limit)),
    }
}

/// Takes uploads in: some at a time of one address, and none that stands still.
pub async fn uploads(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(_share) = state.net.uploads.take(Client::of(request.extensions()).0) else {
        let problem = Problem::new(Code::ClientTooMany, "Too many uploads come from this address.");
        return refusal(request.uri().path(), problem.hint("Wait until one is complete."));
    };
    let (limit, path) = (state.config.limits.stalled, request.uri().path().to_owned());
    let (head, body) = request.into_parts();
    let (body, stalled) = body::moving(body, limit);
    let response = next.run(Request::from_parts(head, body)).await;
    if stalled.is() {
        let problem = in_time(Code::UploadStalled, "Nothing more of the file came", limit);
        return refusal(&path, problem.hint("Send it again."));
    }
    response
}

fn in_time(code: Code, what: &str, limit: Duration) -> Problem {
    let seconds = limit.as_secs();
    Problem::new(code, format!("{what} ({seconds} seconds).")).with("seconds", seconds)
}

fn is_our_host(config: &Config, host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    // A name that an attacker points here is no address; addresses cannot be rebound.
    name.parse::<std::net::IpAddr>().is_ok_and(|address| {
        address.is_loopback() || address == config.addr.ip() || config.addr.ip().is_unspecified()
    })
}

/// Whether a browser says that another site asks.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Whether a person goes to an address, by a link for example. Frames, pictures and scripts are no visits.
fn is_visit(headers: &HeaderMap) -> bool {
    let says =
        |key: &str, wanted: &str| headers.get(key).is_some_and(|value| value.as_bytes() == wanted.as_bytes());
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

/// Whether a path shows something to people.
fn is_page(path: &str) -> bool {
    !path.starts_with("/api/") && path != "/healthz"
}

/// Browsers say where a request comes from; programs that say nothing are not browsers.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let text = |key: &str| headers.get(key).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text(ORIGIN.as_str()).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
        })
    });
    site && origin
}

/// Policy of the workers that keep a model and its pages: this server's scripts, WebAssembly, and this server.
const WORKER_POLICY: &str =
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; frame-ancestors 'none'";

/// Adds the headers that hold for every answer. What says nothing of its own is not kept by browsers. There is no
/// Strict-Transport-Security: this server speaks plain HTTP, where browsers pass it over; whoever puts HTTPS before it
/// sets that header there.
pub async fn headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let worker = path == "/sw.js" || path.ends_with("/engine/worker.js");
    let policy = if worker { WORKER_POLICY } else { NO_PAGE_POLICY };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("permissions-policy", HeaderValue::from_static(FEATURES));
    if let Ok(build) = HeaderValue::from_str(state.site.build()) {
        headers.insert(assets::HEADER, build);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    response
}

/// Gives the refusals of server functions the status of their problem: leptos answers all of them with 500, as if the
/// server had failed.
pub async fn statuses(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let refused = response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && response.headers().contains_key(SERVER_FN_ERROR_HEADER);
    if !refused {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, REFUSAL).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Ok(Problems(problems)) = serde_json::from_slice(&bytes)
        && let Some(first) = problems.first()
    {
        head.status = Fault::status(first);
    }
    Response::from_parts(head, Body::from(bytes))
}

/// What a panic shows: a number that the log has too, and nothing of its words.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
    let id = uuid::Uuid::new_v4().simple().to_string();
    let id = &id[..8];
    tracing::error!(id, "a request panicked: {words}");
    let text = format!("Something went wrong on the server (fault {id}). Go back and try again.\n");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::for_testing(std::path::Path::new("/x"), std::path::Path::new("/y"))
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for ours in ["localhost", "localhost:7860", "127.0.0.1:1", "[::1]:7860", "LOCALHOST"] {
            assert!(is_our_host(&config(), ours), "{ours}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.7", ""]
        {
            assert!(!is_our_host(&config(), foreign), "{foreign}");
        }
    }

    #[test]
    fn other_sites_are_refused_and_programs_are_not() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(k, v)| (k.parse().expect("a name"), HeaderValue::from_static(v))).collect()
        };
        let same = |headers: HeaderMap| is_same_origin(&headers, "127.0.0.1:7860");
        assert!(same(HeaderMap::new()));
        assert!(same(with(&[("origin", "http://127.0.0.1:7860"), ("sec-fetch-site", "same-origin")])));
        assert!(!same(with(&[("origin", "http://evil.example")])));
        assert!(!same(with(&[("origin", "null")])));
        assert!(!same(with(&[("sec-fetch-site", "cross-site")])));
        assert!(!same(with(&[("origin", "http://127.0.0.1:9999")])));
    }

    #[test]
    fn another_site_may_send_a_visitor_and_load_nothing() {
        let asks = |site: &'static str, mode: &'static str, dest: &'static str| -> HeaderMap {
            let pairs = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            pairs.iter().map(|(k, v)| (k.parse().expect("a name"), HeaderValue::from_static(v))).collect()
        };
        for site in ["cross-site", "same-site", "?"] {
            assert!(is_from_elsewhere(&asks(site, "no-cors", "image")), "{site}");
        }
        assert!(
            !is_from_elsewhere(&asks("same-origin", "cors", "empty"))
                && !is_from_elsewhere(&HeaderMap::new())
        );
        assert!(is_visit(&asks("cross-site", "navigate", "document")));
        for (mode, dest) in
            [("navigate", "iframe"), ("navigate", "object"), ("no-cors", "image"), ("cors", "empty")]
        {
            assert!(!is_visit(&asks("cross-site", mode, dest)), "{mode} {dest}");
        }
        assert!(is_page("/runs") && !is_page("/api/v1/takeaway.zip") && !is_page("/healthz"));
    }

    #[test]
    fn a_panic_shows_a_number_and_not_its_words() {
        let response = panicked(Box::new("secret".to_owned()));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
