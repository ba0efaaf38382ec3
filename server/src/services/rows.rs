//! Rows of a dataset: page by page, by what they hold, and one at a time in full.

use contract::DatasetId;
use contract::dataset::{FullRow, RowsPage, RowsQuery};
use contract::origin::file_row;
use contract::reading::{FindRows, TakeRow};

use super::datasets;
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// Rows of a page at most.
const MOST_ROWS: u64 = 200;

/// The page of rows that a query finds.
pub async fn page(state: &AppState, id: &DatasetId, query: RowsQuery) -> Result<RowsPage, Fault> {
    let row = datasets::find(state, id).await?;
    let query = RowsQuery { count: query.count.min(MOST_ROWS), start: query.start.max(1), ..query };
    let asked = FindRows { stored: datasets::stored(state, &row), query };
    let mut page = state.readers.ask(Lane::Quick, asked).await?;
    for shown in &mut page.rows {
        shown.from = file_row(&row.files, shown.row);
    }
    Ok(page)
}

/// One row in full, for editing.
pub async fn whole(state: &AppState, id: &DatasetId, number: u64) -> Result<FullRow, Fault> {
    let row = datasets::find(state, id).await?;
    let asked = TakeRow { stored: datasets::stored(state, &row), row: number };
    Ok(state.readers.ask(Lane::Quick, asked).await?)
}
