//! Rows of a dataset: page by page, by what they hold, and one at a time in full.

use std::path::Path;

use contract::dataset::{Cell, FileKind, FullRow, Inspection, RowView, RowsPage, RowsQuery};
use contract::{DatasetId, Problem};
use corpus::Row;
use corpus::inspect::check_row;
use serde_json::Value;

use super::datasets;
use crate::error::Fault;
use crate::state::AppState;

/// Rows of a page at most.
const MOST_ROWS: u64 = 200;
/// Characters of a cell kept for display.
const CELL_CHARS: usize = 2000;

/// The page of rows that a query finds.
pub async fn page(state: &AppState, id: &DatasetId, query: RowsQuery) -> Result<RowsPage, Fault> {
    let row = datasets::find(state, id).await?;
    let path = datasets::file(state, &row);
    let found = row.view.inspection;
    let query = RowsQuery { count: query.count.min(MOST_ROWS), start: query.start.max(1), ..query };
    let page = tokio::task::spawn_blocking(move || {
        if query.text.trim().is_empty() && !query.left_out {
            plain(&path, &found, &query)
        } else {
            search(&path, &found, &query)
        }
    });
    Ok(page.await??)
}

fn plain(path: &Path, found: &Inspection, query: &RowsQuery) -> Result<RowsPage, Problem> {
    let count = usize::try_from(query.count).unwrap_or(0);
    let reading = (&found.mapping, found.suited());
    let mut rows = corpus::inspect::rows(path, found.kind, reading, query.start, count)?;
    for row in &mut rows {
        row.cells.resize(found.columns.len(), String::new());
    }
    Ok(RowsPage { columns: found.columns.clone(), rows, total: found.rows })
}

/// Reads every row once; keeps those of the page and counts the rest.
fn search(path: &Path, found: &Inspection, query: &RowsQuery) -> Result<RowsPage, Problem> {
    let wanted = query.text.trim().to_lowercase();
    let stage = found.suited();
    let (mut rows, mut total) = (Vec::new(), 0);
    for (index, row) in corpus::open(path, found.kind)?.enumerate() {
        let row = row?;
        let holds = |(_, value): &(String, Value)| text_of(Some(value)).to_lowercase().contains(&wanted);
        if !wanted.is_empty() && !row.cells.iter().any(holds) {
            continue;
        }
        let left_out = check_row(&row, found.kind, (&found.mapping, stage)).err();
        if query.left_out && left_out.is_none() {
            continue;
        }
        total += 1;
        if total >= query.start && total < query.start + query.count {
            let cells = found.columns.iter().map(|column| cut(text_of(row.get(column)))).collect();
            rows.push(RowView { row: index as u64 + 1, cells, left_out });
        }
    }
    Ok(RowsPage { columns: found.columns.clone(), rows, total })
}

/// A cell as text: words as they are, lists and numbers as JSON, nothing as nothing.
fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(CELL_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Whether a cell is shown and read as JSON.
pub(super) fn is_json(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Null | Value::String(_)))
}

/// One row with every column of the dataset, nothing cut.
pub(super) fn cells(row: &Row, columns: &[String]) -> Vec<Cell> {
    let cell = |column: &String| {
        let value = row.get(column);
        Cell { column: column.clone(), text: text_of(value), json: is_json(value) }
    };
    columns.iter().map(cell).collect()
}

/// One row in full, for editing.
pub async fn whole(state: &AppState, id: &DatasetId, number: u64) -> Result<FullRow, Fault> {
    let row = datasets::find(state, id).await?;
    let path = datasets::file(state, &row);
    let found = row.view.inspection;
    let (columns, kind) = (found.columns, found.kind);
    let full =
        tokio::task::spawn_blocking(move || read(&path, kind, number).map(|row| cells(&row, &columns)));
    Ok(FullRow { row: number, cells: full.await?? })
}

fn read(path: &Path, kind: FileKind, number: u64) -> Result<Row, Problem> {
    corpus::inspect::row(path, kind, number)
}
