//! Adapters that came in place of a model: on which one each is to lie.

use contract::adapter::AdapterFacts;
use contract::model::ModelView;
use contract::templates::suggest;
use contract::{Code, ModelId, Problem};
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::browser::value_of;
use crate::components::confirm::ConfirmDelete;
use crate::components::field::{Field, described_by};
use crate::components::notice::ProblemList;
use crate::forms::template_select::TemplateSelect;
use crate::ports::{adopt_adapter, delete_model};
use crate::words::amounts::{num, weights};
use crate::words::{fill, problem_text, words};

/// A card for each adapter that waits; nothing where none does.
#[component]
pub(super) fn Adapters(models: Vec<ModelView>, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().models;
    let waiting = |model: &ModelView| {
        let facts = model.adapter.clone()?;
        let bases = facts.bases(&models).into_iter().cloned().collect();
        Some(view! { <Waiting model=model.clone() facts bases version/> })
    };
    let cards: Vec<_> = models.iter().filter_map(waiting).collect();
    (!cards.is_empty()).then(|| {
        view! {
            <h2 class="section-title">{w.adapters}</h2>
            <p class="small">{w.adapters_text}</p>
            <div class="grid two">{cards}</div>
        }
    })
}

/// What an adapter is, in a line.
fn facts_line(facts: &AdapterFacts) -> String {
    let w = &words().models;
    let mut parts = vec![
        fill(w.adapter_rank, &[&num(facts.rank)]),
        facts.targets.join(", "),
        fill(w.weights, &[&weights(facts.parameters)]),
    ];
    parts.extend(facts.value_head.map(|_| w.adapter_head.to_owned()));
    parts.join(" · ")
}

/// Whose adapter it is, as far as its files say.
fn whose(facts: &AdapterFacts) -> String {
    let w = &words().models;
    match (facts.base.as_str(), &facts.revision) {
        ("", _) => w.adapter_of_none.to_owned(),
        (base, Some(revision)) => fill(w.adapter_of_revision, &[base, revision]),
        (base, None) => fill(w.adapter_of, &[base]),
    }
}

#[component]
fn Waiting(
    model: ModelView,
    facts: AdapterFacts,
    bases: Vec<ModelView>,
    version: RwSignal<u32>,
) -> impl IntoView {
    let w = words();
    let heading = format!("adapter-{}", model.id);
    let labelled = heading.clone();
    let id = model.id.clone();
    let delete = Action::new(move |_: &()| delete_model(id.clone()));
    Effect::new(move |_| {
        if let Some(Ok(())) = delete.value().get() {
            version.update(|version| *version += 1);
        }
    });
    let problems =
        Signal::derive(move || delete.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let text = fill(w.models.adapter_delete_text, &[&model.name]);
    let label = fill(w.models.delete_name, &[&model.name]);
    let refused = model.problem.as_ref().filter(|_| bases.is_empty()).map(|problem| {
        view! { <p class="notice warn">{problem_text(w.lang, problem)}</p> }
    });
    let form = (!bases.is_empty()).then(|| {
        view! { <PutOn id=model.id.clone() base=facts.base.clone() named=facts.clone() bases/> }
    });
    view! {
        <section class="card pad add-card" aria-labelledby=labelled>
            <h3 id=heading>{model.name.clone()}" "<span class="chip">{w.models.adapter}</span></h3>
            <div class="small"><p>{whose(&facts)}</p><p class="break">{facts_line(&facts)}</p></div>
            {refused}
            {form}
            <div class="row end">
                <ConfirmDelete title=w.models.adapter_delete_title text label on_confirm=Callback::new(move |()| { delete.dispatch(()); })/>
            </div>
            <ProblemList problems/>
        </section>
    }
    .into_any()
}

/// The choice of a base, which a person confirms.
#[component]
fn PutOn(
    /// The adapter.
    id: ModelId,
    /// Name of the model its files ask for.
    base: String,
    /// What its files say.
    named: AdapterFacts,
    /// Models of its shapes, the one of that name first.
    bases: Vec<ModelView>,
) -> impl IntoView {
    let w = words();
    let first = bases.first().filter(|model| named.is_of(&model.name));
    let help = match first {
        Some(_) => String::new(),
        None if base.is_empty() => w.models.adapter_unknown.to_owned(),
        None => fill(w.models.adapter_unnamed, &[&base]),
    };
    let templates: Vec<(String, &'static str)> = bases
        .iter()
        .map(|model| {
            let facts = model.facts.as_ref();
            let own = facts.is_some_and(|facts| facts.has_chat_template);
            let architecture = facts.map_or("", |facts| facts.architecture.as_str());
            (model.id.0.clone(), suggest(&model.name, architecture, own))
        })
        .collect();
    let suggested = move |chosen: &str| {
        let found = templates.iter().find(|(id, _)| id == chosen).or(templates.first());
        found.map_or("default", |(_, template)| *template).to_owned()
    };
    let chosen = RwSignal::new(first.map(|model| model.id.0.clone()).unwrap_or_default());
    let template = RwSignal::new(chosen.with_untracked(|chosen| suggested(chosen)));
    let refused = RwSignal::new(Vec::<Problem>::new());
    let busy = RwSignal::new(false);
    let navigate = use_navigate();
    let put = {
        let id = id.clone();
        move |_| {
            let Some(base) = ModelId::parse(&chosen.get_untracked()) else {
                return refused.set(vec![Problem::new(Code::FormMissing, "Choose a model.").field("model")]);
            };
            busy.set(true);
            refused.set(Vec::new());
            let (id, template, navigate) = (id.clone(), template.get_untracked(), navigate.clone());
            leptos::task::spawn_local(async move {
                let answer = adopt_adapter(id, base, template).await;
                busy.try_set(false);
                match answer {
                    Ok(run) => navigate(&format!("/runs/{run}"), Default::default()),
                    Err(problems) => {
                        refused.try_set(problems.0);
                    }
                }
            });
        }
    };
    let choose = move |event| {
        let value = value_of(&event);
        template.set(suggested(&value));
        chosen.set(value);
    };
    let options = bases
        .iter()
        .map(|model| {
            let (value, own) = (model.id.0.clone(), model.id.0.clone());
            let name = match named.is_of(&model.name) || base.is_empty() {
                true => model.name.clone(),
                false => fill(w.models.adapter_other_name, &[&model.name]),
            };
            view! { <option value=value selected=move || chosen.with(|chosen| *chosen == own)>{name}</option> }
        })
        .collect_view();
    let (base_field, template_field) = (format!("base-{id}"), format!("template-{id}"));
    view! {
        <Field id=base_field.clone() label=w.models.adapter_base help>
            <select class="input" id=base_field.clone() aria-describedby=described_by(&base_field) on:change=choose>
                <option value="" selected=move || chosen.with(String::is_empty)>{w.models.adapter_choose}</option>
                {options}
            </select>
        </Field>
        <Field id=template_field.clone() label=w.runs.template help=w.models.adapter_template>
            <TemplateSelect id=template_field value=template on_choose=Callback::new(move |key| template.set(key))/>
        </Field>
        <ProblemList problems=refused/>
        <button type="button" class="btn" disabled=move || busy.get() on:click=put>{w.models.adapter_put}</button>
    }
    .into_any()
}
