//! How a run ended, in numbers: one summary, and the files that hold the same.

use contract::metric::{Format, find, readable};
use contract::results::Numbers;
use contract::run::RunView;
use contract::{RunId, RunState};
use leptos::prelude::*;

use crate::components::part::{Part, part};
use crate::feed::Feed;
use crate::ports::run_files;
use crate::words::amounts::{duration, loss, metric};
use crate::words::{Words, problem_text, words};

/// The summary; nothing before everything was made and measured.
#[component]
pub(super) fn ResultsCard(feed: RwSignal<Feed>, state: RwSignal<RunState>, run: RunView) -> impl IntoView {
    let w = words();
    let learns = run.summary.tuning.learns();
    let results = Memo::new(move |_| feed.with(|feed| feed.results.clone()));
    let id = run.summary.id;
    part(move || {
        let results = results.get()?;
        let parts = results
            .parts()
            .map(|(part, numbers)| (!numbers.is_empty()).then(|| table(w, part, learns, numbers)));
        let ended = Memo::new(move |_| state.get().is_ended());
        let id = id.clone();
        Some(view! {
            <section class="card pad" aria-labelledby="results">
                <h2 id="results">{w.runs.results}</h2>
                <div class="results">{parts.into_iter().collect_view()}</div>
                <Part when=move || ended.get()><Files id=id.clone()/></Part>
            </section>
        })
    })
}

fn table(w: &Words, part: &'static str, learns: bool, numbers: &Numbers) -> AnyView {
    let title = match (part, learns) {
        ("train", _) => w.runs.results_train,
        ("eval", true) => w.runs.results_eval,
        ("eval", false) => w.runs.results_eval_all,
        _ => w.runs.results_predict,
    };
    let mut lines: Vec<_> = numbers.iter().map(|(key, value)| line(w, part, key, *value)).collect();
    lines.sort_by_key(|line| line.place);
    let lines = lines
        .into_iter()
        .map(|line| view! { <dt>{line.label}</dt><dd class="num">{line.value}</dd> })
        .collect_view();
    view! { <div><h3>{title}</h3><dl>{lines}</dl></div> }.into_any()
}

/// A number as it is shown.
#[derive(Debug, PartialEq)]
struct Line {
    place: usize,
    label: String,
    value: String,
}

/// What a key of a part means. Numbers that say how good it is come first, then how fast it was.
fn line(w: &Words, part: &str, key: &str, value: f64) -> Line {
    let bare = key.strip_prefix(part).and_then(|rest| rest.strip_prefix('_')).unwrap_or(key);
    let r = &w.runs;
    let (place, label, shown) = match (part, bare) {
        ("train", "loss") => (0, r.results_loss.to_owned(), loss(Some(value))),
        ("eval", "loss") => (0, r.eval_loss.to_owned(), loss(Some(value))),
        (_, "best_eval_loss") => (1, r.results_best.to_owned(), loss(Some(value))),
        (_, "epoch") => (100, r.epoch.to_owned(), format!("{value:.2}")),
        (_, "global_step") => (101, r.results_step.to_owned(), metric(Some(value), Format::Count)),
        (_, "runtime") => (102, r.results_runtime.to_owned(), duration(w.lang, value)),
        (_, "samples_per_second") => (103, r.results_samples.to_owned(), metric(Some(value), Format::Number)),
        ("train", "steps_per_second") => {
            (104, r.results_train_steps.to_owned(), metric(Some(value), Format::Number))
        }
        (_, "steps_per_second") => (104, r.results_steps.to_owned(), metric(Some(value), Format::Number)),
        (_, other) => match find(other) {
            Some((at, known)) => {
                (2 + at, w.lang.of(known.label).to_owned(), metric(Some(value), known.format))
            }
            None => (99, readable(other), metric(Some(value), Format::Number)),
        },
    };
    Line { place, label, value: shown }
}

/// What other programs read.
#[component]
fn Files(id: RunId) -> impl IntoView {
    let w = words();
    let run = id.clone();
    let read = Action::new(move |_: &()| run_files(run.clone()));
    let links = move || {
        let link = |name: String| {
            let shown = name.clone();
            let href = format!("/api/v1/runs/{id}/file?name={name}");
            view! { <li><a class="link mono small break" href=href download rel="external">{shown}</a></li> }
        };
        match read.value().get() {
            Some(Ok(names)) => names.into_iter().map(link).collect_view().into_any(),
            Some(Err(problems)) => {
                let said = |problem| view! { <li class="error">{problem_text(w.lang, &problem)}</li> };
                problems.0.into_iter().map(said).collect_view().into_any()
            }
            None => ().into_any(),
        }
    };
    view! {
        <details class="results-files" on:toggle=move |_| {
            if read.value().get_untracked().is_none() {
                read.dispatch(());
            }
        }>
            <summary class="small">{w.runs.results_files}</summary>
            <ul class="plain">{links}</ul>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Lang, of};

    #[test]
    fn s_161_s_162_every_number_has_a_name_in_both_languages() {
        let keys = [
            (
                "train",
                &["train_loss", "train_runtime", "train_samples_per_second", "epoch", "global_step"][..],
            ),
            ("eval", &["eval_loss", "perplexity", "eval_accuracy", "eval_steps_per_second"]),
            ("predict", &["predict_rouge-l", "predict_exact_match", "predict_bleu-4", "predict_runtime"]),
        ];
        for lang in [Lang::En, Lang::Zh] {
            for (part, keys) in keys {
                let lines: Vec<_> = keys.iter().map(|key| line(of(lang), part, key, 12.5)).collect();
                assert!(lines.iter().all(|line| !line.label.contains('_') && line.place != 99), "{lines:?}");
            }
        }
    }
}
