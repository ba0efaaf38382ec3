//! A conversation: a person's words in a well at the right, the model's as plain text.

use leptos::prelude::*;

use crate::chat::{Phase, Talk, Turn};
use crate::words::{problem_text, words};

/// The turns of a talk, the last one growing.
#[component]
pub(crate) fn Transcript(talk: Talk) -> impl IntoView {
    let past = move || talk.past.get().into_iter().map(|turn| view! { <TurnView turn/> }).collect_view();
    let last = move || talk.current.get().map(|turn| view! { <TurnView turn/> });
    view! { <div class="talk">{past}{last}</div> }.into_any()
}

/// A question and its answer.
#[component]
pub(crate) fn TurnView(turn: Turn) -> impl IntoView {
    let w = words();
    let answer = turn.answer;
    let note = match answer.reason.as_deref() {
        Some("length") => Some(w.play.cut_length),
        Some("cancelled") => Some(w.play.cancelled),
        _ => None,
    };
    let speaking = matches!(answer.phase, Phase::Asked | Phase::Loading | Phase::Speaking);
    let waiting = (speaking && answer.text.is_empty()).then_some(match answer.phase {
        Phase::Loading => w.play.loading,
        _ => w.play.speaking,
    });
    view! {
        <div class="q"><span class="visually-hidden">{w.play.you}": "</span>{turn.question}</div>
        <div class="a" class:speaking=speaking>
            <span class="visually-hidden">{w.play.answer}": "</span>
            {answer.text}
            {waiting.map(|text| view! { <span class="tiny">{text}</span> })}
        </div>
        {note.map(|note| view! { <p class="tiny">{note}</p> })}
        {answer.problem.map(|problem| view! { <p class="error" role="alert">{problem_text(w.lang, &problem)}</p> })}
    }
    .into_any()
}
