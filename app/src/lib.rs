//! What people see: Leptos pages, rendered on the server and hydrated in the browser.
#![recursion_limit = "512"]
#![expect(unreachable_pub, reason = "the component macro makes a public builder for every component")]

pub mod assets;
mod browser;
mod chat;
mod components;
mod feed;
mod forms;
mod live;
mod pages;
pub mod ports;
#[cfg(all(test, feature = "ssr"))]
mod rendered;
mod routes;
mod verdict;
mod words;

use browser::cookies::prefs;
use leptos::prelude::*;
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::components::Router;

/// The document around the pages. Theme and language are in its first byte, so nothing flashes.
///
/// `build` names the files that belong to it.
pub fn shell(options: LeptosOptions, build: String) -> impl IntoView {
    let prefs = prefs();
    let w = words::of(prefs.lang);
    let file = |path| assets::address(&build, path);
    let nonce = leptos::nonce::use_nonce();
    view! {
        <!DOCTYPE html>
        <html lang=prefs.lang.tag() data-theme=prefs.theme data-build=build.clone()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="color-scheme" content="light dark"/>
                <script nonce=nonce.clone() src=file("early.js") data-heard=w.studio.heard data-late=w.studio.not_done></script>
                <script nonce=nonce defer src=file("renewal.js")></script>
                <link rel="icon" href=file("favicon.svg") type="image/svg+xml"/>
                <link rel="preload" href=file("fonts/inter-latin-wght-normal.woff2") r#as="font" type="font/woff2" crossorigin="anonymous"/>
                <link rel="stylesheet" href=file("pkg/burnish.css")/>
                <components::stopped::Stopped lang=prefs.lang script=file("stopped.js")/>
                <HydrationScripts options/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// Every page within its frame.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(prefs());
    provide_context(prefs().lang);
    components::undo::Undo::provide();
    view! {
        <Router>
            <a class="skip" href="#main">{words::words().studio.skip}</a>
            <noscript class="notice warn no-script">{words::words().studio.no_script}</noscript>
            <div class="app">
                <components::nav::Nav/>
                <main id="main" tabindex="-1">
                    <routes::Pages/>
                </main>
            </div>
        </Router>
    }
    .into_any()
}

/// Takes over the server's page in the browser.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    browser::stopped::watch();
    leptos::mount::hydrate_body(App);
    browser::stopped::hydrated();
}
