//! Rows of a dataset: page by page, by what they hold, and one at a time in full.

use std::path::Path;

use contract::dataset::{Behaviour, Cell, FullRow, Inspection, RowView, RowsPage, RowsQuery};
use contract::problem::Problem;
use contract::reading::{FindRows, FirstQuestion, TakeRow};
use corpus::Row;
use corpus::encode::Taken;
use corpus::inspect::check_row;
use serde_json::Value;

/// Characters of a cell kept for display.
const CELL_CHARS: usize = 2000;
/// Characters of a page, shared by its cells where they are many.
const PAGE_CHARS: usize = 2_000_000;
/// Rows looked at for a first question.
const FIRST_ROWS: usize = 20;
/// Characters of it that are kept.
const QUESTION_CHARS: usize = 300;

/// The page of rows that a query finds.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn find(asked: &FindRows) -> Result<RowsPage, Problem> {
    let (path, found, query) = (Path::new(&asked.stored.file), &asked.stored.found, &asked.query);
    if query.text.trim().is_empty() && !query.left_out {
        plain(path, found, query)
    } else {
        search(path, found, query)
    }
}

fn plain(path: &Path, found: &Inspection, query: &RowsQuery) -> Result<RowsPage, Problem> {
    let count = usize::try_from(query.count).unwrap_or(0);
    let reading = (&found.mapping, found.suited());
    let most = cell_chars(found, query);
    let mut rows = corpus::inspect::rows(path, found.kind, reading, query.start, count)?;
    for row in &mut rows {
        row.cells.resize(found.columns.len(), String::new());
        for cell in &mut row.cells {
            *cell = cut(std::mem::take(cell), most);
        }
    }
    Ok(RowsPage { columns: found.columns.clone(), rows, total: found.rows })
}

/// Characters of each cell, so that no page is larger than it can be shown.
fn cell_chars(found: &Inspection, query: &RowsQuery) -> usize {
    let cells = found.columns.len().saturating_mul(usize::try_from(query.count).unwrap_or(usize::MAX));
    (PAGE_CHARS / cells.max(1)).clamp(1, CELL_CHARS)
}

/// Reads every row once; keeps those of the page and counts the rest.
fn search(path: &Path, found: &Inspection, query: &RowsQuery) -> Result<RowsPage, Problem> {
    let wanted = query.text.trim().to_lowercase();
    let (stage, most) = (found.suited(), cell_chars(found, query));
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
        if total >= query.start && total < query.start.saturating_add(query.count) {
            let cells = found.columns.iter().map(|column| cut(text_of(row.get(column)), most)).collect();
            rows.push(RowView { row: index as u64 + 1, cells, from: None, left_out });
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

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        // what is one longer may end with the sign of an earlier cut
        Some((at, _)) if &text[at..] != "…" => format!("{}…", &text[..at]),
        _ => text,
    }
}

/// Whether a cell is shown and read as JSON.
pub(crate) fn is_json(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Null | Value::String(_)))
}

/// One row with every column of the dataset, nothing cut.
pub(crate) fn cells(row: &Row, columns: &[String]) -> Vec<Cell> {
    let cell = |column: &String| {
        let value = row.get(column);
        Cell { column: column.clone(), text: text_of(value), json: is_json(value) }
    };
    columns.iter().map(cell).collect()
}

/// One row in full, for editing.
///
/// # Errors
/// `dataset.no_such_row`, or what reading finds broken before it.
pub(crate) fn take(asked: &TakeRow) -> Result<FullRow, Problem> {
    let found = &asked.stored.found;
    let row = corpus::inspect::row(Path::new(&asked.stored.file), found.kind, asked.row)?;
    Ok(FullRow { row: asked.row, cells: cells(&row, &found.columns) })
}

/// The question of the first usable row. Reads the file: one that broke since its upload is refused here.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn first_question(asked: &FirstQuestion) -> Result<Option<String>, Problem> {
    let found = &asked.stored.found;
    for row in corpus::open(Path::new(&asked.stored.file), found.kind)?.take(FIRST_ROWS) {
        let conversation = match Taken::from_row(&row?, &found.mapping, asked.stage, Behaviour::Corrected) {
            Ok(Taken::Talk(conversation)) => conversation,
            Ok(Taken::Pair(pair)) => pair.chosen,
            Ok(Taken::Text(_)) | Err(_) => continue,
        };
        let question = conversation.turns.into_iter().next().map(|(question, _)| question);
        return Ok(question.map(|text| text.chars().take(QUESTION_CHARS).collect()));
    }
    Ok(None)
}
