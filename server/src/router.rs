//! Every path.

use axum::extract::{DefaultBodyLimit, Request};
use axum::routing::{get, patch, post};
use axum::{Router, middleware as layer};
use contract::tus;
use leptos_axum::{LeptosRoutes, generate_route_list};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::trace::TraceLayer;

use crate::live::{chat, socket};
use crate::net::body;
use crate::state::AppState;
use crate::{api, middleware, pages};

/// Largest body of a call that is no upload.
const BODY: usize = 2 << 20;
/// Largest register: `services::registry` says in words what is too large.
const REGISTER: usize = 8 << 20;

/// The whole service.
pub fn router(state: &AppState) -> Router {
    let sockets = Router::new().route("/ws", get(socket::upgrade)).route("/ws/chat", get(chat::upgrade));
    let uploads = Router::new()
        .route("/api/v1/uploads", post(api::upload))
        .route("/api/v1/datasets", post(api::upload))
        .route(tus::PATH, post(api::tus::create).options(api::tus::options))
        .route(
            &format!("{}/{{id}}", tus::PATH),
            patch(api::tus::append).head(api::tus::offset).delete(api::tus::remove),
        )
        .layer(DefaultBodyLimit::disable())
        .layer(layer::from_fn_with_state(state.clone(), middleware::uploads));
    let rest = Router::new()
        .route("/healthz", get(api::health))
        .route("/api/v1/samples/{name}", post(api::sample))
        .route("/api/v1/datasets", get(api::datasets))
        .route("/api/v1/datasets/{id}/file", get(api::dataset_file))
        .route("/api/v1/registry", post(api::read_registry).layer(DefaultBodyLimit::max(REGISTER)))
        .route("/api/v1/dataset_info.json", get(api::write_registry))
        .route("/api/v1/models", get(api::models))
        .route("/api/v1/runs", get(api::runs).post(api::launch))
        .route("/api/v1/runs/{id}/specification.yaml", get(api::specification_yaml))
        .route("/api/v1/runs/{id}/specification.json", get(api::specification_json))
        .route("/api/v1/specifications", post(api::read_specification))
        .route("/api/v1/runs/{id}", get(api::run))
        .route("/api/v1/runs/{id}/file", get(api::run_file))
        .route("/api/v1/runs/{id}/checkpoints/{step}/zip", get(api::checkpoint_zip))
        .route("/api/v1/runs/{id}/predictions.csv", get(api::predictions))
        .route("/api/v1/weights", get(api::parcel))
        .route("/api/v1/weights/file", get(api::parcel_file))
        .route("/api/v1/takeaway.zip", get(api::take_away))
        .route("/api/v1/{*rest}", get(api::nothing).post(api::nothing));
    let pages = leptos_pages(state)
        .layer(layer::from_fn(middleware::statuses))
        .layer(layer::map_response(pages::without_nul));
    let whole = pages.merge(rest).layer(DefaultBodyLimit::max(BODY));
    let timed = whole.layer(layer::from_fn_with_state(state.clone(), middleware::patience));
    // fonts are packed already and weights nearly; the default leaves out images, streams and tiny answers
    let worthwhile = DefaultPredicate::new()
        .and(NotForContentType::const_new("font/"))
        .and(NotForContentType::const_new("application/zip"))
        .and(NotForContentType::const_new("application/octet-stream"));
    Router::new()
        .merge(sockets)
        .merge(uploads)
        .merge(timed)
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(layer::from_fn_with_state(state.clone(), middleware::guard))
        .layer(layer::from_fn(body::linger))
        .layer(layer::from_fn_with_state(state.clone(), middleware::headers))
        .layer(CompressionLayer::new().compress_when(worthwhile))
        .layer(TraceLayer::new_for_http())
        .with_state(state.clone())
}

fn leptos_pages(state: &AppState) -> Router<AppState> {
    let options = pages::options(state);
    let context = pages::context(state);
    let build = state.site.build().to_owned();
    let shell = move || pages::shell(options.clone(), build.clone());
    let missing = leptos_axum::render_app_async_with_context(context.clone(), shell.clone());
    // Not leptos' own file handler: it may take the headers of a page that the same thread is rendering meanwhile.
    let site = state.clone();
    let files = move |request: Request| {
        let file = site.site.answer(request.method(), request.uri().path(), request.headers());
        let missing = missing.clone();
        async move {
            match file {
                Some(file) => file,
                None => missing(request).await,
            }
        }
    };
    Router::new()
        .leptos_routes_with_context(state, generate_route_list(app::App), context, shell)
        .fallback(files)
}
