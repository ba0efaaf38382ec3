//! Reading a whole file: its columns, how many rows can teach, and which column plays which part.

mod names;
mod suggest;

use contract::limits::Limit;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use contract::Code;
use contract::dataset::{Behaviour, DataFormat, FileKind, Inspection, Mapping, RowView};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;
use serde_json::Value;

use crate::encode::Taken;
use crate::source::limits::{PAGE_CHARS, SAMPLE_LIMIT, told, told_all, too_many_columns};
use crate::source::{self, Row};

/// Columns a message list is looked for in, best first.
pub(crate) const MESSAGE_COLUMNS: &[&str] =
    &["messages", "conversations", "conversation", "dialog", "dialogue", "chat"];

/// Column that the original appends to questions unless an entry says otherwise (S-005).
const DEFAULT_QUERY: &str = "input";

/// Rows looked at before a mapping is suggested.
const SAMPLE: usize = 200;

/// Fields of objects offered as columns.
const MOST_FIELDS: usize = 100;

/// Characters of a cell kept for display, at most.
const CELL_CHARS: usize = 2000;

/// Characters of a cell kept for display in the widest of tables.
const LEAST_CHARS: usize = 20;

/// Reads the whole file. Without a mapping one is suggested from the names of columns and the first 200 rows; where no
/// row can teach under a suggestion, a person has yet to say which column is which, and [`Inspection::usable`] is 0.
///
/// # Errors
/// What the reader found broken; a given mapping that names no such column (`dataset.no_such_column`) or under which
/// no row can teach (`dataset.no_usable_rows`, with the reason of the first row).
pub fn inspect(path: &Path, kind: FileKind, mapping: Option<Mapping>) -> Result<Inspection, Problem> {
    read_whole(path, kind, mapping, false)
}

/// As [`inspect`] under the mapping of a register's entry that leaves open what the file shows (S-006): its answers are
/// pairs where each of them is a list of two, and the column that is appended to questions by default may be missing.
///
/// # Errors
/// As [`inspect`] under a given mapping.
pub fn inspect_open(path: &Path, kind: FileKind, mapping: Mapping) -> Result<Inspection, Problem> {
    read_whole(path, kind, Some(mapping), true)
}

fn read_whole(
    path: &Path,
    kind: FileKind,
    mapping: Option<Mapping>,
    open: bool,
) -> Result<Inspection, Problem> {
    let mut rows = source::open(path, kind)?;
    let encoding = rows.encoding().name().to_owned();
    let kind = rows.kind();
    let mut tally = Tally::default();
    let (mut sample, mut held) = (Vec::new(), 0);
    while sample.len() < SAMPLE
        && held < SAMPLE_LIMIT
        && let Some(row) = rows.next().transpose()?
    {
        tally.names.note(&row)?;
        held += row.size();
        sample.push(row);
    }
    let given = mapping.is_some();
    let mut mapping = mapping.unwrap_or_else(|| suggest::suggest(&tally.names.columns, &sample, kind));
    if open && suggest::answers_are_pairs(&mapping, &sample) {
        mapping.format = DataFormat::Pairs;
    }
    for row in &sample {
        tally.count(row, kind, &mapping);
    }
    drop(sample);
    for row in rows {
        let row = row?;
        tally.names.note(&row)?;
        tally.count(&row, kind, &mapping);
    }
    let Tally { names, rows, mut stages, first_left_out } = tally;
    let Names { columns, fields, .. } = names;
    if open {
        mapping.query = mapping.query.filter(|query| query != DEFAULT_QUERY || columns.contains(query));
    }
    if given {
        check_mapping(&mapping, &columns, &fields)?;
    }
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

/// The names of columns in the order of the file, and those of fields of objects.
#[derive(Default)]
struct Names {
    columns: Vec<String>,
    /// The place of each.
    places: HashMap<String, usize>,
    /// Bytes of all.
    bytes: usize,
    fields: Vec<String>,
    known_fields: HashSet<String>,
}

impl Names {
    /// Notes the columns of a row; `dataset.too_many_columns` where no file should have so many.
    fn note(&mut self, row: &Row) -> Result<(), Problem> {
        for (name, value) in &row.cells {
            if !self.places.contains_key(name) {
                self.bytes += name.len();
                if self.columns.len() == Limit::Columns.get() || self.bytes > Limit::NamesBytes.get() {
                    return Err(too_many_columns());
                }
                self.places.insert(name.clone(), self.columns.len());
                self.columns.push(name.clone());
            }
            self.note_fields(name, value);
        }
        Ok(())
    }

    fn note_fields(&mut self, name: &str, value: &Value) {
        for field in value.as_object().into_iter().flat_map(|object| object.keys()) {
            if self.fields.len() == MOST_FIELDS {
                return;
            }
            let field = format!("{name}.{field}");
            if field.len() <= Limit::NameBytes.get() && self.known_fields.insert(field.clone()) {
                self.fields.push(field);
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    names: Names,
    rows: u64,
    stages: BTreeMap<Stage, u64>,
    /// For the stage that the mapping suits best.
    first_left_out: Option<(u64, RowReason)>,
}

impl Tally {
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
                format!("The file has no column “{}”.", told(column)),
            )
            .with("columns", told_all(columns))
            .field(told(column))
            .hint(format!("Its columns are: {}.", told_all(columns))));
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
/// cannot teach under the mapping in the stage. Cells stand in the order of [`Inspection::columns`]; columns that first
/// appear after the page have no cell yet. Long cells are cut, the more so the wider the table is.
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
    let mut names = Names::default();
    let mut page: Vec<RowView> = Vec::new();
    if count == 0 {
        return Ok(page);
    }
    for (index, row) in source::open(path, kind)?.enumerate() {
        let (number, row) = (index as u64 + 1, row?);
        names.note(&row)?;
        if number >= start {
            page.push(RowView {
                row: number,
                cells: cells(&row, &names, count),
                from: None,
                left_out: check_row(&row, kind, reading).err(),
            });
            if page.len() == count {
                break;
            }
        }
    }
    for view in &mut page {
        view.cells.resize(names.columns.len(), String::new());
    }
    Ok(page)
}

/// The cells of a row as text, one for each column so far; one of `count` rows.
fn cells(row: &Row, names: &Names, count: usize) -> Vec<String> {
    let chars = (PAGE_CHARS / count.max(1) / row.cells.len().max(1)).clamp(LEAST_CHARS, CELL_CHARS);
    let mut cells = vec![String::new(); names.columns.len()];
    // Of two cells of one name the first counts.
    for (name, value) in row.cells.iter().rev() {
        if let Some(cell) = names.places.get(name).and_then(|place| cells.get_mut(*place)) {
            *cell = shown(value, chars);
        }
    }
    cells
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

fn shown(value: &Value, chars: usize) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
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
