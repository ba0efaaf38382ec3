//! A digest that a person types: compared with the file as it came, which is only ever a mark (S-070).

use contract::Problem;
use contract::dataset::DatasetView;
use contract::digest::Digest;
use leptos::prelude::*;

use crate::browser::value_of;
use crate::components::field::{Field, described_by};
use crate::components::notice::ProblemList;
use crate::ports::compare_digest;
use crate::words::{field_text, words};

/// A digest as typed; nothing typed is no digest.
///
/// # Errors
/// When it is none, with the place.
pub(super) fn typed(text: &str) -> Result<Option<Digest>, Problem> {
    if text.trim().is_empty() { Ok(None) } else { Digest::parse(text).map(Some) }
}

/// The field.
#[component]
pub(super) fn DigestField(id: &'static str, value: RwSignal<String>) -> impl IntoView {
    let w = words();
    let error = Signal::derive(move || {
        value.with(|text| typed(text).err()).map(|problem| field_text(w.lang, &problem))
    });
    view! {
        <Field id label=w.data.digest_label unit=w.runs.optional help=w.data.digest_help error>
            <input class="input mono" id=id name="digest" type="text" autocomplete="off" spellcheck="false" maxlength="300"
                aria-describedby=described_by(id) prop:value=move || value.get() on:input=move |event| value.set(value_of(&event))/>
        </Field>
    }
    .into_any()
}

/// The form on the page of a dataset.
#[component]
pub(super) fn CompareDigest(dataset: DatasetView, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let value = RwSignal::new(String::new());
    let id = dataset.id;
    let compare = Action::new(move |text: &String| compare_digest(id.clone(), text.clone()));
    let pending = compare.pending();
    let problems =
        Signal::derive(move || compare.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    Effect::new(move |_| {
        if let Some(Ok(_)) = compare.value().get() {
            version.update(|version| *version += 1);
        }
    });
    let ready = move || value.with(|text| matches!(typed(text), Ok(Some(_))));
    view! {
        <details>
            <summary class="small">{w.digest_check}</summary>
            <form class="fields" on:submit=move |event| {
                event.prevent_default();
                if ready() {
                    compare.dispatch(value.get_untracked());
                }
            }>
                <DigestField id="dataset-digest" value/>
                <div><button type="submit" class="btn" disabled=move || pending.get() || !ready()>{w.digest_compare}</button></div>
            </form>
            <ProblemList problems/>
        </details>
    }
    .into_any()
}
