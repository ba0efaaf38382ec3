//! Entries of a list that cannot be read: shown as such, with the reason, and can be deleted (F7).

use contract::listed::Unreadable;
use contract::trash::Kind;
use contract::{DatasetId, ModelId, RunId};
use leptos::prelude::*;

use super::confirm::ConfirmDelete;
use super::notice::ProblemList;
use super::undo::{Undo, offer};
use crate::ports::{Problems, delete_dataset, delete_model, delete_run};
use crate::words::{fill, problem_text, words};

/// Deletes something by its kind.
pub(crate) async fn delete(kind: Kind, id: String) -> Result<(), Problems> {
    match kind {
        Kind::Run => delete_run(RunId(id)).await,
        Kind::Dataset => delete_dataset(DatasetId(id)).await,
        Kind::Model => delete_model(ModelId(id)).await,
    }
}

/// The entries; nothing where all can be read. `again`: runs once one was deleted.
#[component]
pub(crate) fn Damaged(kind: Kind, entries: Vec<Unreadable>, again: Callback<()>) -> impl IntoView {
    let lines = entries.into_iter().map(|one| view! { <Line kind one again/> }).collect_view();
    view! { <div class="damaged">{lines}</div> }.into_any()
}

#[component]
fn Line(kind: Kind, one: Unreadable, again: Callback<()>) -> impl IntoView {
    let w = words();
    let undo = use_context::<Undo>();
    let (id, name) = (one.id.clone(), one.name.clone());
    let remove = Action::new(move |_: &()| delete(kind, id.clone()));
    let (id, said) = (one.id.clone(), name.clone());
    Effect::new(move |_| {
        if let Some(Ok(())) = remove.value().get() {
            offer(undo, kind, &id, &said);
            again.run(());
        }
    });
    let problems =
        Signal::derive(move || remove.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let label = fill(w.studio.delete_name, &[&name]);
    view! {
        <div class="card pad">
            <div>
                <strong>{name.clone()}</strong>
                <ConfirmDelete title=w.studio.delete_title text=fill(w.studio.delete_text, &[&name]) label
                    on_confirm=Callback::new(move |()| { remove.dispatch(()); })/>
            </div>
            <p class="error">{problem_text(w.lang, &one.unreadable)}</p>
            <ProblemList problems/>
        </div>
    }
    .into_any()
}
