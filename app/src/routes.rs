//! Path to page, one table. Every page is complete before its first byte is sent.

use leptos::prelude::*;
use leptos_router::components::{Route, Routes};
use leptos_router::{SsrMode, path};

use crate::pages;

/// The pages.
#[component]
pub(crate) fn Pages() -> impl IntoView {
    view! {
        <Routes fallback=pages::missing::Missing>
            <Route path=path!("/") view=pages::start::Start ssr=SsrMode::Async/>
            <Route path=path!("/datasets") view=pages::datasets::list::Datasets ssr=SsrMode::Async/>
            <Route path=path!("/datasets/:id") view=pages::datasets::show::Dataset ssr=SsrMode::Async/>
            <Route path=path!("/datasets/:id/health") view=pages::datasets::health::Health ssr=SsrMode::Async/>
            <Route path=path!("/templates") view=pages::templates::Templates ssr=SsrMode::Async/>
            <Route path=path!("/models") view=pages::models::Models ssr=SsrMode::Async/>
            <Route path=path!("/runs") view=pages::runs::list::Runs ssr=SsrMode::Async/>
            <Route path=path!("/runs/new") view=pages::runs::new::NewRun ssr=SsrMode::Async/>
            <Route path=path!("/runs/:id") view=pages::runs::show::Run ssr=SsrMode::Async/>
            <Route path=path!("/runs/:id/page") view=pages::runs::hand_over::HandOver ssr=SsrMode::Async/>
            <Route path=path!("/playground") view=pages::playground::Playground ssr=SsrMode::Async/>
            <Route path=path!("/settings") view=pages::settings::Settings ssr=SsrMode::Async/>
            <Route path=path!("/help") view=pages::help::Help ssr=SsrMode::Async/>
        </Routes>
    }
    .into_any()
}
