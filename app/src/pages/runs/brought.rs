//! A run that was not trained here: an adapter that was brought in. There is nothing to watch; it says where it is from.

use contract::adapter::AdapterFacts;
use contract::run::RunView;
use leptos::prelude::*;

use super::parts::Checkpoints;
use super::show::{Actions, watched};
use crate::components::page_title::PageTitle;
use crate::words::amounts::{num, weights};
use crate::words::{fill, template_name, words};

/// The page.
#[component]
pub(super) fn Brought(run: RunView, facts: AdapterFacts) -> impl IntoView {
    let w = words();
    let watched = watched(&run);
    view! {
        <PageTitle text=format!("{} · {}", run.summary.name, w.studio.product)/>
        <div class="head">
            <div>
                <p class="crumb"><a href="/runs">{w.runs.title}</a>" / "{run.summary.name.clone()}</p>
                <h1>{w.runs.brought_title}</h1>
                <p>{fill(w.runs.brought_text, &[&run.summary.model_name])}</p>
            </div>
            <Actions run=run.clone() watched/>
        </div>
        <div class="grid two">
            <Origin facts template=run.template.clone() model=run.summary.model_name.clone()/>
            <Checkpoints feed=watched.feed run over=Signal::stored(true)/>
        </div>
    }
    .into_any()
}

/// What the files of the adapter say, and on what it lies here.
#[component]
fn Origin(facts: AdapterFacts, template: String, model: String) -> impl IntoView {
    let w = &words().runs;
    let base = if facts.base.is_empty() { "–".to_owned() } else { facts.base };
    let revision = facts
        .revision
        .map(|revision| view! { <dt>{w.brought_revision}</dt><dd class="break">{revision}</dd> });
    let head = match facts.value_head {
        Some(width) => fill(w.brought_head_width, &[&num(width)]),
        None => w.brought_head_none.to_owned(),
    };
    view! {
        <section class="card pad" aria-labelledby="origin">
            <h2 id="origin">{w.brought_facts}</h2>
            <dl>
                <dt>{w.brought_base}</dt><dd class="break">{base}</dd>
                {revision}
                <dt>{w.brought_on}</dt><dd class="break">{model}</dd>
                <dt>{w.template}</dt><dd class="break">{template_name(&template)}</dd>
                <dt>{w.brought_rank}</dt><dd>{num(facts.rank)}</dd>
                <dt>{w.brought_alpha}</dt><dd>{facts.alpha.to_string()}</dd>
                <dt>{w.brought_targets}</dt><dd class="break">{facts.targets.join(", ")}</dd>
                <dt>{w.trainable}</dt><dd>{weights(facts.parameters)}</dd>
                <dt>{w.brought_head}</dt><dd>{head}</dd>
            </dl>
        </section>
    }
    .into_any()
}
