//! What is wrong with rows, each finding with links to its rows; and what a round comes to.

use contract::health::{FEW, HealthReport, RowSet, TooFew};
use contract::params::Hyper;
use contract::{DatasetId, Stage};
use leptos::prelude::*;

use super::setup::usual;
use crate::words::amounts::{num, rows};
use crate::words::{fill, reason_text, words};

/// Row numbers shown of a finding.
const SHOWN: usize = 12;

/// One finding: how bad, which rows (none are named where it is all of them), what.
struct Finding {
    class: &'static str,
    rows: RowSet,
    text: String,
}

fn findings(report: &HealthReport) -> Vec<Finding> {
    let w = &words().health;
    let mut all = Vec::new();
    let mut add = |class, rows: &RowSet, text: String| {
        if rows.count > 0 {
            all.push(Finding { class, rows: rows.clone(), text });
        }
    };
    for out in &report.left_out {
        add("bad", &out.rows, fill(w.left_out, &[&reason_text(words().lang, &out.reason)]));
    }
    let all_rows = RowSet { count: report.used, first: Vec::new() };
    let usual = usual(report.stage);
    let at_once = usual.as_ref().map_or(1, at_once);
    match report.too_few(usual.map_or(0.0, |hyper| hyper.dev_ratio), at_once) {
        Some(TooFew::Examples) => add("warn", &all_rows, fill(w.too_few, &[&num(FEW)])),
        Some(TooFew::Step) => add("warn", &all_rows, fill(w.too_few_for_step, &[&num(at_once)])),
        None => {}
    }
    if let Some(held) = &report.held_out {
        add("warn", &held.learned, fill(w.held_out_learned, &[&num(held.rows)]));
    }
    let cut = &report.truncated;
    add("bad", &cut.nothing_left, w.nothing_left.to_owned());
    add("bad", &cut.no_question_left, w.no_question_left.to_owned());
    add("bad", &report.no_end_token, w.no_end_token.to_owned());
    let positions = num(report.positions.unwrap_or_default());
    add("warn", &report.beyond_positions, fill(w.beyond_positions, &[&positions]));
    let lost = [num(cut.question_tokens), num(cut.answer_tokens)];
    add("warn", &cut.rows, fill(w.truncated, &[&lost[0], &lost[1]]));
    add("warn", &report.empty_answers, w.empty_answers.to_owned());
    add("warn", &report.equal_pairs, w.equal_pairs.to_owned());
    add("warn", &report.control_words, w.control_words.to_owned());
    add("warn", &report.equal_when_cut, w.equal_when_cut.to_owned());
    let twice = if report.duplicates_partial { w.duplicates_partial } else { w.duplicates };
    add("warn", &report.duplicates, twice.to_owned());
    all
}

/// Rows that a step takes.
fn at_once(hyper: &Hyper) -> u64 {
    (hyper.per_device_train_batch_size * hyper.gradient_accumulation_steps) as u64
}

/// The list.
#[component]
pub(super) fn Findings(report: HealthReport, id: DatasetId, row: RwSignal<u64>) -> impl IntoView {
    let w = &words().health;
    let found = findings(&report);
    let lost = !report.left_out.is_empty();
    let otherwise = report.asks_otherwise;
    let body = if found.is_empty() && !otherwise {
        view! { <p class="small"><span class="chip ok">{w.fine}</span></p> }.into_any()
    } else {
        let lines =
            found.into_iter().map(|finding| view! { <Line finding id=id.clone() row/> }).collect_view();
        view! { <ul class="plain findings">{lines}</ul> }.into_any()
    };
    let otherwise = otherwise.then(|| view! { <p class="small">{w.asks_otherwise}</p> });
    let all = lost.then(|| {
        view! { <a class="link small" href=format!("/datasets/{id}?left_out=1")>{w.all_left_out}</a> }
    });
    view! { <section class="card pad" aria-labelledby="findings"><h2 id="findings">{w.findings}</h2>{otherwise}{body}{all}</section> }
        .into_any()
}

#[component]
fn Line(finding: Finding, id: DatasetId, row: RwSignal<u64>) -> impl IntoView {
    let w = words();
    let class = format!("chip {}", finding.class);
    let count = rows(w.lang, finding.rows.count);
    let more = finding.rows.count.saturating_sub(SHOWN as u64);
    let named = !finding.rows.first.is_empty();
    let links = finding
        .rows
        .first
        .into_iter()
        .take(SHOWN)
        .map(|number| {
            let href = format!("/datasets/{id}?row={number}");
            view! { <a class="link num" href=href on:mouseenter=move |_| row.set(number) on:focus=move |_| row.set(number)>{num(number)}</a>" " }
        })
        .collect_view();
    let more = (more > 0).then(|| fill(w.health.more, &[&num(more)]));
    view! {
        <li>
            <span class=class>{count}</span>" "{finding.text}
            {named.then(|| view! { <div class="small">{w.health.rows_word}": "{links}{more}</div> })}
        </li>
    }
    .into_any()
}

/// What one round comes to, and the way on.
#[component]
pub(super) fn Totals(report: HealthReport, id: DatasetId, model: String) -> impl IntoView {
    let w = words();
    let steps = usual(report.stage).map(|hyper| {
        let (batch, accumulation) =
            (hyper.per_device_train_batch_size as u64, hyper.gradient_accumulation_steps as u64);
        let steps = report.steps(hyper.dev_ratio, batch, accumulation, hyper.num_train_epochs);
        let text = fill(
            w.health.steps_text,
            &[&num(steps), &hyper.num_train_epochs.to_string(), &num(at_once(&hyper))],
        );
        view! { <dt>{w.health.steps}</dt><dd>{text}</dd> }
    });
    let dropped = (report.dropped_tokens > 0).then(|| {
        view! { <dt>{w.health.dropped}</dt><dd class="num">{num(report.dropped_tokens)}</dd> }
    });
    let offered = Stage::OFFERED.contains(&report.stage) && report.used > 0;
    let href = format!("/runs/new?dataset={id}&model={model}&stage={}", report.stage.key());
    view! {
        <section class="card pad" aria-labelledby="totals">
            <h2 id="totals">{w.health.totals}</h2>
            <dl>
                <dt>{w.health.examples}</dt><dd class="num">{num(report.examples)}</dd>
                <dt>{w.health.tokens}</dt><dd class="num">{num(report.tokens)}</dd>
                <dt>{w.health.learned}</dt><dd class="num">{num(report.learned_tokens)}</dd>
                {dropped}
                {steps}
            </dl>
            {offered.then(|| view! { <a class="btn primary" href=href>{w.health.use_in_run}</a> })}
        </section>
    }
    .into_any()
}
