//! The pages: Leptos' options, what each request's context holds, and the content security policy that goes
//! with a page's nonce.

use std::sync::Arc;

use app::assets;
use app::ports::Missing;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderValue, StatusCode};
use leptos::config::LeptosOptions;
use leptos::prelude::{IntoView, provide_context, use_context};
use leptos_axum::ResponseOptions;

use crate::services;
use crate::state::AppState;

/// Where the browser side lies and how it is called.
pub fn options(state: &AppState) -> LeptosOptions {
    LeptosOptions::builder()
        .output_name("burnish")
        .site_root(state.config.site_root.to_string_lossy().into_owned())
        .site_pkg_dir(assets::address(state.site.build(), "pkg").trim_start_matches('/').to_owned())
        .site_addr(state.config.addr)
        .build()
}

/// Puts the ports into the context of a request.
pub fn context(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let ports = services::ports(state);
    move || {
        provide_context(ports.clone());
        if let Some(response) = use_context::<ResponseOptions>() {
            provide_context(Missing(Arc::new(move || response.set_status(StatusCode::NOT_FOUND))));
        }
    }
}

/// The document, with headers that only its renderer knows.
pub fn shell(options: LeptosOptions, build: String) -> impl IntoView {
    if let (Some(response), Some(nonce)) = (use_context::<ResponseOptions>(), leptos::nonce::use_nonce()) {
        if let Ok(policy) = HeaderValue::from_str(&policy(&nonce)) {
            response.insert_header(CONTENT_SECURITY_POLICY, policy);
        }
        response.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    app::shell(options, build)
}

/// Inline style attributes are allowed: meters and charts are drawn with them; inline scripts need the nonce.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; worker-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
