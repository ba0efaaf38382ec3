//! Problems and loading in words.

use contract::Code;
use contract::Problem;
use leptos::prelude::*;

use crate::ports::{Missing, Problems};
use crate::words::{problem_text, words};

/// Every problem of a list, one line each; nothing when there is none.
#[component]
pub(crate) fn ProblemList(#[prop(into)] problems: Signal<Vec<Problem>>) -> impl IntoView {
    let lang = words().lang;
    view! {
        <div class="problems" role="alert">
            {move || {
                problems.get().iter().map(|problem| view! { <p>{problem_text(lang, problem)}</p> }).collect_view()
            }}
        </div>
    }
    .into_any()
}

/// Shown where a page's data could not be read.
#[component]
pub(crate) fn Broken(problems: Problems) -> impl IntoView {
    let w = words();
    let lines =
        problems.0.iter().map(|problem| view! { <p>{problem_text(w.lang, problem)}</p> }).collect_view();
    view! {
        <div class="card pad broken" role="alert">
            {lines}
            <p><a class="btn" href="">{w.studio.retry}</a></p>
        </div>
    }
    .into_any()
}

/// A page's data, or what went wrong.
pub(crate) fn settle<T>(answer: Result<T, Problems>, show: impl FnOnce(T) -> AnyView) -> AnyView {
    match answer {
        Ok(value) => show(value),
        Err(problems) => {
            if problems.0.iter().any(|problem| problem.code == Code::NotFound)
                && let Some(missing) = use_context::<Missing>()
            {
                (missing.0)();
            }
            view! { <Broken problems/> }.into_any()
        }
    }
}

/// Shown while a page's data is read; CSS keeps it unseen for the first 300 ms.
#[component]
pub(crate) fn Waiting() -> impl IntoView {
    view! { <p class="waiting small" role="status">{words().studio.loading}</p> }.into_any()
}
