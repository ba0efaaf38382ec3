//! The numbers of a stage beside its loss, a small curve each, and the answers given on the way.

use leptos::prelude::*;

use crate::components::chart::spark::Spark;
use crate::components::part::part;
use crate::feed::{Feed, Point, Sample};
use crate::words::amounts::{measure, num};
use crate::words::{fill, problem_text, words};

/// One small curve a number; nothing while there is none.
#[component]
pub(crate) fn Metrics(feed: RwSignal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let names = Memo::new(move |_| feed.with(|feed| feed.metrics.keys().cloned().collect::<Vec<_>>()));
    part(move || {
        let names = names.get();
        if names.is_empty() {
            return ().into_any();
        }
        let cards = names.into_iter().map(|name| view! { <Metric feed name/> }).collect_view();
        view! {
            <section class="card pad" aria-labelledby="metrics">
                <h2 id="metrics">{w.metrics}</h2>
                <div class="metrics">{cards}</div>
            </section>
        }
        .into_any()
    })
}

#[component]
fn Metric(feed: RwSignal<Feed>, name: String) -> impl IntoView {
    let w = &words().runs;
    let key = name.clone();
    let points = Memo::new(move |_| feed.with(|feed| feed.metrics.get(&key).cloned().unwrap_or_default()));
    let label = name.replace('_', " ");
    let said = label.clone();
    let at = |point: Option<&Point>| measure(point.map(|point| point.loss));
    let course = move || points.with(|p| fill(w.metric_from_to, &[&said, &at(p.first()), &at(p.last())]));
    view! {
        <figure class="metric">
            <figcaption><span class="small">{label}</span><strong class="num">{move || points.with(|p| at(p.last()))}</strong></figcaption>
            <Spark points=points/>
            <p class="visually-hidden">{course}</p>
        </figure>
    }
    .into_any()
}

/// Answers given on the way, newest first.
#[component]
pub(crate) fn Samples(feed: RwSignal<Feed>) -> impl IntoView {
    let (lang, w) = (words().lang, &words().runs);
    let samples = Memo::new(move |_| feed.with(|feed| feed.samples.clone()));
    let one = move |sample: Sample| {
        let scores =
            sample.scores.iter().map(|(name, value)| format!("{} {value:.3}", name.replace('_', " ")));
        let scores = scores.collect::<Vec<_>>().join(" · ");
        view! {
            <li>
                <p class="tiny num">{fill(w.sample_step, &[&num(sample.step)])}" · "{scores}</p>
                <p class="break">{sample.prompt}</p>
                <p class="break"><strong>{sample.answer}</strong></p>
                {sample.problem.map(|problem| view! { <p class="error">{problem_text(lang, &problem)}</p> })}
            </li>
        }
    };
    move || {
        let samples = samples.get();
        (!samples.is_empty()).then(|| {
            view! {
                <details class="card fold">
                    <summary>{w.samples}</summary>
                    <div class="fold-body"><ul class="plain samples">{samples.into_iter().map(one).collect_view()}</ul></div>
                </details>
            }
        })
    }
}
