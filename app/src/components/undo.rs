//! The way back right after a deletion: a line on the list that one returns to.

use contract::trash::Kind;
use leptos::prelude::*;

use super::notice::ProblemList;
use super::part::part;
use crate::ports::restore_deleted;
use crate::words::{fill, words};

/// What was deleted last in this window.
#[derive(Clone, Copy)]
pub(crate) struct Undo(RwSignal<Option<(Kind, String, String)>>);

impl Undo {
    /// For the frame of every page.
    pub(crate) fn provide() {
        provide_context(Self(RwSignal::new(None)));
    }
}

/// Offers to bring back what was just deleted.
pub(crate) fn offer(undo: Option<Undo>, kind: Kind, id: &str, name: &str) {
    if let Some(Undo(last)) = undo {
        last.set(Some((kind, id.to_owned(), name.to_owned())));
    }
}

/// The line; nothing where nothing of this kind was just deleted. `again`: runs once it is back.
#[component]
pub(crate) fn UndoLine(kind: Kind, again: Callback<()>) -> impl IntoView {
    let w = &words().studio;
    let Some(Undo(last)) = use_context::<Undo>() else { return ().into_any() };
    let restore = Action::new(|id: &(Kind, String)| restore_deleted(id.0, id.1.clone()));
    Effect::new(move |_| {
        if let Some(Ok(())) = restore.value().get() {
            last.set(None);
            again.run(());
        }
    });
    let problems =
        Signal::derive(move || restore.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let line = part(move || {
        last.get().filter(|(of, ..)| *of == kind).map(|(kind, id, name)| {
            view! {
                <p class="notice row">
                    <span>{fill(w.deleted_now, &[&name])}</span>
                    <button type="button" class="btn" on:click=move |_| { restore.dispatch((kind, id.clone())); }>{w.undo}</button>
                </p>
            }
        })
    });
    view! { <div role="status">{line}</div><ProblemList problems/> }.into_any()
}
