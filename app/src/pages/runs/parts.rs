//! What stands beside and below the chart.

use contract::checkpoint::{Mark, chosen};
use contract::event::DatasetRows;
use contract::model::short_digest;
use contract::params::PARAMS;
use contract::run::RunView;
use contract::spec::CheckpointRef;
use contract::{RunId, Stage};
use leptos::prelude::*;

use crate::components::log_view::LogView;
use crate::components::part::Part;
use crate::feed::Feed;
use crate::ports::run_log;
use crate::words::amounts::{loss, num, rate, size, weights};
use crate::words::{Runs, fill, mark_word, template_name, words};

/// The numbers of the last step.
#[component]
pub(crate) fn Facts(feed: RwSignal<Feed>, learns: bool) -> impl IntoView {
    let w = &words().runs;
    let last = move |say: fn(&crate::feed::Latest) -> String| {
        move || feed.with(|feed| feed.latest.as_ref().map_or_else(|| "–".to_owned(), say))
    };
    let setup = move |say: fn(&crate::feed::Setup) -> String| {
        move || feed.with(|feed| feed.setup.as_ref().map_or_else(|| "–".to_owned(), say))
    };
    let of_steps = move || {
        view! {
            <dt>{w.learning_rate}</dt><dd>{last(|l| rate(l.learning_rate))}</dd>
            <dt>{w.grad_norm}</dt><dd>{last(|l| loss(l.grad_norm))}</dd>
            <dt>{w.epoch}</dt><dd>{last(|l| format!("{:.2}", l.epoch))}</dd>
            <dt>{w.tokens_per_second}</dt><dd>{last(|l| num(l.tokens_per_second.max(0.0) as u64))}</dd>
            <dt>{w.memory}</dt><dd>{last(|l| size(l.memory_bytes))}</dd>
        }
    };
    let rows_train = move || view! { <dt>{w.rows_train}</dt><dd>{setup(|s| num(s.train_rows))}</dd> };
    let trainable = move || {
        view! { <dt>{w.trainable}</dt><dd>{setup(|s| [s.trainable, s.parameters].map(|n| weights(n).replace(' ', "\u{a0}")).join(" / "))}</dd> }
    };
    let train_loss = move || view! { <dt>{w.train_loss}</dt><dd>{last(|l| loss(l.loss))}</dd> };
    view! {
        <section class="card pad" aria-labelledby="facts">
            <h2 id="facts">{w.facts}</h2>
            <dl>
                {learns.then(train_loss)}
                <dt>{w.eval_loss}</dt><dd>{move || feed.with(|feed| loss(feed.eval.last().map(|point| point.loss)))}</dd>
                {learns.then(of_steps)}
                <dt>{w.device}</dt><dd>{setup(|s| s.device.clone())}</dd>
                {learns.then(rows_train)}
                <dt>{if learns { w.rows_eval } else { w.results_eval_all }}</dt><dd>{setup(|s| num(s.eval_rows))}</dd>
                {move || feed.with(|feed| feed.setup.as_ref().map(|setup| {
                    setup.datasets.iter().map(|given| view! {
                        <dt>{fill(w.rows_of, &[&given.name])}</dt><dd>{rows_given(w, given)}</dd>
                    }).collect_view()
                }))}
                {learns.then(trainable)}
            </dl>
        </section>
    }
    .into_any()
}

/// How many rows a dataset gave, and what became of the others.
fn rows_given(w: &Runs, given: &DatasetRows) -> String {
    let used = num(given.rows.saturating_sub(given.dropped));
    let mut said = fill(w.rows_used, &[&used, &num(given.rows)]);
    for (count, words) in [(given.dropped, w.rows_left_out), (given.cut.unwrap_or(0), w.rows_cut)] {
        if count > 0 {
            said += &fill(words, &[&num(count)]);
        }
    }
    said
}

/// The checkpoints that are there, newest first. `over`: no further one will come.
#[component]
pub(crate) fn Checkpoints(
    feed: RwSignal<Feed>,
    run: RunView,
    #[prop(into)] over: Signal<bool>,
) -> impl IntoView {
    let w = words();
    let (id, best) = (run.summary.id, run.hyper.load_best_model_at_end);
    let checkpoints = Memo::new(move |_| feed.with(|feed| feed.checkpoints.clone()));
    let rows = move || {
        let all = checkpoints.get();
        let stands = chosen(&all, best).filter(|_| all.len() > 1).map(|one| one.step);
        all.into_iter()
            .map(|checkpoint| {
                let href = format!("/playground?run={id}&step={}", checkpoint.step);
                let zip = format!("/api/v1/runs/{id}/checkpoints/{}/zip", checkpoint.step);
                let download = fill(w.runs.checkpoint_zip, &[&num(checkpoint.step)]);
                let name = match checkpoint.step {
                    0 => w.runs.brought_step.to_owned(),
                    step => fill(w.runs.step_n, &[&num(step)]),
                };
                let mark = checkpoint.mark.map(|mark| {
                    let class = match mark {
                        Mark::Best => "chip ok",
                        Mark::Lowest => "chip",
                        Mark::NoBetter => "chip warn",
                    };
                    view! { <span class=class>{mark_word(w, mark)}</span> }
                });
                let stands = (stands == Some(checkpoint.step)).then(|| {
                    view! { <span class="tiny stands">{w.runs.stands}</span> }
                });
                view! {
                    <li>
                        <a class="link" href=href>{name}</a>
                        {mark}
                        <span class="tiny mono" title=checkpoint.digest.clone()>{short_digest(&checkpoint.digest)}</span>
                        <span class="num grow">{loss(checkpoint.eval_loss)}</span>
                        {stands}
                        <a class="link small" href=zip download rel="external" aria-label=download>"zip"</a>
                    </li>
                }
            })
            .collect_view()
    };
    let empty = move || if over.get() { w.runs.checkpoints_none } else { w.runs.checkpoints_empty };
    view! {
        <section class="card pad" aria-labelledby="checkpoints">
            <h2 id="checkpoints">{w.runs.checkpoints}</h2>
            <ul class="plain checkpoints">{rows}</ul>
            <Part when=move || checkpoints.with(Vec::is_empty)><p class="small">{empty}</p></Part>
        </section>
    }
    .into_any()
}

/// Where a run came from, one line a checkpoint; nothing for a run that began with the model.
#[component]
pub(crate) fn Lineage(run: RunView) -> impl IntoView {
    let w = &words().runs;
    let link = |checkpoint: &CheckpointRef, sentence: &str| {
        let text = fill(sentence, &[&checkpoint.name, &num(checkpoint.step)]);
        view! { <li><a class="link" href=format!("/runs/{}", checkpoint.run)>{text}</a></li> }
    };
    let mut lines: Vec<_> = run.adapters.iter().map(|from| link(from, w.lineage_step)).collect();
    lines.extend(run.reward_model.iter().map(|judge| link(judge, w.judged_by)));
    (!lines.is_empty()).then(|| {
        view! {
            <section class="card pad" aria-labelledby="lineage">
                <h2 id="lineage">{w.lineage}</h2>
                <ul class="plain checkpoints"><li>{run.summary.model_name.clone()}</li>{lines}</ul>
            </section>
        }
    })
}

/// The log: events as they come, and the worker's own last lines on request.
#[component]
pub(crate) fn LogPane(id: RunId, feed: RwSignal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let read = Action::new(move |_: &()| run_log(id.clone()));
    let lines = Signal::derive(move || {
        let mut lines = feed.with(|feed| feed.log.clone());
        if let Some(Ok(text)) = read.value().get() {
            lines.extend(text.lines().map(|line| ("info".to_owned(), line.to_owned())));
        }
        lines
    });
    view! {
        <details class="card fold" on:toggle=move |_| {
            if read.value().get_untracked().is_none() {
                read.dispatch(());
            }
        }>
            <summary>{w.log}</summary>
            <div class="fold-body">
                <LogView lines/>
                <button type="button" class="btn" on:click=move |_| { read.dispatch(()); }>{w.log_refresh}</button>
            </div>
        </details>
    }
    .into_any()
}

/// How the run was set.
#[component]
pub(crate) fn Settings(run: RunView) -> impl IntoView {
    let w = words();
    let (stage, tuning) = (run.summary.stage, run.summary.tuning);
    let values = serde_json::to_value(&run.hyper).unwrap_or_default();
    let facts = PARAMS
        .iter()
        .filter(|param| (param.applies)(stage, tuning))
        .map(|param| {
            let value = match values.get(param.key) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(serde_json::Value::Array(list)) => {
                    list.iter().filter_map(|v| v.as_str()).collect::<Vec<_>>().join(", ")
                }
                Some(value) => value.to_string(),
                None => String::new(),
            };
            view! { <dt>{w.lang.of(param.label)}</dt><dd class="break">{value}</dd> }
        })
        .collect_view();
    let file = format!("/api/v1/runs/{}/specification", run.summary.id);
    let system = (stage != Stage::Pt && !run.system.is_empty()).then(|| {
        view! { <dt>{w.runs.system}</dt><dd class="break">{run.system.clone()}</dd> }
    });
    view! {
        <details class="card fold">
            <summary>{w.runs.settings}</summary>
            <div class="fold-body">
                <p class="row">
                    <a class="btn" href=format!("{file}.yaml") download rel="external">{w.runs.file_yaml}</a>
                    <a class="btn" href=format!("{file}.json") download rel="external">{w.runs.file_json}</a>
                </p>
                <dl class="settings-list">
                    <dt>{w.runs.template}</dt><dd class="break">{template_name(&run.template)}</dd>
                    {system}
                    {facts}
                </dl>
            </div>
        </details>
    }
    .into_any()
}
