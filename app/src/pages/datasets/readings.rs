//! A file that reads in several encodings, or has several sheets: its first rows in each, and which one it is.

use contract::Code;
use contract::Problem;
use contract::problem::Reading;
use leptos::prelude::*;

use crate::words::words;

/// Which way of reading a file a person chose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    /// Its encoding; empty: as its bytes say.
    pub(crate) encoding: String,
    /// Its sheet; empty: the server asks where several hold rows.
    pub(crate) sheet: String,
}

/// The encodings or sheets that problems offer; nothing where they offer none.
#[component]
pub(crate) fn Readings(
    #[prop(into)] problems: Signal<Vec<Problem>>,
    choose: impl Fn(Chosen) + 'static,
) -> impl IntoView {
    let readings = move || problems.get().iter().flat_map(Problem::readings).collect::<Vec<_>>();
    let sheets = move || problems.with(|all| all.iter().any(|one| one.code == Code::DatasetSheetUnsure));
    let legend = move || if sheets() { words().data.choose_sheet } else { words().data.choose_encoding };
    let choose = move |name: String| match sheets() {
        true => choose(Chosen { sheet: name, ..Chosen::default() }),
        false => choose(Chosen { encoding: name, ..Chosen::default() }),
    };
    view! {
        <fieldset class="readings" hidden=move || readings().is_empty() on:change=move |event| choose(event_target_value(&event))>
            <legend>{legend}</legend>
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
            <input type="radio" name="reading" value=reading.name.clone()/>
            <span><strong>{reading.name}</strong>{lines.collect_view()}</span>
        </label>
    }
}
