//! The start page: what this is, the next step, and the runs.

use contract::RunState;
use contract::listed::readable;
use contract::run::RunSummary;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::components::notice::ProblemList;
use crate::components::page_title::PageTitle;
use crate::components::part::{loaded, settled};
use crate::components::run_table::RunTable;
use crate::ports::{read_system, start_tour};
use crate::words::words;

/// Runs shown here.
const SHOWN: usize = 5;

/// The start page.
#[component]
pub(crate) fn Start() -> impl IntoView {
    let w = &words().studio;
    let runs = super::runs::list::polled_runs();
    view! {
        <PageTitle text=w.product/>
        <Hero/>
        <div class="grid two start-grid">
            <section class="card" aria-labelledby="start-runs">
                <div class="pad card-head"><h2 id="start-runs">{w.start_runs}</h2><a class="small" href="/runs">{w.start_all_runs}</a></div>
                {settled(runs, |all| latest(readable(all)))}
            </section>
            <How/>
        </div>
    }
    .into_any()
}

fn latest(runs: Vec<RunSummary>) -> AnyView {
    let w = &words().studio;
    if runs.is_empty() {
        return view! { <p class="pad empty">{w.start_empty}</p> }.into_any();
    }
    let ask = runs.iter().find(|run| run.state == RunState::Finished).map(|run| {
        let href = format!("/playground?run={}", run.id);
        view! { <p class="pad small card-foot">{w.how_current}" "<a class="link" href=href>{run.name.clone()}</a></p> }
    });
    let shown = runs.into_iter().take(SHOWN).collect();
    view! { <RunTable runs=shown/>{ask} }.into_any()
}

#[component]
fn Hero() -> impl IntoView {
    let w = &words().studio;
    let tour = Action::new(|_: &()| start_tour());
    let pending = tour.pending();
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some(Ok(view)) = tour.value().get() {
            navigate(&format!("/runs/{}", view.run), Default::default());
        }
    });
    let problems =
        Signal::derive(move || tour.value().get().and_then(Result::err).map(|p| p.0).unwrap_or_default());
    let system = Resource::new(|| (), |()| read_system());
    view! {
        <section class="hero">
            <h1>{w.hero}</h1>
            <p>{w.hero_text}</p>
            <div class="row">
                <button type="button" class="btn primary" disabled=move || pending.get() on:click=move |_| {
                    tour.dispatch(());
                }>
                    {move || if pending.get() { w.try_starting } else { w.try_now }}
                </button>
                <a class="btn" href="/datasets">{w.own_data}</a>
                {loaded(system, move |system| {
                    let starter = system.is_ok_and(|system| system.starter);
                    view! { <span class="small">{if starter { w.try_note_starter } else { w.try_note_scratch }}</span> }
                })}
            </div>
            <ProblemList problems/>
        </section>
    }
    .into_any()
}

#[component]
fn How() -> impl IntoView {
    let w = &words().studio;
    let steps = [(w.how_1, w.how_1_text), (w.how_2, w.how_2_text), (w.how_3, w.how_3_text)]
        .map(|(name, text)| view! { <li><strong>{name}</strong><span class="small">{text}</span></li> });
    view! {
        <section class="card pad" aria-labelledby="how">
            <h2 id="how">{w.how_title}</h2>
            <ol class="how">{steps.into_iter().collect_view()}</ol>
        </section>
    }
    .into_any()
}
