//! The answers that a run was measured by, beside what the data answers: searched, sorted, page by page (S-190).

use contract::RunId;
use contract::event::Measure;
use contract::metric::{Format, find, readable};
use contract::prediction::{PAGE, Prediction, PredictionPage, PredictionQuery};
use leptos::prelude::*;

use crate::browser::{checked_of, value_of};
use crate::components::icon::{Glyph, Icon};
use crate::components::part::{part, settled};
use crate::feed::{Feed, HELD_OUT};
use crate::ports::list_predictions;
use crate::words::amounts::{metric, num};
use crate::words::{Words, fill, problem_text, words};

/// The table; nothing where nothing was answered.
#[component]
pub(super) fn Predictions(id: RunId, feed: RwSignal<Feed>) -> impl IntoView {
    // There is a file once its means are told.
    let answered = Memo::new(move |_| {
        feed.with(|feed| {
            let under_way = feed.measuring.is_some_and(|now| now.by == Measure::Answers);
            !under_way && feed.metrics.contains_key(&format!("{HELD_OUT}bleu-4"))
        })
    });
    part(move || answered.get().then(|| view! { <Table id=id.clone()/> }))
}

#[component]
fn Table(id: RunId) -> impl IntoView {
    let w = &words().runs;
    let query = RwSignal::new(PredictionQuery::default());
    let run = id.clone();
    let page = Resource::new(move || query.get(), move |query| list_predictions(run.clone(), query));
    // Filled in once the first page is here: the fields stand outside of what waits for rows, and keep the focus.
    let scores = RwSignal::new(Vec::new());
    let csv = format!("/api/v1/runs/{id}/predictions.csv");
    let lines = format!("/api/v1/runs/{id}/file?name=generated_predictions.jsonl");
    view! {
        <section class="card rows-card predictions" aria-labelledby="predictions">
            <div class="pad predictions-head">
                <h2 id="predictions">{w.predictions}</h2>
                <div class="row">
                    <a class="btn" href=csv download rel="external">"CSV"</a>
                    <a class="btn" href=lines download rel="external">"JSON Lines"</a>
                </div>
            </div>
            <Search query scores/>
            {settled(page, move |page| view! { <Page page query scores/> }.into_any())}
        </section>
    }
    .into_any()
}

#[component]
fn Search(query: RwSignal<PredictionQuery>, scores: RwSignal<Vec<String>>) -> impl IntoView {
    let w = words();
    let text = RwSignal::new(String::new());
    let change = move |change: &dyn Fn(&mut PredictionQuery)| {
        query.update(|query| {
            query.offset = 0;
            change(query);
        });
    };
    let only = move || query.with(|query| query.differing);
    let orders = move || {
        let one = |score: String| {
            let name = label(w, &score);
            [(false, w.runs.predictions_lowest), (true, w.runs.predictions_highest)].map(
                |(highest, sentence)| {
                    let (score, key) = (score.clone(), key(&score, highest));
                    let selected =
                        move || query.with(|query| query.score == score && query.highest_first == highest);
                    view! { <option value=key selected=selected>{fill(sentence, &[&name])}</option> }
                },
            )
        };
        scores.get().into_iter().flat_map(one).collect_view()
    };
    view! {
        <form class="pad rows-search" role="search" aria-label=w.runs.predictions_find on:submit=move |event| {
            event.prevent_default();
            change(&|query| query.search = text.get_untracked());
        }>
            <label class="visually-hidden" for="find-predictions">{w.runs.predictions_find}</label>
            <input class="input" id="find-predictions" name="find" type="search" autocomplete="off" placeholder=w.runs.predictions_find
                prop:value=move || text.get() on:input=move |event| text.set(value_of(&event))/>
            <button type="submit" class="btn">{w.runs.predictions_go}</button>
            <label class="visually-hidden" for="order-predictions">{w.runs.predictions_order}</label>
            <select class="input" id="order-predictions" on:change=move |event| {
                let (score, highest) = of_key(&value_of(&event));
                change(&|query| (query.score, query.highest_first) = (score.clone(), highest));
            }>
                <option value="" selected=move || query.with(|query| query.score.is_empty())>{w.runs.predictions_as_data}</option>
                {orders}
            </select>
            <label class="choice"><input type="checkbox" name="differing" checked=only prop:checked=only on:change=move |event| {
                let differing = checked_of(&event);
                change(&|query| query.differing = differing);
            }/><span class="small">{w.runs.predictions_differ}</span></label>
        </form>
    }
    .into_any()
}

/// An order as the value of an option.
fn key(score: &str, highest_first: bool) -> String {
    format!("{}{score}", if highest_first { '-' } else { '+' })
}

/// Takes it apart.
fn of_key(key: &str) -> (String, bool) {
    match (key.strip_prefix('-'), key.strip_prefix('+')) {
        (Some(score), _) => (score.to_owned(), true),
        (None, Some(score)) => (score.to_owned(), false),
        (None, None) => (String::new(), false),
    }
}

fn label(w: &Words, score: &str) -> String {
    find(score).map_or_else(|| readable(score), |(_, known)| w.lang.of(known.label).to_owned())
}

#[component]
fn Page(
    page: PredictionPage,
    query: RwSignal<PredictionQuery>,
    scores: RwSignal<Vec<String>>,
) -> impl IntoView {
    let w = words();
    let names = page.scores.clone();
    Effect::new(move |_| {
        if scores.with_untracked(|known| *known != names) {
            scores.set(names.clone());
        }
    });
    if page.rows.is_empty() {
        return view! { <p class="pad empty">{w.runs.predictions_none}</p> }.into_any();
    }
    let (first, found) = (query.with_untracked(|query| query.offset), page.found);
    let last = first + page.rows.len() as u64;
    let head = page
        .scores
        .iter()
        .map(|score| view! { <th scope="col" class="right">{label(w, score)}</th> })
        .collect_view();
    let scores = page.scores;
    let rows = page.rows.into_iter().map(|(number, row)| line(w, number, row, &scores)).collect_view();
    let range = fill(w.runs.predictions_range, &[&num(first + 1), &num(last), &num(found)]);
    let turn = move |by: i64| {
        move |_| query.update(|query| query.offset = query.offset.saturating_add_signed(by * PAGE as i64))
    };
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label=w.runs.predictions>
            <table class="data-rows">
                <thead><tr>
                    <th scope="col" class="row-number">{w.data.row}</th>
                    <th scope="col">{w.runs.predictions_question}</th>
                    <th scope="col">{w.runs.predictions_label}</th>
                    <th scope="col">{w.runs.predictions_predict}</th>
                    {head}
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <div class="pad pager">
            <span class="small num" role="status">{range}</span>
            <div class="row">
                <button type="button" class="btn icon-btn" aria-label=w.studio.previous disabled={first == 0} on:click=turn(-1)><Icon glyph=Glyph::Left/></button>
                <button type="button" class="btn icon-btn" aria-label=w.studio.next disabled={last >= found} on:click=turn(1)><Icon glyph=Glyph::Right/></button>
            </div>
        </div>
    }
    .into_any()
}

fn line(w: &'static Words, number: u64, row: Prediction, scores: &[String]) -> AnyView {
    let differs = row.differs();
    let number = match row.row {
        0 => num(number),
        at => fill(w.runs.predictions_row, &[&row.dataset, &num(at)]),
    };
    let cells = scores
        .iter()
        .map(|score| {
            let format = find(score).map_or(Format::Number, |(_, known)| known.format);
            view! { <td class="num right">{metric(row.scores.get(score).copied(), format)}</td> }
        })
        .collect_view();
    // An older worker noted the whole prompt alone.
    let question = if row.question.is_empty() { row.prompt } else { row.question };
    let problem = row.problem.map(|problem| view! { <p class="error">{problem_text(w.lang, &problem)}</p> });
    view! {
        <tr>
            <th scope="row" class="row-number small">{number}</th>
            <td class="cell">{question}</td>
            <td class="cell">{row.label}</td>
            <td class="cell" class:differs=differs>{row.predict}{problem}</td>
            {cells}
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_goes_through_an_option_and_back() {
        for (score, highest) in [("rouge-l", true), ("exact_match", false)] {
            assert_eq!(of_key(&key(score, highest)), (score.to_owned(), highest));
        }
        assert_eq!(of_key(""), (String::new(), false));
    }
}
