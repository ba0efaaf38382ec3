//! What a run would learn from: counted for a stage, a model and limits, before anything is trained.

mod findings;
mod lengths;
mod setup;

use std::time::Duration;

use contract::DatasetId;
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::DatasetView;
use contract::health::{HealthReport, Progress};
use contract::model::ModelView;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use self::findings::{Findings, Totals};
use self::lengths::Lengths;
use self::setup::{Setup, SetupForm};
use crate::components::notice::Broken;
use crate::components::page_title::PageTitle;
use crate::components::part::{loaded, settled};
use crate::forms::preview::RowPreview;
use crate::ports::{Problems, check_health, get_dataset, readable_models};
use crate::words::amounts::{num, rows};
use crate::words::{fill, words};

/// How often a running checkup is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// The page.
#[component]
pub(crate) fn Health() -> impl IntoView {
    let params = use_params_map();
    let both = Resource::new(
        move || DatasetId(params.read().get("id").unwrap_or_default()),
        |id| async move { Ok::<_, Problems>((get_dataset(id).await?, readable_models().await?)) },
    );
    settled(both, |(dataset, models)| choose(dataset, models))
}

/// The checkup, or the step that comes before it.
fn choose(dataset: DatasetView, models: Vec<ModelView>) -> AnyView {
    let w = words();
    let models: Vec<_> = models.into_iter().filter(|model| model.state == "ready").collect();
    let head = |heading: AnyView, text: &'static str| head(&dataset, heading, text);
    if models.is_empty() {
        let body = view! { <div class="card pad empty"><p>{w.health.need_model}</p><p><a class="btn primary" href="/models">{w.health.need_model_go}</a></p></div> };
        return view! { {head(w.health.link.into_any(), w.health.text)}{body} }.into_any();
    }
    let Some(setup) = Setup::new(&dataset, models) else {
        return view! { {head(w.health.verdict_none.into_any(), w.health.text)}<p class="card pad empty">{w.health.no_stage}</p> }.into_any();
    };
    view! { <Page dataset setup/> }.into_any()
}

fn head(dataset: &DatasetView, heading: AnyView, text: &'static str) -> AnyView {
    let w = words();
    let title = format!("{} · {} · {}", w.health.crumb, dataset.name, w.studio.product);
    let name = dataset.name.clone();
    let back = format!("/datasets/{}", dataset.id);
    view! {
        <PageTitle text=title/>
        <div class="head">
            <div>
                <p class="crumb"><a href="/datasets">{w.data.title}</a>" / "<a href=back>{name}</a>" / "{w.health.crumb}</p>
                <h1>{heading}</h1><p>{text}</p>
            </div>
        </div>
    }
    .into_any()
}

/// The sentence above everything.
fn verdict(checkup: Option<&Checkup>) -> String {
    let w = words();
    match checkup {
        Some(Checkup::Done { report }) => match (report.used, report.rows) {
            (0, _) => w.health.verdict_none.to_owned(),
            (used, all) if used >= all => fill(w.health.verdict_all, &[&rows(w.lang, all)]),
            (used, all) => fill(w.health.verdict_some, &[&num(used), &rows(w.lang, all)]),
        },
        Some(Checkup::Running { .. }) => w.health.verdict_running.to_owned(),
        _ => w.health.link.to_owned(),
    }
}

#[component]
fn Page(dataset: DatasetView, setup: Setup) -> impl IntoView {
    let w = words();
    let tick = RwSignal::new(0u32);
    let row = RwSignal::new(1u64);
    let checkup = Resource::new(
        move || (setup.asked.get(), tick.get()),
        |(asked, _): (Option<CheckupRequest>, u32)| async move {
            match asked {
                Some(asked) => check_health(asked).await.map(Some),
                None => Ok(None),
            }
        },
    );
    Effect::new(move |_| {
        if let Some(Ok(Some(Checkup::Running { .. }))) = checkup.get() {
            set_timeout(
                move || {
                    tick.try_update(|tick| *tick += 1);
                },
                EVERY,
            );
        }
    });
    let said = loaded(checkup, |checkup| verdict(checkup.ok().flatten().as_ref()));
    let id = dataset.id.clone();
    let wanted = Callback::new(move |row| setup.asked.get().map(|asked| asked.preview(row)));
    view! {
        {head(&dataset, said, w.health.text)}
        <div class="new-run health">
            <div class="health-left">
                <SetupForm setup/>
                {settled(checkup, move |checkup| checkup.map_or_else(|| ().into_any(), |checkup| shown(checkup, &id, setup, row)))}
            </div>
            <RowPreview wanted row/>
        </div>
    }
    .into_any()
}

fn shown(checkup: Checkup, id: &DatasetId, setup: Setup, row: RwSignal<u64>) -> AnyView {
    match checkup {
        Checkup::Running { progress } => view! { <Moving progress/> }.into_any(),
        Checkup::Failed { problem } => view! { <Broken problems=Problems::from(problem)/> }.into_any(),
        Checkup::Done { report } => report_cards(*report, id, setup, row),
    }
}

fn report_cards(report: HealthReport, id: &DatasetId, setup: Setup, row: RwSignal<u64>) -> AnyView {
    view! {
        <Findings report=report.clone() id=id.clone() row/>
        <Lengths lengths=report.lengths.clone() setup/>
        <Totals report id=id.clone() model=setup.model.get_untracked()/>
    }
    .into_any()
}

#[component]
fn Moving(progress: Progress) -> impl IntoView {
    let w = words();
    let tokens = num(progress.tokens);
    let line = match progress.total {
        0 => fill(w.health.running_unknown, &[&rows(w.lang, progress.rows), &tokens]),
        total => fill(w.health.running, &[&num(progress.rows), &rows(w.lang, total), &tokens]),
    };
    view! {
        <section class="card pad moving">
            <p class="num" id="moving">{line}</p>
            <progress class="bar-line" max=progress.total.max(1).to_string() value=progress.rows.to_string() aria-labelledby="moving"></progress>
            <p class="small">{w.health.leave}</p>
        </section>
    }
    .into_any()
}
