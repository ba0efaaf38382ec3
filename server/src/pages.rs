//! The pages: Leptos' options, what each request's context holds, and the content security policy that goes
//! with a page's nonce.

use std::sync::Arc;

use app::assets;
use app::ports::Missing;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::TryStreamExt;
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

/// Puts `\u{fffd}` where a page holds a NUL character, as browsers do within attributes. Within text they leave it out, and
/// the pages' script would look in vain for a text that holds nothing else.
pub async fn without_nul(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/html")) {
        return response;
    }
    let (head, body) = response.into_parts();
    let chunk = |chunk: Bytes| match chunk.contains(&0) {
        true => chunk.split(|byte| *byte == 0).collect::<Vec<_>>().join("\u{fffd}".as_bytes()).into(),
        false => chunk,
    };
    Response::from_parts(head, Body::from_stream(body.into_data_stream().map_ok(chunk)))
}

/// Inline scripts need the nonce. There is no inline style: the policy takes style from this server's files only.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; worker-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use leptos::nonce::Nonce;

    use super::*;

    #[test]
    fn no_two_of_ten_thousand_pages_share_a_nonce_and_none_may_style_itself() {
        let policies: BTreeSet<String> = (0..10_000).map(|_| policy(&Nonce::new().to_string())).collect();
        assert_eq!(policies.len(), 10_000);
        assert!(
            policies
                .iter()
                .all(|policy| !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"))
        );
        // 16 random bytes in base64.
        assert!(
            policies
                .iter()
                .all(|policy| policy.split("'nonce-").nth(1).is_some_and(|rest| rest.find('\'') == Some(22)))
        );
    }
}
