//! A button that asks before it destroys, and says what is lost.

use leptos::html;
use leptos::prelude::*;

use crate::words::words;

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
    /// Runs when confirmed.
    on_confirm: Callback<()>,
) -> impl IntoView {
    let w = &words().studio;
    let dialog = NodeRef::<html::Dialog>::new();
    let open = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            let _ = dialog.show_modal();
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
