//! A chip says a state in a word; colour only repeats it.

use contract::RunState;
use leptos::prelude::*;

use crate::words::{state_word, words};

/// The state of a run.
#[component]
pub(crate) fn StateChip(#[prop(into)] state: Signal<RunState>) -> impl IntoView {
    let lang = words().lang;
    let class = move || match state.get() {
        RunState::Running | RunState::Preparing | RunState::Stopping => "chip live",
        RunState::Finished => "chip ok",
        RunState::Stopped => "chip warn",
        RunState::Failed => "chip bad",
        RunState::Queued => "chip",
    };
    view! { <span class=class>{move || state_word(lang, state.get())}</span> }.into_any()
}
