//! What is on its way from the hub: bars that move, and what to do when one stops.

use std::time::Duration;

use contract::hub::{HubKind, NewTransfer, TransferState, TransferView};
use leptos::prelude::*;

use crate::components::part::loaded;
use crate::ports::{hub_cancel, hub_start, hub_transfers};
use crate::words::amounts::size;
use crate::words::{fill, problem_text, words};

/// How often the list is read while something moves.
const EVERY: Duration = Duration::from_millis(700);

/// The list; empty until something was fetched.
#[component]
pub(super) fn Transfers(kind: HubKind, began: RwSignal<u32>, landed: RwSignal<u32>) -> impl IntoView {
    let version = RwSignal::new(0u32);
    let list = Resource::new(move || (version.get(), began.get()), move |_| hub_transfers(kind));
    let arrived = StoredValue::new(None::<usize>);
    Effect::new(move |_| {
        let Some(Ok(all)) = list.get() else { return };
        let done = all.iter().filter(|one| one.state == TransferState::Done).count();
        if arrived.get_value().is_some_and(|before| done > before) {
            landed.update(|landed| *landed += 1);
        }
        arrived.set_value(Some(done));
        if all.iter().any(|one| one.state.is_live()) {
            set_timeout(
                move || {
                    version.try_update(|version| *version += 1);
                },
                EVERY,
            );
        }
    });
    loaded(list, move |all| {
        let all = all.unwrap_or_default();
        (!all.is_empty()).then(|| view! { <List all began/> })
    })
}

#[component]
fn List(all: Vec<TransferView>, began: RwSignal<u32>) -> impl IntoView {
    let w = &words().hub;
    let lines = all.into_iter().map(|one| view! { <Line one began/> }).collect_view();
    view! {
        <div class="hub-transfers">
            <h4>{w.transfers}</h4>
            <ul class="plain">{lines}</ul>
        </div>
    }
    .into_any()
}

/// Where the thing that arrived is shown.
fn place(one: &TransferView) -> Option<String> {
    let id = one.result.as_ref()?;
    (one.wanted.kind == HubKind::Dataset).then(|| format!("/datasets/{id}"))
}

#[component]
fn Line(one: TransferView, began: RwSignal<u32>) -> impl IntoView {
    let w = words();
    let (class, word) = match one.state {
        TransferState::Downloading => ("chip live", w.hub.downloading),
        TransferState::Importing => ("chip live", w.hub.importing),
        TransferState::Done => ("chip ok", w.hub.done),
        TransferState::Failed => ("chip bad", w.hub.failed),
        TransferState::Cancelled => ("chip", w.hub.cancelled),
    };
    let live = one.state.is_live();
    let total = one.total.max(1);
    let label = format!("{} {}", w.hub.downloading, one.wanted.repo);
    let bar = live.then(|| view! { <progress class="bar-line" max=total.to_string() value=one.done.to_string() aria-label=label></progress> });
    let amount = fill(w.hub.progress, &[&size(one.done), &size(one.total)]);
    let problem = one.problem.as_ref().map(|problem| problem_text(w.lang, problem));
    let unfinished = matches!(one.state, TransferState::Failed | TransferState::Cancelled);
    let kept = (unfinished && one.done > 0).then_some(w.hub.kept);
    let place = place(&one);
    let here = (one.state == TransferState::Done && place.is_none()).then_some(w.hub.see_models);
    let open = place.map(|href| view! { <a class="btn" href=href>{w.hub.open}</a> });
    let name = one.wanted.name.clone();
    let buttons = view! { <Buttons wanted=one.wanted.clone() id=one.id state=one.state began/> };
    view! {
        <li class="sample transfer">
            <div class="grow">
                <strong class="break">{name}</strong>" "<span class=class>{word}</span>
                <div class="small num">{one.wanted.repo}" · "{amount}</div>
                {bar}
                {problem.map(|text| view! { <div class="error">{text}</div> })}
                {kept.map(|text| view! { <div class="small">{text}</div> })}
                {here.map(|text| view! { <div class="small">{text}</div> })}
            </div>
            <div class="row end">{open}{buttons}</div>
        </li>
    }
    .into_any()
}

#[component]
fn Buttons(wanted: NewTransfer, id: String, state: TransferState, began: RwSignal<u32>) -> impl IntoView {
    let w = &words().hub;
    let again = Action::new(move |_: &()| {
        let wanted = wanted.clone();
        async move {
            let _ = hub_start(wanted).await;
            began.try_update(|began| *began += 1);
        }
    });
    let cancel = Action::new(move |_: &()| {
        let id = id.clone();
        async move {
            let _ = hub_cancel(id).await;
            began.try_update(|began| *began += 1);
        }
    });
    let word = match state {
        TransferState::Failed => Some(w.again),
        TransferState::Cancelled => Some(w.go_on),
        _ => None,
    };
    view! {
        {word.map(|word| view! { <button type="button" class="btn" on:click=move |_| { again.dispatch(()); }>{word}</button> })}
        <button type="button" class="btn quiet" on:click=move |_| { cancel.dispatch(()); }>{if state.is_live() { w.stop } else { w.forget }}</button>
    }
    .into_any()
}
