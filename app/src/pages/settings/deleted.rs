//! What was deleted, the space it takes, and the way back.

use contract::trash::{Deleted, KEPT_DAYS, Kind};
use leptos::prelude::*;

use crate::components::confirm::ConfirmDelete;
use crate::components::notice::ProblemList;
use crate::components::part::settled;
use crate::ports::{list_deleted, purge_deleted, restore_deleted};
use crate::words::amounts::{now_ms, num, size};
use crate::words::{fill, words};

/// The card.
#[component]
pub(super) fn DeletedThings() -> impl IntoView {
    let w = &words().studio;
    let version = RwSignal::new(0u32);
    let all = Resource::new(move || version.get(), |_| list_deleted());
    view! {
        <h2 id="deleted">{w.deleted}</h2>
        <p class="small">{fill(w.deleted_text, &[&KEPT_DAYS.to_string()])}</p>
        {settled(all, move |all| list(all, version))}
    }
    .into_any()
}

fn list(all: Vec<Deleted>, version: RwSignal<u32>) -> AnyView {
    let w = &words().studio;
    if all.is_empty() {
        return view! { <p class="small">{w.deleted_none}</p> }.into_any();
    }
    let taken = size(all.iter().map(|one| one.bytes).sum());
    let lines = all.into_iter().map(|one| view! { <Line one version/> }).collect_view();
    view! { <ul class="plain deleted">{lines}</ul><p class="small num">{fill(w.deleted_space, &[&taken])}</p> }
        .into_any()
}

#[component]
fn Line(one: Deleted, version: RwSignal<u32>) -> impl IntoView {
    let w = words();
    let kind = match one.kind {
        Kind::Run => w.runs.run,
        Kind::Dataset => w.studio.deleted_dataset,
        Kind::Model => w.studio.deleted_model,
    };
    let (id, of) = (one.id.clone(), one.kind);
    let back = Action::new(move |_: &()| restore_deleted(of, id.clone()));
    let id = one.id.clone();
    let purge = Action::new(move |_: &()| purge_deleted(of, id.clone()));
    Effect::new(move |_| {
        let done = [back.value().get(), purge.value().get()];
        if done.into_iter().flatten().any(|done| done.is_ok()) {
            version.update(|version| *version += 1);
        }
    });
    let problems = Signal::derive(move || {
        let both = [back.value().get(), purge.value().get()].into_iter().flatten();
        both.filter_map(Result::err).flat_map(|problems| problems.0).collect()
    });
    let days = u64::try_from(one.days_left(now_ms())).unwrap_or_default();
    let about = [kind.to_owned(), size(one.bytes), fill(w.studio.deleted_left, &[&num(days)])].join(" · ");
    let (label_back, label) =
        (fill(w.studio.bring_back_name, &[&one.name]), fill(w.studio.delete_for_good_name, &[&one.name]));
    view! {
        <li>
            <div>
                <span><strong>{one.name.clone()}</strong><br/><span class="small num">{about}</span></span>
                <span class="row">
                    <button type="button" class="btn" aria-label=label_back disabled=move || back.pending().get()
                        on:click=move |_| { back.dispatch(()); }>{w.studio.bring_back}</button>
                    <ConfirmDelete title=w.studio.delete_for_good text=fill(w.studio.delete_for_good_text, &[&one.name]) label
                        on_confirm=Callback::new(move |()| { purge.dispatch(()); })/>
                </span>
            </div>
            <ProblemList problems/>
        </li>
    }
    .into_any()
}
