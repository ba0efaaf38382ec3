//! Lines of a log.

use leptos::prelude::*;

use super::part::Part;
use crate::words::words;

/// The worker's lines; keeps its place unless a person scrolls.
#[component]
pub(crate) fn LogView(#[prop(into)] lines: Signal<Vec<(String, String)>>) -> impl IntoView {
    let w = &words().runs;
    let rows = move || {
        lines
            .get()
            .into_iter()
            .map(|(level, text)| {
                let class = match level.as_str() {
                    "warn" => "log-warn",
                    "error" => "log-error",
                    _ => "log-info",
                };
                view! { <div class=class>{text}</div> }
            })
            .collect_view()
    };
    view! {
        <div class="log mono" tabindex="0" role="region" aria-label=w.log>
            {rows}
            <Part when=move || lines.with(Vec::is_empty)>
                <div class="log-info">{w.log_empty}</div>
            </Part>
        </div>
    }
    .into_any()
}
