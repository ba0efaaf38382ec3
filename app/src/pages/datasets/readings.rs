//! A file that reads in several encodings: its first rows in each, and which one it is.

use contract::Problem;
use contract::problem::Reading;
use leptos::prelude::*;

use crate::words::words;

/// The encodings that problems offer; nothing where they offer none.
#[component]
pub(crate) fn Readings(
    #[prop(into)] problems: Signal<Vec<Problem>>,
    choose: impl Fn(String) + 'static,
) -> impl IntoView {
    let readings = move || problems.get().iter().flat_map(Problem::readings).collect::<Vec<_>>();
    view! {
        <fieldset class="readings" hidden=move || readings().is_empty() on:change=move |event| choose(event_target_value(&event))>
            <legend>{words().data.choose_encoding}</legend>
            {move || readings().into_iter().map(choice).collect_view()}
        </fieldset>
    }
    .into_any()
}

fn choice(reading: Reading) -> impl IntoView {
    let lines = std::iter::once(reading.columns).chain(reading.rows).map(|cells| {
        view! { <span class="small">{cells.join(" · ")}</span> }
    });
    view! {
        <label class="choice card-choice">
            <input type="radio" name="encoding" value=reading.encoding.clone()/>
            <span><strong>{reading.encoding}</strong>{lines.collect_view()}</span>
        </label>
    }
}
