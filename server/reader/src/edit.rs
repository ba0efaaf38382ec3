//! An edit of a row writes a new file; nothing that a run has seen changes.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use contract::Code;
use contract::dataset::{Cell, Change, FileKind, Inspection, RowEdit};
use contract::problem::Problem;
use contract::reading::{ChangeRow, Changed, Written};
use corpus::Row;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::rows;

/// Writes the file anew with one row changed or taken out.
///
/// # Errors
/// `edit.…` where the edit cannot be made, or what reading and writing meet.
pub(crate) fn change(asked: &ChangeRow) -> Result<Changed, Problem> {
    write(Path::new(&asked.stored.file), Path::new(&asked.target), &asked.stored.found, &asked.edit)
}

fn write(source: &Path, target: &Path, found: &Inspection, edit: &RowEdit) -> Result<Changed, Problem> {
    let old = corpus::inspect::row(source, found.kind, edit.row)?;
    let (row, change) = match &edit.cells {
        None => (None, Change::Removed { row: edit.row }),
        Some(cells) => {
            let (row, columns) = changed(&old, cells, found)?;
            (Some(row), Change::Edited { row: edit.row, columns })
        }
    };
    let kind = rewrite(source, target, found, edit.row, row.as_ref())?;
    let inspection = corpus::inspect::inspect(target, kind, Some(found.mapping.clone()))?;
    let written = digest(target).map_err(unwritten)?;
    Ok(Changed { change, inspection, written })
}

/// The new file could not be written.
pub(crate) fn unwritten(why: std::io::Error) -> Problem {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(why.kind(), StorageFull | QuotaExceeded) {
        return Problem::new(Code::DiskFull, "The disk is full.")
            .hint("Free some space where Burnish keeps its data, then try again.");
    }
    Problem::new(Code::DatasetUnreadable, format!("Reading the file failed: {why}.")).with("why", why)
}

/// The row with the new cells, and which columns differ. Cells that were left alone keep their value exactly.
fn changed(old: &Row, cells: &[Cell], found: &Inspection) -> Result<(Row, Vec<String>), Problem> {
    let mut row = old.clone();
    let before = rows::cells(old, &found.columns);
    let mut columns = Vec::new();
    for cell in cells {
        let Some(was) = before.iter().find(|was| was.column == cell.column) else {
            return Err(Problem::new(Code::DatasetNoSuchColumn, "The file has no such column.")
                .with("columns", before.iter().map(|one| one.column.as_str()).collect::<Vec<_>>().join(", "))
                .field(cell.column.clone()));
        };
        if was.text == cell.text {
            continue;
        }
        let value = if rows::is_json(old.get(&cell.column)) {
            serde_json::from_str(&cell.text).map_err(|why| {
                let why = why.to_string();
                let why = why.split(" at line ").next().unwrap_or_default().to_owned();
                Problem::new(Code::EditNotJson, format!("{} is not valid JSON: {why}.", cell.column))
                    .with("why", why)
                    .field(cell.column.clone())
                    .hint("Lists look like [\"…\", \"…\"]; a missing quote or comma is the usual cause.")
            })?
        } else {
            Value::String(cell.text.clone())
        };
        columns.push(cell.column.clone());
        match row.cells.iter_mut().find(|(name, _)| *name == cell.column) {
            Some((_, slot)) => *slot = value,
            None => row.cells.push((cell.column.clone(), value)),
        }
    }
    if columns.is_empty() {
        return Err(Problem::new(Code::EditNothing, "Nothing was changed, so no version was made."));
    }
    Ok((row, columns))
}

/// Writes the file anew with row `number` replaced or left out; returns its kind.
fn rewrite(
    source: &Path,
    target: &Path,
    found: &Inspection,
    number: u64,
    row: Option<&Row>,
) -> Result<FileKind, Problem> {
    let written = match found.kind {
        FileKind::Jsonl if found.encoding == "UTF-8" => {
            let line = row.map(|row| json(row).to_string());
            lines(source, target, number, line.as_deref(), true)
        }
        FileKind::Txt if found.encoding == "UTF-8" => {
            let line = row.map(text_line).transpose()?;
            lines(source, target, number, line.as_deref(), false)
        }
        _ => return anew(source, target, found, number, row),
    };
    written.map_err(unwritten)?;
    Ok(found.kind)
}

/// A row as an object; of two cells of one name the first counts.
pub(crate) fn json(row: &Row) -> Value {
    let mut object = serde_json::Map::new();
    for (name, value) in &row.cells {
        object.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(object)
}

fn text_line(row: &Row) -> Result<String, Problem> {
    let text = row.cells.first().and_then(|(_, value)| value.as_str()).unwrap_or_default();
    if text.contains(['\n', '\r']) {
        return Err(Problem::new(
            Code::EditLineBreak,
            "A row of a plain text file cannot hold a line break.",
        ));
    }
    Ok(text.to_owned())
}

/// Copies lines as they are but for one. `blank_is_none`: blank lines are no rows.
fn lines(
    source: &Path,
    target: &Path,
    number: u64,
    line: Option<&str>,
    blank_is_none: bool,
) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(source)?);
    let mut output = BufWriter::with_capacity(1 << 20, File::create(target)?);
    let (mut bytes, mut at) = (Vec::new(), 0);
    loop {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let blank = blank_is_none && String::from_utf8_lossy(&bytes).trim().is_empty();
        at += u64::from(!blank);
        if at != number || blank {
            output.write_all(&bytes)?;
            continue;
        }
        if let Some(line) = line {
            output.write_all(line.as_bytes())?;
            output.write_all(if bytes.ends_with(b"\r\n") { b"\r\n" } else { b"\n" })?;
        }
    }
    output.into_inner()?.sync_all()
}

/// Reads every row and writes it anew, in UTF-8: for files whose rows are not lines.
fn anew(
    source: &Path,
    target: &Path,
    found: &Inspection,
    number: u64,
    row: Option<&Row>,
) -> Result<FileKind, Problem> {
    let kind = match found.kind {
        FileKind::Csv => FileKind::Csv,
        FileKind::Txt => FileKind::Txt,
        FileKind::Json => FileKind::Json,
        _ => FileKind::Jsonl,
    };
    let mut out = Writer::new(target, kind, &found.columns).map_err(unwritten)?;
    for (index, read) in corpus::open(source, found.kind)?.enumerate() {
        let read = read?;
        match (index as u64 + 1 == number, row) {
            (true, None) => {}
            (true, Some(row)) => out.row(row, &found.columns).map_err(unwritten)?,
            (false, _) => out.row(&read, &found.columns).map_err(unwritten)?,
        }
    }
    out.end().map_err(unwritten)?;
    Ok(kind)
}

/// Writes rows in one of the text formats.
enum Writer {
    Csv(Box<csv::Writer<File>>),
    Lines { out: BufWriter<File>, kind: FileKind, rows: u64 },
}

impl Writer {
    fn new(path: &Path, kind: FileKind, columns: &[String]) -> std::io::Result<Self> {
        let file = File::create(path)?;
        if kind == FileKind::Csv {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(columns)?;
            return Ok(Self::Csv(Box::new(csv)));
        }
        Ok(Self::Lines { out: BufWriter::with_capacity(1 << 20, file), kind, rows: 0 })
    }

    fn row(&mut self, row: &Row, columns: &[String]) -> std::io::Result<()> {
        match self {
            Self::Csv(csv) => {
                let cells = rows::cells(row, columns);
                csv.write_record(cells.iter().map(|cell| cell.text.as_str()))?;
            }
            Self::Lines { out, kind, rows } => {
                match (*kind, *rows) {
                    (FileKind::Json, 0) => out.write_all(b"[\n")?,
                    (FileKind::Json, _) => out.write_all(b",\n")?,
                    (_, 0) => {}
                    _ => out.write_all(b"\n")?,
                }
                *rows += 1;
                match kind {
                    FileKind::Txt => {
                        out.write_all(rows::cells(row, columns).first().map_or(&[], |c| c.text.as_bytes()))?
                    }
                    _ => serde_json::to_writer(out, &json(row))?,
                }
            }
        }
        Ok(())
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Csv(mut csv) => {
                csv.flush()?;
                csv.into_inner().map_err(|why| std::io::Error::other(why.to_string()))?.sync_all()
            }
            Self::Lines { mut out, kind, rows } => {
                out.write_all(match (kind, rows) {
                    (FileKind::Json, 0) => b"[]\n",
                    (FileKind::Json, _) => b"\n]\n",
                    _ => b"\n",
                })?;
                out.into_inner()?.sync_all()
            }
        }
    }
}

/// Size and digest of a file.
pub(crate) fn digest(path: &Path) -> std::io::Result<Written> {
    let mut sha = Sha256::new();
    let bytes = std::io::copy(&mut File::open(path)?, &mut sha)?;
    Ok(Written { bytes, sha256: format!("{:x}", sha.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(name: &str, text: &str, edit: &RowEdit) -> Result<(String, Change), Problem> {
        let place = tempfile::tempdir().expect("a folder");
        let (source, target) = (place.path().join(name), place.path().join("new"));
        std::fs::write(&source, text).expect("written");
        let kind = FileKind::of_name(name).expect("a kind");
        let found = corpus::inspect::inspect(&source, kind, None).expect("good rows");
        let Changed { change, .. } = write(&source, &target, &found, edit)?;
        Ok((std::fs::read_to_string(&target).expect("readable"), change))
    }

    fn set(row: u64, column: &str, text: &str) -> RowEdit {
        let cell = Cell { column: column.to_owned(), text: text.to_owned(), json: false };
        RowEdit { row, cells: Some(vec![cell]) }
    }

    #[test]
    fn only_the_edited_line_differs() {
        let text =
            "{\"prompt\":\"a\", \"response\":\"b\", \"n\": 1.50}\n\n{\"prompt\":\"c\",\"response\":\"d\"}\n";
        let (new, change) = edited("x.jsonl", text, &set(2, "response", "“é” <b>")).expect("edited");
        assert_eq!(
            new,
            "{\"prompt\":\"a\", \"response\":\"b\", \"n\": 1.50}\n\n{\"prompt\":\"c\",\"response\":\"“é” <b>\"}\n"
        );
        assert_eq!(change, Change::Edited { row: 2, columns: vec!["response".to_owned()] });
        let (new, _) = edited("x.jsonl", text, &RowEdit { row: 1, cells: None }).expect("removed");
        assert_eq!(new, "\n{\"prompt\":\"c\",\"response\":\"d\"}\n");
    }

    #[test]
    fn csv_json_and_text_are_written_so_that_they_read_back() {
        let (new, _) = edited("x.csv", "prompt,response\na,\"b, c\"\nd,e\n", &set(2, "prompt", "x \"y\"\nz"))
            .expect("edited");
        assert_eq!(new, "prompt,response\na,\"b, c\"\n\"x \"\"y\"\"\nz\",e\n");
        let (new, _) = edited("x.json", "[{\"prompt\":\"a\",\"response\":\"b\"}]", &set(1, "prompt", "q"))
            .expect("edited");
        assert_eq!(new, "[\n{\"prompt\":\"q\",\"response\":\"b\"}\n]\n");
        let (new, _) = edited("x.txt", "one\ntwo\n", &set(1, "text", "uno")).expect("edited");
        assert_eq!(new, "uno\ntwo\n");
        assert!(edited("x.txt", "one\ntwo\n", &set(1, "text", "u\nno")).is_err());
    }

    #[test]
    fn lists_stay_lists_and_broken_json_names_its_column() {
        let text = "{\"prompt\":\"a\",\"response\":\"b\",\"history\":[[\"q\",\"a\"]]}\n";
        let (new, _) = edited("x.jsonl", text, &set(1, "history", "[]")).expect("edited");
        assert_eq!(new, "{\"prompt\":\"a\",\"response\":\"b\",\"history\":[]}\n");
        let problem = edited("x.jsonl", text, &set(1, "history", "[[")).expect_err("refused");
        assert_eq!((problem.code.as_str(), problem.form_key()), ("edit.not_json", Some("history")));
    }

    #[test]
    fn an_edit_that_changes_nothing_or_names_no_column_makes_no_version() {
        let text = "{\"prompt\":\"a\",\"response\":\"b\"}\n";
        for (edit, code) in
            [(set(1, "prompt", "a"), Code::EditNothing), (set(1, "../x", "a"), Code::DatasetNoSuchColumn)]
        {
            assert_eq!(edited("x.jsonl", text, &edit).expect_err("refused").code, code);
        }
    }
}
