//! The rows of a dataset, page by page.

use contract::DatasetId;
use contract::dataset::{RowView, RowsPage};
use leptos::prelude::*;

use crate::components::icon::{Glyph, Icon};
use crate::components::notice::{Waiting, settle};
use crate::ports::dataset_rows;
use crate::words::amounts::num;
use crate::words::{fill, words};

/// Rows on a page.
const PAGE: u64 = 25;

/// The first row of the page `by` pages away, within the dataset.
fn turned(start: u64, by: i64, total: u64) -> u64 {
    let last = (total.max(1) - 1) / PAGE * PAGE + 1;
    start.saturating_add_signed(by * PAGE as i64).clamp(1, last)
}

/// The table with its pager.
#[component]
pub(crate) fn Rows(id: DatasetId, version: RwSignal<u32>) -> impl IntoView {
    let w = &words().data;
    let start = RwSignal::new(1u64);
    let page = Resource::new(
        move || (start.get(), version.get()),
        move |(start, _)| dataset_rows(id.clone(), start, PAGE),
    );
    view! {
        <section class="card rows-card" aria-labelledby="rows">
            <h2 class="pad" id="rows">{w.rows_title}</h2>
            <Transition fallback=Waiting>
                {move || Suspend::new(async move {
                    settle(page.await, |page| view! { <Page page start/> }.into_any())
                })}
            </Transition>
        </section>
    }
    .into_any()
}

#[component]
fn Page(page: RowsPage, start: RwSignal<u64>) -> impl IntoView {
    let w = words();
    let total = page.total;
    let first = page.rows.first().map_or(0, |row| row.row);
    let last = page.rows.last().map_or(0, |row| row.row);
    let head =
        page.columns.iter().map(|column| view! { <th scope="col">{column.clone()}</th> }).collect_view();
    let rows = page.rows.into_iter().map(|row| view! { <Line row/> }).collect_view();
    let range = fill(w.data.rows_range, &[&num(first), &num(last), &num(total)]);
    let turn = move |by| move |_| start.update(|start| *start = turned(*start, by, total));
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label=w.data.rows_title>
            <table class="data-rows">
                <thead><tr><th scope="col" class="row-number">{w.data.row}</th>{head}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <div class="pad pager">
            <span class="small num">{range}</span>
            <div class="row">
                <button type="button" class="btn icon-btn" aria-label=w.studio.previous disabled={first <= 1} on:click=turn(-1)><Icon glyph=Glyph::Left/></button>
                <button type="button" class="btn icon-btn" aria-label=w.studio.next disabled={last >= total} on:click=turn(1)><Icon glyph=Glyph::Right/></button>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Line(row: RowView) -> impl IntoView {
    let w = &words().data;
    let cells = row.cells.into_iter().map(|cell| view! { <td class="cell">{cell}</td> }).collect_view();
    let out = row.left_out.map(|reason| {
        view! { <div><span class="chip warn">{w.left_out}</span><div class="small">{reason}</div></div> }
    });
    view! { <tr><th scope="row" class="num row-number">{num(row.row)}{out}</th>{cells}</tr> }.into_any()
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
}
