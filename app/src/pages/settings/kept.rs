//! Models whose files this browser keeps, so that they answer without the server.

use contract::carry::{EngineNews, KeptModel};
use leptos::prelude::*;

use crate::browser::engine::{self, EngineId};
use crate::words::amounts::size;
use crate::words::{fill, words};

/// The list; empty until the browser has been asked.
#[component]
pub(super) fn KeptModels() -> impl IntoView {
    let w = &words().studio;
    let items = RwSignal::new(None::<Vec<KeptModel>>);
    let worker = RwSignal::new(None::<EngineId>);
    Effect::new(move |_| {
        let id = engine::open(move |said| {
            let news = said.and_then(|text| serde_json::from_str(&text).ok());
            let found = if let Some(EngineNews::Kept { items }) = news { items } else { Vec::new() };
            items.try_set(Some(found));
        });
        worker.set(id);
        if let Some(id) = id {
            engine::send(id, engine::LIST);
        }
    });
    on_cleanup(move || {
        if let Some(Some(id)) = worker.try_get_untracked() {
            engine::close(id);
        }
    });
    let forget = move |query: String| {
        if let Some(id) = worker.get_untracked() {
            engine::forget(id, &query);
        }
    };
    let list = move || match items.get() {
        None => ().into_any(),
        Some(items) if items.is_empty() => view! { <p class="small">{w.kept_none}</p> }.into_any(),
        Some(items) => {
            let rows = items.into_iter().map(|item| {
                let label = fill(w.kept_delete, &[&item.name]);
                view! {
                    <li class="row">
                        <span>{item.name.clone()}</span><span class="small num">{size(item.bytes)}</span>
                        <button type="button" class="btn quiet" aria-label=label on:click=move |_| forget(item.query.clone())>{w.delete}</button>
                    </li>
                }
            });
            view! { <ul class="plain">{rows.collect_view()}</ul> }.into_any()
        }
    };
    view! {
        <h2>{w.kept}</h2>
        <p class="small">{w.kept_text}</p>
        <div aria-live="polite">{list}</div>
    }
    .into_any()
}
