//! Models: the list, and three ways to add one.

mod adapters;
mod add;

use std::time::Duration;

use contract::listed::{Listed, apart};
use contract::model::{ModelView, short_digest};
use contract::trash::Kind;
use leptos::prelude::*;

use self::adapters::Adapters;
use self::add::AddModel;
use crate::components::confirm::ConfirmDelete;
use crate::components::damaged::Damaged;
use crate::components::notice::ProblemList;
use crate::components::part::settled;
use crate::components::undo::{Undo, UndoLine, offer};
use crate::pages::Head;
use crate::ports::{delete_model, list_models, readable_datasets};
use crate::words::amounts::{num, weights};
use crate::words::{fill, problem_text, words};

/// How often the list is read while a model is being imported.
const EVERY: Duration = Duration::from_millis(1500);

/// The page.
#[component]
pub(crate) fn Models() -> impl IntoView {
    let w = &words().models;
    let version = RwSignal::new(0u32);
    let models = Resource::new(move || version.get(), |_| list_models());
    let datasets = Resource::new(|| (), |()| readable_datasets());
    let again = Callback::new(move |()| version.update(|version| *version += 1));
    Effect::new(move |_| {
        let importing =
            |one: &Listed<ModelView>| matches!(one, Listed::Read(model) if model.state == "importing");
        let busy = models.get().and_then(Result::ok).is_some_and(|all| all.iter().any(importing));
        if busy {
            set_timeout(
                move || {
                    version.try_update(|version| *version += 1);
                },
                EVERY,
            );
        }
    });
    view! {
        <Head title=w.title text=w.text/>
        <UndoLine kind=Kind::Model again/>
        {settled(models, move |all| {
            let (models, odd) = apart(all);
            view! { {table(models, version)}<Damaged kind=Kind::Model entries=odd again/> }.into_any()
        })}
        <h2 class="section-title">{w.add}</h2>
        {settled(datasets, move |datasets| view! { <AddModel datasets version/> }.into_any())}
    }
    .into_any()
}

fn table(models: Vec<ModelView>, version: RwSignal<u32>) -> AnyView {
    let w = &words().models;
    if models.is_empty() {
        return view! { <p class="card pad empty">{w.empty}</p> }.into_any();
    }
    let all = models.clone();
    // Adapters have a place of their own.
    let rows = models
        .into_iter()
        .filter(|model| model.adapter.is_none())
        .map(|model| view! { <Line model version/> })
        .collect_view();
    view! {
        <div class="card table-wrap">
            <table>
                <thead><tr><th scope="col">{w.name}</th><th scope="col">{w.state}</th><td></td></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <Adapters models=all version/>
    }
    .into_any()
}

/// What a model is, in a line.
fn facts_line(model: &ModelView) -> String {
    let w = &words().models;
    let Some(facts) = &model.facts else { return String::new() };
    let template = if facts.has_chat_template { w.template_own } else { w.template_none };
    let mut parts = vec![
        facts.architecture.clone(),
        fill(w.weights, &[&weights(facts.parameters)]),
        fill(w.context, &[&num(facts.context_length)]),
        template.to_owned(),
    ];
    parts.extend(facts.license.clone());
    parts.join(" · ")
}

#[component]
fn Line(model: ModelView, version: RwSignal<u32>) -> impl IntoView {
    let w = words();
    let (class, word) = match model.state.as_str() {
        "ready" => ("chip ok", w.models.ready),
        "failed" => ("chip bad", w.models.failed),
        _ => ("chip live", w.models.importing),
    };
    let ready = model.state == "ready";
    let facts = facts_line(&model);
    let spoken = model.facts.as_ref().map(|facts| fill(w.models.digest, &[&short_digest(&facts.digest)]));
    let problem = model.problem.as_ref().map(|problem| problem_text(w.lang, problem));
    let href = format!("/runs/new?model={}", model.id);
    let id = model.id.clone();
    let delete = Action::new(move |_: &()| delete_model(id.clone()));
    let (undo, gone, kept) = (use_context::<Undo>(), model.clone(), ready);
    Effect::new(move |_| {
        if let Some(Ok(())) = delete.value().get() {
            if kept {
                offer(undo, Kind::Model, gone.id.as_str(), &gone.name);
            }
            version.update(|version| *version += 1);
        }
    });
    let problems =
        Signal::derive(move || delete.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let text = fill(w.models.delete_text, &[&model.name]);
    let label = fill(w.models.delete_name, &[&model.name]);
    view! {
        <tr>
            <td>
                <strong>{model.name.clone()}</strong>" "
                {model.starter.then(|| view! { <span class="chip">{w.models.starter}</span> })}
                <div class="small">{facts}</div>
                {spoken.map(|text| view! { <div class="tiny mono">{text}</div> })}
                {problem.map(|text| view! { <div class="error">{text}</div> })}
            </td>
            <td><span class=class>{word}</span></td>
            <td class="right">
                <div class="row end">
                    <ConfirmDelete title=w.models.delete_title text label of=(Kind::Model, model.id.0.clone()) on_confirm=Callback::new(move |()| { delete.dispatch(()); })/>
                    {ready.then(|| view! { <a class="btn" href=href>{w.models.use_in_run}</a> })}
                </div>
                <ProblemList problems/>
            </td>
        </tr>
    }
    .into_any()
}
