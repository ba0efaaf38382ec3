//! Which template: the model's own, a built-in one, or one that was written here.

use contract::templates::{BUILTIN, MODEL_TEMPLATE, UserTemplate};
use leptos::prelude::*;

use crate::browser::value_of;
use crate::components::field::described_by;
use crate::components::part::loaded;
use crate::ports::list_templates;
use crate::words::{fill, words};

/// The `<select>`; goes into a field of the same id.
#[component]
pub(crate) fn TemplateSelect(
    /// Id, which its label names.
    #[prop(into)]
    id: String,
    /// Key chosen.
    #[prop(into)]
    value: Signal<String>,
    /// Hears the new key.
    on_choose: Callback<String>,
) -> impl IntoView {
    let saved = Resource::new(|| (), |()| list_templates());
    loaded(saved, move |saved| {
        let own: Vec<UserTemplate> = saved.unwrap_or_default().into_iter().map(|one| one.template).collect();
        view! { <Choice id=id.clone() value on_choose own/> }
    })
}

#[component]
fn Choice(
    id: String,
    value: Signal<String>,
    on_choose: Callback<String>,
    own: Vec<UserTemplate>,
) -> impl IntoView {
    let w = words();
    let mut all = vec![(MODEL_TEMPLATE.to_owned(), w.runs.template_model.to_owned())];
    all.extend(own.iter().map(|one| (one.key(), fill(w.templates.own, &[&one.name]))));
    all.extend(BUILTIN.iter().map(|one| (one.name.to_owned(), one.name.to_owned())));
    let options = all
        .into_iter()
        .map(|(key, name)| {
            let mine = key.clone();
            view! { <option value=key selected=move || value.with(|now| *now == mine)>{name}</option> }
        })
        .collect_view();
    view! {
        <select class="input" id=id.clone() prop:value=move || value.get() aria-describedby=described_by(&id)
            on:change=move |event| on_choose.run(value_of(&event))>{options}</select>
    }
    .into_any()
}
