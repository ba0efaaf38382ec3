//! A button that asks before it destroys, and says what is lost.

use contract::trash::Kind;
use leptos::html;
use leptos::prelude::*;

use crate::ports::runs_using;
use crate::words::{fill, words};

/// A delete button with its dialog.
#[component]
pub(crate) fn ConfirmDelete(
    /// The question.
    title: &'static str,
    /// What is lost.
    #[prop(into)]
    text: String,
    /// What the button says to a screen reader; by default its own word.
    #[prop(optional, into)]
    label: Option<String>,
    /// What it is, to name the runs that use it.
    #[prop(optional)]
    of: Option<(Kind, String)>,
    /// Runs when confirmed.
    on_confirm: Callback<()>,
) -> impl IntoView {
    let w = &words().studio;
    let using = Action::new(|of: &(Kind, String)| runs_using(of.0, of.1.clone()));
    let users = move || {
        let found = using.value().get().and_then(Result::ok).filter(|usage| usage.runs > 0)?;
        Some(view! { <p>{fill(w.delete_users, &[&found.line()])}</p> })
    };
    let dialog = NodeRef::<html::Dialog>::new();
    let open = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            let _ = dialog.show_modal();
        }
        if let Some(of) = &of {
            using.dispatch(of.clone());
        }
    };
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <button type="button" class="btn quiet" aria-label=label on:click=open>{w.delete}</button>
        <dialog class="dialog" node_ref=dialog aria-label=title>
            <h2>{title}</h2>
            <p>{text}</p>
            <div role="status">{users}</div>
            <div class="row end">
                <button type="button" class="btn" on:click=move |_| close()>{w.cancel}</button>
                <button type="button" class="btn danger" on:click=move |_| {
                    close();
                    on_confirm.run(());
                }>{w.delete}</button>
            </div>
        </dialog>
    }
    .into_any()
}
