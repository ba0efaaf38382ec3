//! The numbers of a stage beside its loss, a small curve each, and the answers given on the way.

use contract::metric::{ALL_ROWS, Direction, Format, Metric, find, readable};
use leptos::prelude::*;

use crate::components::chart::spark::Spark;
use crate::components::part::part;
use crate::feed::{Feed, HELD_OUT, Point, Sample};
use crate::words::amounts::{metric, num};
use crate::words::{Words, fill, problem_text, words};

/// A number of the feed: `eval ` before the key means measured on held-out rows, [`ALL_ROWS`] behind it on all of them.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    key: &'a str,
    held_out: bool,
    all_rows: bool,
    known: Option<(usize, &'static Metric)>,
}

impl<'a> Named<'a> {
    fn of(name: &'a str) -> Self {
        let (key, held_out) = name.strip_prefix(HELD_OUT).map_or((name, false), |key| (key, true));
        let (key, all_rows) = key.strip_suffix(ALL_ROWS).map_or((key, false), |key| (key, true));
        Self { key, held_out, all_rows, known: find(key) }
    }

    /// Known ones in their order, held-out rows first; then the others by their key.
    fn place(&self) -> (usize, bool, bool, String) {
        let at = self.known.map_or(usize::MAX, |(at, _)| at);
        (at, !self.held_out, self.all_rows, self.key.to_owned())
    }

    /// Whether it is shown without asking.
    fn is_main(&self) -> bool {
        self.known.is_none_or(|(_, metric)| metric.main)
    }

    fn format(&self) -> Format {
        self.known.map_or(Format::Number, |(_, metric)| metric.format)
    }

    fn label(&self, w: &Words) -> String {
        let label =
            self.known.map_or_else(|| readable(self.key), |(_, metric)| w.lang.of(metric.label).to_owned());
        match (self.held_out, self.all_rows) {
            (_, true) => fill(w.runs.metric_all_rows, &[&label]),
            (true, false) => fill(w.runs.metric_held_out, &[&label]),
            (false, false) => label,
        }
    }

    fn direction(&self, w: &Words) -> Option<&'static str> {
        match self.known.map(|(_, metric)| metric.direction)? {
            Direction::Up => Some(w.runs.metric_up),
            Direction::Down => Some(w.runs.metric_down),
            Direction::Neither => None,
        }
    }
}

/// The names in the order in which they are shown: those that tell how a run goes, and the others.
fn ordered(names: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let mut names: Vec<String> = names.collect();
    names.sort_by_cached_key(|name| Named::of(name).place());
    names.into_iter().partition(|name| Named::of(name).is_main())
}

/// One small curve a number; nothing while there is none.
#[component]
pub(crate) fn Metrics(feed: RwSignal<Feed>) -> impl IntoView {
    let w = &words().runs;
    let names = Memo::new(move |_| feed.with(|feed| ordered(feed.metrics.keys().cloned())));
    let cards =
        move |names: Vec<String>| names.into_iter().map(|name| view! { <Card feed name/> }).collect_view();
    part(move || {
        let (main, more) = names.get();
        if main.is_empty() && more.is_empty() {
            return ().into_any();
        }
        let more = (!more.is_empty()).then(|| {
            view! {
                <details class="metrics-more">
                    <summary class="small">{w.metrics_more}</summary>
                    <div class="metrics">{cards(more)}</div>
                </details>
            }
        });
        view! {
            <section class="card pad" aria-labelledby="metrics">
                <h2 id="metrics">{w.metrics}</h2>
                <div class="metrics">{cards(main)}</div>
                {more}
            </section>
        }
        .into_any()
    })
}

/// First, last, lowest and highest value in words.
fn course(points: &[Point], format: Format) -> [String; 4] {
    let values = || points.iter().map(|point| point.loss);
    let ends = [values().next(), values().next_back()];
    let extremes = [values().min_by(f64::total_cmp), values().max_by(f64::total_cmp)];
    let [[first, last], [low, high]] = [ends, extremes].map(|pair| pair.map(|value| metric(value, format)));
    [first, last, low, high]
}

#[component]
fn Card(feed: RwSignal<Feed>, name: String) -> impl IntoView {
    let w = words();
    let named = Named::of(&name);
    let (label, format, direction) = (named.label(w), named.format(), named.direction(w));
    let key = name.clone();
    let points = Memo::new(move |_| feed.with(|feed| feed.metrics.get(&key).cloned().unwrap_or_default()));
    let values = Memo::new(move |_| points.with(|points| course(points, format)));
    let said = label.clone();
    let spoken = move || {
        let [first, last, low, high] = values.get();
        fill(w.runs.metric_from_to, &[&said, &first, &last, &low, &high])
    };
    let span = move || {
        let [first, _, low, high] = values.get();
        let span = fill(w.runs.metric_span, &[&first, &low, &high]);
        direction.map_or_else(|| span.clone(), |direction| format!("{span} · {direction}"))
    };
    view! {
        <figure class="metric">
            <figcaption><span class="small">{label}</span><strong class="num">{move || values.get()[1].clone()}</strong></figcaption>
            <Spark points=points/>
            <p class="tiny num" aria-hidden="true">{span}</p>
            <p class="visually-hidden">{spoken}</p>
        </figure>
    }
    .into_any()
}

/// The scores of an answer, by their names.
fn scores(w: &Words, sample: &Sample) -> String {
    let mut names: Vec<&String> = sample.scores.keys().collect();
    names.sort_by_cached_key(|name| Named::of(name).place());
    let one = |name: &String| {
        let named = Named::of(name);
        format!("{} {}", named.label(w), metric(sample.scores.get(name).copied(), named.format()))
    };
    names.into_iter().map(one).collect::<Vec<_>>().join(" · ")
}

/// Answers given on the way, newest first.
#[component]
pub(crate) fn Samples(feed: RwSignal<Feed>) -> impl IntoView {
    let all = words();
    let (lang, w) = (all.lang, &all.runs);
    let samples = Memo::new(move |_| feed.with(|feed| feed.samples.clone()));
    let one = move |sample: Sample| {
        let scores = scores(all, &sample);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Lang};

    fn names(all: &[&str]) -> (Vec<String>, Vec<String>) {
        ordered(all.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn accuracy_and_margin_come_first_and_the_rest_is_shown_when_asked_for() {
        let all =
            ["eval reward_chosen", "margin", "reward_rejected", "accuracy", "eval margin", "eval accuracy"];
        let (main, more) = names(&all);
        assert_eq!(main, ["eval accuracy", "accuracy", "eval margin", "margin"]);
        assert_eq!(more, ["eval reward_chosen", "reward_rejected"]);
        assert_eq!(names(&["zeta", "kl", "alpha_1"]).0, ["kl", "alpha_1", "zeta"], "unknown ones come last");
    }

    #[test]
    fn no_raw_key_is_shown_in_either_language() {
        for lang in [Lang::En, Lang::Zh] {
            for name in [
                "eval reward_chosen",
                "value_clip_fraction",
                "grad_noise_scale",
                "rouge-l",
                "eval loss_all_rows",
            ] {
                let label = Named::of(name).label(words::of(lang));
                assert!(!label.contains('_') && !label.starts_with("eval "), "{label}");
            }
        }
    }

    #[test]
    fn a_card_says_where_its_curve_began_and_how_far_it_went() {
        let points = [0.5, 0.25, 0.75].map(|loss| Point { step: 1, loss });
        assert_eq!(course(&points, Format::Share), ["50.0 %", "75.0 %", "25.0 %", "75.0 %"]);
        assert_eq!(course(&[], Format::Number)[1], "–");
    }
}
