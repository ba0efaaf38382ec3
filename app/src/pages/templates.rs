//! Prompt templates of one's own: written beside what the model will see of them.

mod form;

use contract::dataset::DatasetView;
use contract::model::ModelView;
use contract::saved::SavedTemplate;
use contract::templates::UserTemplate;
use leptos::prelude::*;

use self::form::{Draft, Form, Preview};
use crate::components::confirm::ConfirmDelete;
use crate::components::notice::ProblemList;
use crate::components::part::settled;
use crate::pages::Head;
use crate::ports::{Problems, delete_template, list_templates, readable_datasets, readable_models};
use crate::words::{fill, words};

/// The page.
#[component]
pub(crate) fn Templates() -> impl IntoView {
    let w = &words().templates;
    let version = RwSignal::new(0u32);
    let draft = Draft::new();
    let saved = Resource::new(move || version.get(), |_| list_templates());
    let both = Resource::new(
        || (),
        |()| async { Ok::<_, Problems>((readable_models().await?, readable_datasets().await?)) },
    );
    view! {
        <Head title=w.title text=w.text/>
        <div class="new-run">
            <div class="health-left">
                {settled(saved, move |all| view! { <List all draft version/> }.into_any())}
                <Form draft version/>
            </div>
            {settled(both, move |(models, datasets)| beside(models, datasets, draft))}
        </div>
    }
    .into_any()
}

/// The preview, where there is something to show.
fn beside(models: Vec<ModelView>, datasets: Vec<DatasetView>, draft: Draft) -> AnyView {
    let models: Vec<_> = models.into_iter().filter(|model| model.state == "ready").collect();
    let datasets: Vec<_> = datasets
        .into_iter()
        .filter(|dataset| dataset.inspection.usable_in(contract::Stage::Sft) > 0)
        .collect();
    if models.is_empty() || datasets.is_empty() {
        return view! { <section class="card pad"><p class="small">{words().runs.preview_none}</p></section> }.into_any();
    }
    view! { <Preview models datasets draft/> }.into_any()
}

#[component]
fn List(all: Vec<SavedTemplate>, draft: Draft, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().templates;
    if all.is_empty() {
        return view! { <p class="card pad empty">{w.empty}</p> }.into_any();
    }
    let lines = all.into_iter().map(|one| view! { <Line one draft version/> }).collect_view();
    view! {
        <section class="card pad" aria-labelledby="yours"><h2 id="yours">{w.yours}</h2><ul class="plain">{lines}</ul></section>
    }
    .into_any()
}

#[component]
fn Line(one: SavedTemplate, draft: Draft, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().templates;
    let SavedTemplate { id, template } = one;
    let name = template.name.clone();
    let delete = Action::new(move |_: &()| delete_template(id.clone()));
    Effect::new(move |_| {
        if let Some(Ok(())) = delete.value().get() {
            version.update(|version| *version += 1);
        }
    });
    let problems =
        Signal::derive(move || delete.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let text = fill(w.delete_text, &[&name]);
    let labels = [fill(w.change_name, &[&name]), fill(w.delete_name, &[&name])];
    let [change, remove] = labels;
    let kept: StoredValue<UserTemplate> = StoredValue::new(template);
    view! {
        <li class="sample">
            <strong class="grow break">{name}</strong>
            <div class="row end">
                <ConfirmDelete title=w.delete_title text label=remove on_confirm=Callback::new(move |()| { delete.dispatch(()); })/>
                <button type="button" class="btn" aria-label=change on:click=move |_| draft.set(&kept.get_value())>{w.change}</button>
            </div>
            <ProblemList problems/>
        </li>
    }
    .into_any()
}
