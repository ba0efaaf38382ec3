//! One run, live.

use contract::checkpoint::chosen;
use contract::params::holds_out;
use contract::run::RunView;
use contract::trash::Kind;
use contract::{RunId, RunState, Stage};
use leptos::prelude::*;
use leptos_router::hooks::{use_navigate, use_params_map};

use super::brought::Brought;
use super::measuring::MeasuringNow;
use super::metrics::{Metrics, Samples};
use super::parts::{Checkpoints, Facts, Lineage, LogPane, Settings};
use super::predictions::Predictions;
use super::results::ResultsCard;
use super::tour::Tour;
use crate::components::chart::LossChart;
use crate::components::confirm::ConfirmDelete;
use crate::components::notice::ProblemList;
use crate::components::page_title::PageTitle;
use crate::components::part::{Part, part, settled};
use crate::components::undo::{Undo, offer};
use crate::feed::Feed;
use crate::live::{Watched, follow};
use crate::ports::{delete_run, get_run, resume_run, stop_run};
use crate::verdict::{Verdict, judge};
use crate::words::amounts::{checkpoints, num, rows};
use crate::words::{Standing, Words, fill, objection, problem_text, run_status, verdict_text, words};

/// The page.
#[component]
pub(crate) fn Run() -> impl IntoView {
    let params = use_params_map();
    let run = Resource::new(move || RunId(params.read().get("id").unwrap_or_default()), get_run);
    settled(run, |run| match run.brought.clone() {
        Some(facts) => view! { <Brought run facts/> }.into_any(),
        None => view! { <Found run/> }.into_any(),
    })
}

/// What the page shows of a run: the server's first reading, then what comes in.
pub(super) fn watched(run: &RunView) -> Watched {
    let mut feed = Feed::of(&run.events);
    feed.checkpoints.clone_from(&run.checkpoints);
    if feed.total_steps == 0 {
        feed.total_steps = run.summary.total_steps;
    }
    Watched {
        feed: RwSignal::new(feed),
        state: RwSignal::new(run.summary.state),
        problem: RwSignal::new(run.problem.clone()),
        connected: RwSignal::new(true),
    }
}

/// How a run went, as far as all of its events are here; of a part of them nothing is said.
fn verdict(run: &RunView, state: RunState, feed: &Feed) -> Verdict {
    if feed.next < run.event_count {
        return Verdict::default();
    }
    judge(feed, run.summary.stage, run.hyper.load_best_model_at_end, state.is_ended())
}

/// The last step made; of a long run only the first events are here before the page is live.
fn last_step(run: &RunView, feed: &Feed) -> u64 {
    let drawn = feed.latest.as_ref().map_or(0, |latest| latest.step);
    if feed.next < run.event_count { drawn.max(run.summary.step) } else { drawn }
}

fn heading(w: &Words, run: &RunView, state: RunState, feed: &Feed, verdict: &Verdict) -> String {
    let step = last_step(run, feed);
    let standing = Standing {
        step,
        total: feed.total_steps,
        remaining_s: feed.latest.as_ref().and_then(|latest| latest.remaining_s),
        phase: feed.phase.clone(),
        measuring: feed.measuring.is_some(),
        seconds: feed.seconds,
        objection: objection(w.lang, verdict),
        saved: feed.checkpoints.iter().any(|one| one.step == step),
        only_measures: !run.summary.tuning.learns(),
    };
    run_status(w.lang, state, &standing)
}

/// A tuning method within a sentence.
pub(super) fn method(w: &Words, tuning: contract::Tuning) -> String {
    match tuning {
        contract::Tuning::Lora => w.runs.lora.to_owned(),
        contract::Tuning::Full => w.runs.tuning_full.to_lowercase(),
        contract::Tuning::Freeze => w.runs.tuning_freeze.to_lowercase(),
        contract::Tuning::None => w.runs.measured_only.to_owned(),
    }
}

/// Who is measured on what, in the tense of the state.
fn measured_on(w: &Words, run: &RunView, state: RunState, feed: &Feed) -> String {
    let what = match &feed.setup {
        Some(setup) => format!("{} ({})", run.summary.dataset_name, rows(w.lang, setup.eval_rows)),
        None => run.summary.dataset_name.clone(),
    };
    let who = match run.adapters.last() {
        Some(from) => fill(w.runs.lineage_step, &[&from.name, &num(from.step)]),
        None => run.summary.model_name.clone(),
    };
    let sentence = match state {
        RunState::Queued | RunState::Preparing => w.runs.explain_measure_queued,
        RunState::Running | RunState::Stopping => w.runs.explain_measure,
        RunState::Finished => w.runs.explain_measure_past,
        RunState::Stopped | RunState::Failed => w.runs.explain_measure_never,
    };
    fill(sentence, &[&who, &what])
}

/// Who learns what in the tense of the state, and how it goes or went.
fn explanation(w: &Words, run: &RunView, state: RunState, feed: &Feed, verdict: &Verdict) -> String {
    if !run.summary.tuning.learns() {
        return measured_on(w, run, state, feed);
    }
    let tuning = method(w, run.summary.tuning);
    let what = match &feed.setup {
        Some(setup) => format!("{} ({})", run.summary.dataset_name, rows(w.lang, setup.train_rows)),
        None => run.summary.dataset_name.clone(),
    };
    let step = last_step(run, feed);
    let sentence = match state {
        RunState::Queued | RunState::Preparing if step == 0 => w.runs.explain_queued,
        RunState::Queued | RunState::Preparing | RunState::Running | RunState::Stopping => w.runs.explain,
        RunState::Stopped | RunState::Finished | RunState::Failed if step == 0 => w.runs.explain_never,
        RunState::Stopped | RunState::Finished | RunState::Failed => w.runs.explain_past,
    };
    let said = fill(sentence, &[&run.summary.model_name, &what, &tuning]);
    let known = feed.next >= run.event_count;
    let course = if known { verdict_text(w.lang, state, verdict, step) } else { String::new() };
    [said, course].join(w.lang.pick(" ", "")).trim().to_owned()
}

#[component]
fn Found(run: RunView) -> impl IntoView {
    let w = words();
    let watched = watched(&run);
    let Watched { feed, state, problem, connected } = watched;
    let id = run.summary.id.clone();
    Effect::new({
        let id = id.clone();
        move |_| follow(id.clone(), watched)
    });
    let kept = StoredValue::new(run.clone());
    let judged = Memo::new(move |_| kept.with_value(|run| feed.with(|feed| verdict(run, state.get(), feed))));
    let say = move |sentence: fn(&Words, &RunView, RunState, &Feed, &Verdict) -> String| {
        Memo::new(move |_| {
            kept.with_value(|run| {
                feed.with(|feed| judged.with(|verdict| sentence(w, run, state.get(), feed, verdict)))
            })
        })
    };
    let (title, explained) = (say(heading), say(explanation));
    let over = Memo::new(move |_| state.get().is_ended());
    let data = format!("/datasets/{}", run.dataset);
    let learns = run.summary.tuning.learns();
    let share = move || {
        feed.with(|feed| {
            if !learns {
                let part = feed.measuring.map(|now| now.done as f64 / now.of.max(1) as f64);
                return part.unwrap_or(if over.get() { 1.0 } else { 0.0 });
            }
            let step = kept.with_value(|run| last_step(run, feed));
            if feed.total_steps == 0 { 0.0 } else { step as f64 / feed.total_steps as f64 }
        })
    };
    view! {
        <PageTitle text=format!("{} · {}", run.summary.name, w.studio.product)/>
        <div class="head">
            <div>
                <p class="crumb"><a href="/runs">{w.runs.title}</a>" / "{run.summary.name.clone()}</p>
                <h1>{move || title.get()}</h1>
                <p>{move || explained.get()}" "<a class="link" href=data>{if learns { w.runs.its_data } else { w.runs.its_rows }}</a></p>
            </div>
            <Actions run=run.clone() watched/>
        </div>
        <progress class="bar-line run-progress" max="1" value=share aria-label=w.runs.progress></progress>
        <MeasuringNow watched/>
        <Part when=move || !connected.get()><p class="notice warn" role="status">{w.studio.connection_lost}</p></Part>
        {run.damage.as_ref().map(|problem| view! { <p class="notice warn" role="status">{problem_text(w.lang, problem)}</p> })}
        {move || problem.get().filter(|_| state.get() == RunState::Failed).map(|problem| view! {
            <section class="card pad failure" role="alert">
                <h2>{w.runs.failed_title}</h2><p>{problem_text(w.lang, &problem)}</p>
            </section>
        })}
        <Tour run=run.clone() watched judged/>
        <div class="grid two run-grid">
            <div class="grid">
                {learns.then(|| view! { <LossChart feed over/> })}
                <ResultsCard feed state run=run.clone()/>
                {learns.then(|| view! { <Metrics feed/> })}
            </div>
            <div class="grid">
                <Facts feed learns/>
                {learns.then(|| view! { <Checkpoints feed run=run.clone() over/> })}
                <Lineage run=run.clone()/>
            </div>
        </div>
        <Predictions id=id.clone() feed/>
        {learns.then(|| view! { <Samples feed/> })}
        <LogPane id feed/>
        <Settings run/>
    }
    .into_any()
}

/// The form that measures a checkpoint of a run as the run itself was measured: the rows it held out, cut as they were.
fn measure_address(run: &RunView, step: u64) -> String {
    let (stage, hyper) = (run.summary.stage, &run.hyper);
    // Answers are what ppo taught.
    let stage = if stage == Stage::Ppo { Stage::Sft } else { stage };
    let mut values = vec![
        ("seed", hyper.seed.to_string()),
        ("max_source_length", hyper.max_source_length.to_string()),
        ("max_target_length", hyper.max_target_length.to_string()),
    ];
    if holds_out(hyper.dev_ratio) {
        values.push(("dev_ratio", hyper.dev_ratio.to_string()));
    }
    let values: String = values.into_iter().map(|(key, value)| format!("&{key}={value}")).collect();
    let dataset = if run.brought.is_some() { "" } else { run.dataset.0.as_str() };
    format!(
        "/runs/new?tuning=none&stage={}&model={}&dataset={dataset}&from={}:{step}{values}",
        stage.key(),
        run.model,
        run.summary.id
    )
}

/// What can be done with a run.
#[component]
pub(super) fn Actions(run: RunView, watched: Watched) -> impl IntoView {
    let w = words();
    let Watched { feed, state, .. } = watched;
    let id = run.summary.id.clone();
    let (stop_id, resume_id, delete_id) = (id.clone(), id.clone(), id.clone());
    let stop = Action::new(move |_: &()| stop_run(stop_id.clone()));
    let resume = Action::new(move |_: &()| resume_run(resume_id.clone()));
    let delete = Action::new(move |_: &()| delete_run(delete_id.clone()));
    let navigate = use_navigate();
    let (undo, gone, name) = (use_context::<Undo>(), id.clone(), run.summary.name.clone());
    Effect::new(move |_| {
        if let Some(Ok(())) = delete.value().get() {
            offer(undo, Kind::Run, gone.as_str(), &name);
            navigate("/runs", Default::default());
        }
    });
    let problems = Signal::derive(move || {
        let failed = |value: Option<Result<(), crate::ports::Problems>>| value.and_then(Result::err);
        [stop.value().get(), resume.value().get(), delete.value().get()]
            .into_iter()
            .filter_map(failed)
            .flat_map(|problems| problems.0)
            .collect()
    });
    let saved = Memo::new(move |_| feed.with(|feed| feed.checkpoints.len()));
    let ended = Memo::new(move |_| state.get().is_ended());
    let ask = format!("/playground?run={id}");
    let speaks = run.summary.stage != contract::Stage::Rm;
    let (model, best) = (run.model.clone(), run.hyper.load_best_model_at_end);
    let page = format!("/runs/{id}/page");
    let go_on = Memo::new(move |_| {
        let step = feed.with(|feed| chosen(&feed.checkpoints, best).map(|checkpoint| checkpoint.step))?;
        (ended.get() && speaks).then(|| format!("/runs/new?model={model}&from={id}:{step}"))
    });
    let learns = run.summary.tuning.learns();
    let of = StoredValue::new((Kind::Run, run.summary.id.0.clone()));
    let measure = StoredValue::new(run.clone());
    let measured = Memo::new(move |_| {
        let step = feed.with(|feed| chosen(&feed.checkpoints, best).map(|checkpoint| checkpoint.step))?;
        ended.get().then(|| measure.with_value(|run| measure_address(run, step)))
    });
    let text =
        move || fill(w.runs.delete_text, &[&run.summary.name, &checkpoints(w.lang, saved.get() as u64)]);
    let confirm = Callback::new(move |()| {
        delete.dispatch(());
    });
    view! {
        <div class="actions">
            <div class="row">
                {part(move || ended.get().then(|| view! { <ConfirmDelete title=w.runs.delete_title text=text() of=of.get_value() on_confirm=confirm/> }))}
                <Part when=move || matches!(state.get(), RunState::Queued | RunState::Preparing | RunState::Running | RunState::Stopping)>
                    <button type="button" class="btn" disabled=move || state.get() == RunState::Stopping || stop.pending().get()
                        on:click=move |_| { stop.dispatch(()); }>
                        {move || if state.get() == RunState::Stopping { w.runs.stopping } else if learns { w.runs.stop } else { w.runs.measure_stop }}
                    </button>
                </Part>
                <Part when=move || matches!(state.get(), RunState::Stopped | RunState::Failed)>
                    <button type="button" class="btn" disabled=move || resume.pending().get()
                        on:click=move |_| { resume.dispatch(()); }>{w.runs.resume}</button>
                </Part>
                {move || measured.get().map(|href| view! { <a class="btn" href=href>{w.runs.measure_this}</a> })}
                {move || go_on.get().map(|href| view! { <a class="btn" href=href>{w.runs.go_on}</a> })}
                {move || (ended.get() && saved.get() > 0 && speaks).then(|| view! { <a class="btn" href=page.clone()>{w.runs.hand_over}</a> })}
                {move || (saved.get() > 0 && speaks).then(|| view! { <a class="btn primary" href=ask.clone()>{w.runs.ask}</a> })}
            </div>
            <ProblemList problems/>
        </div>
    }
    .into_any()
}
