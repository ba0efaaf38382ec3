//! One file a page: fetch and compose.

pub(crate) mod datasets;
pub(crate) mod help;
pub(crate) mod hub;
pub(crate) mod missing;
pub(crate) mod models;
pub(crate) mod playground;
pub(crate) mod runs;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod templates;

use leptos::prelude::*;

use crate::components::page_title::PageTitle;
use crate::words::words;

/// The head of a page: title of the window, heading, one sentence.
#[component]
pub(crate) fn Head(
    title: &'static str,
    text: &'static str,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <PageTitle text=format!("{title} · {}", words().studio.product)/>
        <div class="head">
            <div><h1>{title}</h1><p>{text}</p></div>
            {children.map(|children| view! { <div class="row">{children()}</div> })}
        </div>
    }
    .into_any()
}
