//! Reading a whole file: its columns, how many rows can teach, and which column plays which part.

mod names;
mod suggest;

use std::path::Path;

use contract::Code;
use std::collections::BTreeMap;

use contract::dataset::{Behaviour, DataFormat, FileKind, Inspection, Mapping, RowView};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;
use serde_json::Value;

use crate::encode::Taken;
use crate::source::{self, Row};

/// Columns a message list is looked for in, best first.
pub(crate) const MESSAGE_COLUMNS: &[&str] =
    &["messages", "conversations", "conversation", "dialog", "dialogue", "chat"];

/// Rows looked at before a mapping is suggested.
const SAMPLE: usize = 200;

/// Fields of objects offered as columns.
const MOST_FIELDS: usize = 100;

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
        tally.count(row, kind, &mapping);
    }
    drop(sample);
    for row in rows {
        let row = row?;
        tally.note_columns(&row);
        tally.count(&row, kind, &mapping);
    }
    if given {
        check_mapping(&mapping, &tally.columns, &tally.fields)?;
    }
    let Tally { columns, fields, rows, mut stages, first_left_out } = tally;
    // Both compare two answers and read rows alike.
    stages.insert(Stage::Rm, stages.get(&Stage::Dpo).copied().unwrap_or(0));
    let mut found = Inspection { kind, encoding, columns, fields, rows, usable: 0, stages, mapping };
    found.usable = found.usable_in(found.suited());
    if found.usable == 0 && given {
        let (row, reason) = first_left_out.unwrap_or((1, RowReason::NoRows));
        return Err(reason.none_usable(Some(row)));
    }
    Ok(found)
}

/// Whether a row of a file of that kind can teach under a mapping in a stage, as a run reads it. In pre-training a text
/// file is one text: its blank lines are part of it.
///
/// # Errors
/// The reason why it cannot.
pub fn check_row(row: &Row, kind: FileKind, (mapping, stage): (&Mapping, Stage)) -> Result<(), RowReason> {
    match Taken::from_row(row, mapping, stage, Behaviour::Corrected) {
        Err(RowReason::EmptyText { .. }) if kind == FileKind::Txt && stage == Stage::Pt => Ok(()),
        taken => taken.map(drop),
    }
}

#[derive(Default)]
struct Tally {
    columns: Vec<String>,
    fields: Vec<String>,
    rows: u64,
    stages: BTreeMap<Stage, u64>,
    /// For the stage that the mapping suits best.
    first_left_out: Option<(u64, RowReason)>,
}

impl Tally {
    fn note_columns(&mut self, row: &Row) {
        for (name, value) in &row.cells {
            if !self.columns.contains(name) {
                self.columns.push(name.clone());
            }
            let names = value.as_object().into_iter().flat_map(|object| object.keys());
            for field in names.map(|field| format!("{name}.{field}")) {
                if self.fields.len() < MOST_FIELDS && !self.fields.contains(&field) {
                    self.fields.push(field);
                }
            }
        }
    }

    fn count(&mut self, row: &Row, kind: FileKind, mapping: &Mapping) {
        self.rows += 1;
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Rm) {
            let usable = self.stages.entry(stage).or_default();
            match check_row(row, kind, (mapping, stage)) {
                Ok(()) => *usable += 1,
                Err(reason) if stage == mapping.format.suits()[0] => {
                    self.first_left_out.get_or_insert((self.rows, reason));
                }
                Err(_) => {}
            }
        }
    }
}

/// Every column the mapping names exists, and the parts its format needs are named.
fn check_mapping(mapping: &Mapping, columns: &[String], fields: &[String]) -> Result<(), Problem> {
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
        if !columns.contains(column) && !fields.contains(column) {
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

/// A page of rows as text: `count` rows beginning with row `start` (from 1; 0 is read as 1), left out where they
/// cannot teach under the mapping in the stage. Cells stand in the order of [`Inspection::columns`]; columns that first appear after the page have no cell yet.
///
/// # Errors
/// What the reader found broken up to the end of the page.
pub fn rows(
    path: &Path,
    kind: FileKind,
    reading: (&Mapping, Stage),
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
        left_out: check_row(&row, kind, reading).err(),
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
        let page = rows(data.path(), FileKind::Json, (&found.mapping, found.suited()), 2, 5).unwrap();
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
        assert_eq!((found.mapping.format, found.rows, found.usable), (DataFormat::Text, 3, 3));
    }

    #[test]
    fn a_file_without_usable_rows_waits_for_a_mapping_and_one_that_helps_nothing_says_why() {
        let data = file("[{\"note\":\"x\"},{\"asked\":\"q\",\"said\":\"a\"}]");
        let found = inspect(data.path(), FileKind::Json, None).unwrap();
        assert_eq!((found.rows, found.usable), (2, 0));
        assert_eq!(found.columns, ["note", "asked", "said"]);
        let data = file("instruction,output\nq,\n");
        let found = inspect(data.path(), FileKind::Csv, None).unwrap();
        assert_eq!((found.usable, found.suited()), (1, Stage::Ppo), "questions alone are prompts");
        let mapping = found.mapping;
        let data = file("instruction,output\n,a\n");
        let found = inspect(data.path(), FileKind::Csv, None).unwrap();
        assert_eq!((found.usable, found.mapping.prompt), (0, None), "a guess that leaves all out is none");
        let problem = inspect(data.path(), FileKind::Csv, Some(mapping)).unwrap_err();
        assert_eq!(problem.code, Code::DatasetNoUsableRows);
        let reason = RowReason::EmptyQuestion { column: "instruction".into() };
        assert_eq!(problem.reason.as_deref(), Some(&reason));
    }

    #[test]
    fn a_field_of_an_object_plays_a_part_as_a_column_does() {
        let data = file(
            "{\"id\":\"1\",\"translation\":{\"en\":\"tea\",\"fr\":\"thé\"}}\n{\"id\":\"2\",\"translation\":{\"en\":\"milk\",\"fr\":null}}\n",
        );
        let found = inspect(data.path(), FileKind::Jsonl, None).unwrap();
        assert_eq!((found.usable, found.columns.len()), (0, 2));
        assert_eq!(found.fields, ["translation.en", "translation.fr"]);
        let mapping = Mapping {
            prompt: Some("translation.en".into()),
            response: Some("translation.fr".into()),
            ..Mapping::empty(DataFormat::PromptResponse)
        };
        let found = inspect(data.path(), FileKind::Jsonl, Some(mapping.clone())).unwrap();
        assert_eq!((found.usable, found.usable_in(Stage::Ppo)), (1, 2));
        let page = rows(data.path(), FileKind::Jsonl, (&mapping, Stage::Sft), 2, 1).unwrap();
        assert_eq!(page[0].left_out, Some(RowReason::EmptyAnswer { column: "translation.fr".into() }));
        let nope = Mapping { prompt: Some("translation.de".into()), ..mapping };
        let problem = inspect(data.path(), FileKind::Jsonl, Some(nope)).unwrap_err();
        assert_eq!(problem.code, Code::DatasetNoSuchColumn);
    }

    #[test]
    fn a_mapping_to_a_missing_column_is_refused() {
        let data = file("q,a\nx,y\n");
        let mapping = Mapping { prompt: Some("nope".into()), ..Mapping::empty(DataFormat::PromptResponse) };
        let problem = inspect(data.path(), FileKind::Csv, Some(mapping)).unwrap_err();
        assert_eq!(problem.code, Code::DatasetNoSuchColumn);
    }
}
