//! The rows of a dataset, page by page.

use contract::DatasetId;
use contract::dataset::{RowView, RowsPage, RowsQuery};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::editor::Editor;
use crate::browser::{checked_of, value_of};
use crate::components::icon::{Glyph, Icon};
use crate::components::part::settled;
use crate::ports::dataset_rows;
use crate::words::amounts::num;
use crate::words::{fill, reason_text, words};

/// Rows on a page.
const PAGE: u64 = 25;

/// The first row of the page `by` pages away, within the dataset.
fn turned(start: u64, by: i64, total: u64) -> u64 {
    let last = (total.max(1) - 1) / PAGE * PAGE + 1;
    start.saturating_add_signed(by * PAGE as i64).clamp(1, last)
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Asked {
    start: u64,
    text: String,
    left_out: bool,
}

/// What the address asks for: `?row=17`, `?find=…`, `?left_out=1`.
fn asked(get: impl Fn(&str) -> Option<String>) -> Asked {
    let row = get("row").and_then(|row| row.parse::<u64>().ok()).unwrap_or(1).max(1);
    let (text, left_out) = (get("find").unwrap_or_default(), get("left_out").is_some());
    let start = if text.is_empty() && !left_out { (row - 1) / PAGE * PAGE + 1 } else { 1 };
    Asked { start, text, left_out }
}

/// The search, the table, the pager; rows of the newest version can be edited.
#[component]
pub(crate) fn Rows(id: DatasetId, version: RwSignal<u32>, may_edit: bool) -> impl IntoView {
    let w = &words().data;
    let query = use_query_map();
    let asked = RwSignal::new(query.with_untracked(|query| asked(|key| query.get(key))));
    let marked = query.with_untracked(|query| query.get("row")).and_then(|row| row.parse::<u64>().ok());
    let editing = RwSignal::new(None::<u64>);
    let dataset = id.clone();
    let page = Resource::new(
        move || (asked.get(), version.get()),
        move |(Asked { start, text, left_out }, _)| {
            dataset_rows(dataset.clone(), RowsQuery { start, count: PAGE, text, left_out })
        },
    );
    view! {
        <section class="card rows-card" aria-labelledby="rows">
            <h2 class="pad" id="rows">{w.rows_title}</h2>
            <Search asked/>
            {settled(page, move |page| view! { <Page page asked editing=may_edit.then_some(editing) marked/> }.into_any())}
        </section>
        {may_edit.then(|| view! { <Editor id editing/> })}
    }
    .into_any()
}

#[component]
fn Search(asked: RwSignal<Asked>) -> impl IntoView {
    let w = &words().data;
    let text = RwSignal::new(asked.with_untracked(|asked| asked.text.clone()));
    let only = move || asked.with(|asked| asked.left_out);
    view! {
        <form class="pad rows-search" role="search" aria-label=w.find on:submit=move |event| {
            event.prevent_default();
            asked.update(|asked| (asked.start, asked.text) = (1, text.get_untracked()));
        }>
            <label class="visually-hidden" for="find-rows">{w.find}</label>
            <input class="input" id="find-rows" name="find" type="search" autocomplete="off" placeholder=w.find prop:value=move || text.get()
                on:input=move |event| text.set(value_of(&event))/>
            <button type="submit" class="btn">{w.find_go}</button>
            <label class="choice"><input type="checkbox" name="left_out" checked=only prop:checked=only on:change=move |event| {
                asked.update(|asked| (asked.start, asked.left_out) = (1, checked_of(&event)));
            }/><span class="small">{w.only_left_out}</span></label>
        </form>
    }
    .into_any()
}

#[component]
fn Page(
    page: RowsPage,
    asked: RwSignal<Asked>,
    editing: Option<RwSignal<Option<u64>>>,
    marked: Option<u64>,
) -> impl IntoView {
    let w = words();
    let total = page.total;
    if page.rows.is_empty() {
        return view! { <p class="pad empty">{w.data.found_none}</p> }.into_any();
    }
    let first = asked.with_untracked(|asked| asked.start);
    let last = first + page.rows.len() as u64 - 1;
    let head =
        page.columns.iter().map(|column| view! { <th scope="col">{column.clone()}</th> }).collect_view();
    let rows = page
        .rows
        .into_iter()
        .map(|row| view! { <Line marked=marked == Some(row.row) row editing/> })
        .collect_view();
    let range = fill(w.data.rows_range, &[&num(first), &num(last), &num(total)]);
    let turn = move |by| move |_| asked.update(|asked| asked.start = turned(asked.start, by, total));
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label=w.data.rows_title>
            <table class="data-rows">
                <thead><tr><th scope="col" class="row-number">{w.data.row}</th>{head}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <div class="pad pager">
            <span class="small num" role="status">{range}</span>
            <div class="row">
                <button type="button" class="btn icon-btn" aria-label=w.studio.previous disabled={first <= 1} on:click=turn(-1)><Icon glyph=Glyph::Left/></button>
                <button type="button" class="btn icon-btn" aria-label=w.studio.next disabled={last >= total} on:click=turn(1)><Icon glyph=Glyph::Right/></button>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Line(row: RowView, editing: Option<RwSignal<Option<u64>>>, marked: bool) -> impl IntoView {
    let w = &words().data;
    let number = row.row;
    let from = row.from.map(|from| fill(w.row_from, &[&from.file, &num(from.row)]));
    let cells = row.cells.into_iter().map(|cell| view! { <td class="cell">{cell}</td> }).collect_view();
    let out = row.left_out.map(|reason| {
        view! { <div><span class="chip warn">{w.left_out}</span><div class="small">{reason_text(words().lang, &reason)}</div></div> }
    });
    let edit = editing.map(|editing| {
        let label = fill(w.edit_row, &[&num(number)]);
        view! { <div><button type="button" class="link small" aria-label=label on:click=move |_| editing.set(Some(number))>{w.edit}</button></div> }
    });
    view! { <tr class:marked=marked><th scope="row" class="num row-number" title=from>{num(number)}{out}{edit}</th>{cells}</tr> }.into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_stays_within_the_rows() {
        assert_eq!(turned(1, -1, 60), 1);
        assert_eq!(turned(1, 1, 60), 26);
        assert_eq!(turned(51, 1, 60), 51);
        assert_eq!(turned(26, 1, 50), 26);
        assert_eq!(turned(1, 1, 0), 1);
    }

    #[test]
    fn an_address_may_name_a_row_or_a_search() {
        let of =
            |key: &'static str, value: &'static str| asked(move |k| (k == key).then(|| value.to_owned()));
        assert_eq!(of("row", "52").start, 51);
        assert_eq!(of("row", "-3").start, 1);
        assert_eq!(of("find", "tea"), Asked { start: 1, text: "tea".to_owned(), left_out: false });
        assert!(of("left_out", "1").left_out);
    }
}
