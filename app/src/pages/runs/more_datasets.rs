//! Further datasets of a run, beside the first.

use leptos::prelude::*;

use crate::browser::checked_of;
use crate::components::part::Part;
use crate::forms::state::{Form, fits};
use crate::words::amounts::rows;
use crate::words::{field_text, words};

/// A list of ids without one.
pub(super) fn without(list: &str, id: &str) -> String {
    list.split(',').filter(|one| !one.is_empty() && *one != id).collect::<Vec<_>>().join(",")
}

/// A list of ids with one at its end.
fn with(list: &str, id: &str) -> String {
    let before = without(list, id);
    if before.is_empty() { id.to_owned() } else { format!("{before},{id}") }
}

/// A box for every other dataset that fits the goal; those ticked are read in the order in which they were ticked.
#[component]
pub(super) fn MoreDatasets(form: Form) -> impl IntoView {
    let w = words();
    let others = Memo::new(move |_| {
        let (stage, first) = (form.stage(), form.draft.with(|draft| draft.dataset.clone()));
        let all = form.datasets.get_value();
        all.into_iter().filter(|dataset| dataset.id.0 != first && fits(dataset, stage)).collect::<Vec<_>>()
    });
    let error = move || form.problem_of("more_datasets").map(|problem| field_text(w.lang, &problem));
    let boxes = move || {
        let one = |dataset: contract::dataset::DatasetView| {
            let (id, held) = (dataset.id.0.clone(), dataset.id.0);
            let on = move || form.draft.with(|draft| draft.more_datasets.split(',').any(|one| one == held));
            let count = dataset.inspection.usable_in(form.stage());
            let text = format!("{} · {}", dataset.name, rows(w.lang, count));
            view! {
                <label class="check">
                    <input type="checkbox" checked=on.clone() prop:checked=on on:change=move |event| {
                        let change: fn(&str, &str) -> String = if checked_of(&event) { with } else { without };
                        form.change(|draft| draft.more_datasets = change(&draft.more_datasets, &id));
                    }/>
                    <span>{text}</span>
                </label>
            }
        };
        others.get().into_iter().map(one).collect_view()
    };
    view! {
        <Part when=move || others.with(|others| !others.is_empty())>
            <fieldset class="field names" id="more_datasets">
                <legend>{w.runs.more_datasets}</legend>
                <div class="checks">{boxes}</div>
                <p class="error" role="status">{move || error().unwrap_or_default()}</p>
                <p class="small">{w.runs.more_datasets_help}</p>
            </fieldset>
        </Part>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_ticking() {
        let both = with(&with("", "b"), "a");
        assert_eq!((both.as_str(), with(&both, "b").as_str()), ("b,a", "a,b"));
        assert_eq!((without(&both, "b").as_str(), without("", "b").as_str()), ("a", ""));
    }
}
