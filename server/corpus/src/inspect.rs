//! Reading a whole file: its columns, how many rows can teach, and which column plays which part.

mod suggest;

use std::path::Path;

use contract::Code;
use contract::dataset::{DataFormat, FileKind, Inspection, Mapping, RowView};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use serde_json::Value;

use crate::conversation::check_row;
use crate::source::{self, Row};

/// Columns a message list is looked for in, best first.
pub(crate) const MESSAGE_COLUMNS: &[&str] = &["messages", "conversations", "conversation", "dialog"];

/// Rows looked at before a mapping is suggested.
const SAMPLE: usize = 200;

/// Characters of a cell kept for display.
const CELL_CHARS: usize = 2000;

/// Reads the whole file. Without a mapping one is suggested from the names of columns and the first 200 rows; where no
/// row can teach under a suggestion, a person has yet to say which column is which, and [`Inspection::usable`] is 0.
///
/// # Errors
/// What the reader found broken; a given mapping that names no such column (`dataset.no_such_column`) or under which
/// no row can teach (`dataset.no_usable_rows`, with the reason of the first row).
pub fn inspect(path: &Path, kind: FileKind, mapping: Option<Mapping>) -> Result<Inspection, Problem> {
    let mut rows = source::open(path, kind)?;
    let encoding = rows.encoding().name().to_owned();
    let kind = rows.kind();
    let mut tally = Tally::default();
    let sample: Vec<Row> = rows.by_ref().take(SAMPLE).collect::<Result<_, _>>()?;
    for row in &sample {
        tally.note_columns(row);
    }
    let given = mapping.is_some();
    let mapping = mapping.unwrap_or_else(|| suggest::suggest(&tally.columns, &sample, kind));
    for row in &sample {
        tally.count(row, &mapping);
    }
    drop(sample);
    for row in rows {
        let row = row?;
        tally.note_columns(&row);
        tally.count(&row, &mapping);
    }
    check_mapping(&mapping, &tally.columns)?;
    if tally.usable == 0 && given {
        let (row, reason) = tally.first_left_out.unwrap_or((1, RowReason::NoRows));
        return Err(reason.none_usable(Some(row)));
    }
    Ok(Inspection { kind, encoding, columns: tally.columns, rows: tally.rows, usable: tally.usable, mapping })
}

#[derive(Default)]
struct Tally {
    columns: Vec<String>,
    rows: u64,
    usable: u64,
    first_left_out: Option<(u64, RowReason)>,
}

impl Tally {
    fn note_columns(&mut self, row: &Row) {
        for (name, _) in &row.cells {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
        }
    }

    fn count(&mut self, row: &Row, mapping: &Mapping) {
        self.rows += 1;
        match check_row(row, mapping) {
            Ok(()) => self.usable += 1,
            Err(reason) => {
                self.first_left_out.get_or_insert((self.rows, reason));
            }
        }
    }
}

/// Every column the mapping names exists, and the parts its format needs are named.
fn check_mapping(mapping: &Mapping, columns: &[String]) -> Result<(), Problem> {
    let named = [
        &mapping.prompt,
        &mapping.query,
        &mapping.response,
        &mapping.history,
        &mapping.system,
        &mapping.messages,
        &mapping.chosen,
        &mapping.rejected,
    ];
    for column in named.into_iter().flatten() {
        if !columns.contains(column) {
            return Err(Problem::new(
                Code::DatasetNoSuchColumn,
                format!("The file has no column “{column}”."),
            )
            .with("columns", columns.join(", "))
            .field(column.clone())
            .hint(format!("Its columns are: {}.", columns.join(", "))));
        }
    }
    if mapping.format == DataFormat::PromptResponse
        && (mapping.prompt.is_none() || mapping.response.is_none())
    {
        let part = if mapping.prompt.is_none() { "prompt" } else { "response" };
        return Err(Problem::new(Code::DatasetMappingIncomplete, format!("No column is chosen as {part}."))
            .field(part)
            .hint("Choose one column as prompt and one as response."));
    }
    Ok(())
}

/// A page of rows as text: `count` rows beginning with row `start` (from 1; 0 is read as 1). Cells stand in the
/// order of [`Inspection::columns`]; columns that first appear after the page have no cell yet.
///
/// # Errors
/// What the reader found broken up to the end of the page.
pub fn rows(
    path: &Path,
    kind: FileKind,
    mapping: &Mapping,
    start: u64,
    count: usize,
) -> Result<Vec<RowView>, Problem> {
    let start = start.max(1);
    let mut columns = Tally::default();
    let mut page = Vec::new();
    if count == 0 {
        return Ok(Vec::new());
    }
    for (index, row) in source::open(path, kind)?.enumerate() {
        let (number, row) = (index as u64 + 1, row?);
        columns.note_columns(&row);
        if number >= start {
            page.push((number, row));
            if page.len() == count {
                break;
            }
        }
    }
    let view = |(number, row): (u64, Row)| RowView {
        row: number,
        cells: columns.columns.iter().map(|column| shown(row.get(column))).collect(),
        left_out: check_row(&row, mapping).err(),
    };
    Ok(page.into_iter().map(view).collect())
}

/// One row, counted from 1.
///
/// # Errors
/// `dataset.no_such_row` past the end, or what the reader found broken before it.
pub fn row(path: &Path, kind: FileKind, number: u64) -> Result<Row, Problem> {
    let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    match source::open(path, kind)?.nth(index) {
        Some(row) => row,
        None => Err(Problem::new(Code::DatasetNoSuchRow, format!("The dataset has no row {number}."))
            .row(number)
            .hint("Choose a smaller row number.")),
    }
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(CELL_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn alpaca_is_recognised_and_left_out_rows_are_counted() {
        let data = file(
            "[{\"instruction\":\"a\",\"input\":\"\",\"output\":\"b\"},{\"instruction\":\"a\",\"output\":\"\",\"extra\":1}]",
        );
        let found = inspect(data.path(), FileKind::Json, None).unwrap();
        assert_eq!((found.rows, found.usable), (2, 1));
        assert_eq!(found.columns, ["instruction", "input", "output", "extra"]);
        assert_eq!(found.mapping.format, DataFormat::Alpaca);
        assert_eq!(found.mapping.query.as_deref(), Some("input"));
        let page = rows(data.path(), FileKind::Json, &found.mapping, 2, 5).unwrap();
        assert_eq!((page.len(), page[0].row, page[0].cells.len()), (1, 2, 4));
        assert_eq!(page[0].left_out, Some(RowReason::EmptyAnswer { column: "output".into() }));
        assert_eq!(row(data.path(), FileKind::Json, 3).unwrap_err().code, Code::DatasetNoSuchRow);
    }

    #[test]
    fn prompt_and_response_under_usual_names() {
        for (prompt, response) in [("question", "answer"), ("query", "response"), ("Prompt", "Completion")] {
            let data = file(&format!("{prompt},{response}\nq,a\n"));
            let found = inspect(data.path(), FileKind::Csv, None).unwrap();
            assert_eq!(found.mapping.format, DataFormat::PromptResponse);
            assert_eq!(found.mapping.prompt.as_deref(), Some(prompt));
            assert_eq!(found.mapping.response.as_deref(), Some(response));
        }
    }

    #[test]
    fn messages_and_text_are_recognised() {
        let data = file(
            "{\"id\":1,\"conversations\":[{\"from\":\"human\",\"value\":\"q\"},{\"from\":\"gpt\",\"value\":\"a\"}]}\n",
        );
        let found = inspect(data.path(), FileKind::Jsonl, None).unwrap();
        assert_eq!(found.mapping.messages.as_deref(), Some("conversations"));
        let data = file("one\n\ntwo\n");
        let found = inspect(data.path(), FileKind::Txt, None).unwrap();
        assert_eq!((found.mapping.format, found.rows, found.usable), (DataFormat::Text, 3, 2));
    }

    #[test]
    fn a_file_without_usable_rows_waits_for_a_mapping_and_one_that_helps_nothing_says_why() {
        let data = file("[{\"note\":\"x\"},{\"asked\":\"q\",\"said\":\"a\"}]");
        let found = inspect(data.path(), FileKind::Json, None).unwrap();
        assert_eq!((found.rows, found.usable), (2, 0));
        assert_eq!(found.columns, ["note", "asked", "said"]);
        let data = file("instruction,output\nq,\n");
        let found = inspect(data.path(), FileKind::Csv, None).unwrap();
        assert_eq!(found.usable, 0);
        let problem = inspect(data.path(), FileKind::Csv, Some(found.mapping)).unwrap_err();
        assert_eq!(problem.code, Code::DatasetNoUsableRows);
        let reason = RowReason::EmptyAnswer { column: "output".into() };
        assert_eq!(problem.reason.as_deref(), Some(&reason));
    }

    #[test]
    fn a_mapping_to_a_missing_column_is_refused() {
        let data = file("q,a\nx,y\n");
        let mapping = Mapping { prompt: Some("nope".into()), ..Mapping::empty(DataFormat::PromptResponse) };
        let problem = inspect(data.path(), FileKind::Csv, Some(mapping)).unwrap_err();
        assert_eq!(problem.code, Code::DatasetNoSuchColumn);
    }
}
