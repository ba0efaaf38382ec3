//! Streaming readers: a file becomes rows, one at a time, never the whole file in memory.

mod csv;
mod json;
mod jsonl;
mod lines;
mod text;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use contract::dataset::FileKind;
use contract::problem::Problem;
use serde_json::Value;

/// Longest line, CSV record or JSON element held in memory, bytes (32 MiB).
pub const ROW_LIMIT: usize = 32 << 20;

/// Deepest nesting of a JSON value.
pub const DEPTH_LIMIT: usize = 128;

/// Named cells in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Column name and value; an empty CSV cell is null.
    pub cells: Vec<(String, Value)>,
}

impl Row {
    /// The value of a column.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.cells.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// A JSON object as a row; anything else is a [`Problem`] without a place.
    pub(crate) fn from_json(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { cells: map.into_iter().collect() }),
            other => Err(Problem::new(
                "dataset.not_an_object",
                format!("A row must be a JSON object with named columns; this one is {}.", kind_of(&other)),
            )
            .hint("Write each row as {\"instruction\": \"…\", \"output\": \"…\"}.")),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

type Inner = Box<dyn Iterator<Item = Result<Row, Problem>> + Send>;

/// The rows of one file. Ends after the first error; a file without any row yields `dataset.empty`.
pub struct Rows {
    inner: Option<Inner>,
    seen: u64,
}

impl Iterator for Rows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.inner.as_mut()?.next();
        match &item {
            Some(Ok(_)) => self.seen += 1,
            Some(Err(_)) => self.inner = None,
            None => {
                self.inner = None;
                if self.seen == 0 {
                    return Some(Err(empty()));
                }
            }
        }
        item
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn empty() -> Problem {
    Problem::new("dataset.empty", "The file holds no rows.").hint("Upload a file with at least one row.")
}

/// Opens a file for reading rows.
///
/// # Errors
/// When the file cannot be opened, is empty, or is UTF-16; later errors come from the iterator.
pub fn open(path: &Path, kind: FileKind) -> Result<Rows, Problem> {
    let name = || path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = File::open(path).map_err(|error| {
        Problem::new("dataset.unreadable", format!("The file cannot be opened: {error}."))
            .file(name())
            .hint("Check that it still exists and may be read.")
    })?;
    read(BufReader::with_capacity(1 << 16, file), kind)
}

/// Reads rows from any byte stream, as [`open`] does from a file.
///
/// # Errors
/// When the stream is empty or begins as UTF-16.
pub fn read(mut input: impl BufRead + Send + 'static, kind: FileKind) -> Result<Rows, Problem> {
    let skipped = skip_bom(&mut input)?;
    let inner: Inner = match kind {
        FileKind::Json => Box::new(json::JsonRows::new(input, skipped)),
        FileKind::Jsonl => Box::new(jsonl::JsonlRows::new(input, skipped)),
        FileKind::Csv => Box::new(csv::CsvRows::new(input, skipped)),
        FileKind::Txt => Box::new(text::TextRows::new(input, skipped)),
    };
    Ok(Rows { inner: Some(inner), seen: 0 })
}

/// Skips a UTF-8 byte order mark; gives the bytes skipped.
fn skip_bom(input: &mut impl BufRead) -> Result<u64, Problem> {
    let mut head = [0_u8; 3];
    let buffered = input.fill_buf().map_err(|error| io_problem(&error, 0))?;
    let length = buffered.len().min(3);
    head[..length].copy_from_slice(&buffered[..length]);
    if length == 0 {
        return Err(empty());
    }
    if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
        return Err(Problem::new("dataset.not_utf8", "The file is UTF-16.")
            .byte(0)
            .hint("Save it as UTF-8 and upload it again."));
    }
    if head == [0xEF, 0xBB, 0xBF] {
        input.consume(3);
        return Ok(3);
    }
    Ok(0)
}

pub(crate) fn io_problem(error: &std::io::Error, byte: u64) -> Problem {
    Problem::new("dataset.unreadable", format!("Reading the file failed: {error}."))
        .byte(byte)
        .hint("Check the disk and upload the file again.")
}

pub(crate) fn too_long(row: u64, byte: u64) -> Problem {
    Problem::new("dataset.row_too_long", "This row is longer than 32 MiB.")
        .row(row)
        .byte(byte)
        .hint("Split it into shorter rows, or look for a missing line end or closing quote.")
}

/// Text of a row's bytes; the error names row and byte.
pub(crate) fn utf8(bytes: &[u8], row: u64, start: u64) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::new("dataset.not_utf8", "This row is not valid UTF-8.")
            .row(row)
            .byte(start + error.valid_up_to() as u64)
            .hint("Save the file as UTF-8 and upload it again.")
    })?;
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => {
            Err(Problem::new("dataset.nul_byte", "This row holds a NUL byte, so it is not plain text.")
                .row(row)
                .byte(start + at as u64)
                .hint("Upload a text file; remove the byte if it is one."))
        }
        None => Ok(text),
    }
}

/// Parses one JSON value that began at byte `start` of the file.
pub(crate) fn parse_json(text: &str, row: u64, start: u64) -> Result<Row, Problem> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let byte = start + offset_of(text, error.line(), error.column());
        let deep = error.to_string().contains("recursion limit");
        let problem = if deep {
            Problem::new("dataset.json_too_deep", format!("This row nests deeper than {DEPTH_LIMIT} levels."))
                .hint("Flatten the row.")
        } else {
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            Problem::new("dataset.json_broken", format!("This row is not valid JSON: {why}."))
                .hint("Open the file at this row and mend it; a missing quote or comma is the usual cause.")
        };
        problem.row(row).byte(byte)
    })?;
    Row::from_json(value).map_err(|problem| problem.row(row).byte(start))
}

fn offset_of(text: &str, line: usize, column: usize) -> u64 {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)) as u64
}

/// Counts what passes through and fails once a record exceeds [`ROW_LIMIT`].
pub(crate) struct Capped<R> {
    pub(crate) inner: R,
    pub(crate) since_record: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::sync::atomic::Ordering::Relaxed;
        let count = self.inner.read(buffer)?;
        if self.since_record.fetch_add(count, Relaxed) + count > ROW_LIMIT {
            return Err(std::io::Error::other("row too long"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], kind: FileKind) -> Result<Vec<Row>, Problem> {
        read(std::io::Cursor::new(bytes.to_vec()), kind)?.collect()
    }

    fn problem(bytes: &[u8], kind: FileKind) -> Problem {
        all(bytes, kind).unwrap_err()
    }

    fn place(problem: &Problem) -> (Option<u64>, Option<u64>) {
        let place = problem.place.clone().unwrap_or_default();
        (place.row, place.byte)
    }

    #[test]
    fn broken_json_line_names_row_and_byte() {
        let found = problem(b"{\"a\":1}\n\n{\"a\":\n", FileKind::Jsonl);
        assert_eq!(found.code, "dataset.json_broken");
        assert_eq!(place(&found).0, Some(2), "blank lines are no rows");
        assert!(place(&found).1 >= Some(9));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let rows = all(b"\xEF\xBB\xBFq,a\nx,y\n", FileKind::Csv).unwrap();
        assert_eq!(rows[0].cells[0].0, "q");
    }

    #[test]
    fn ragged_csv_names_row() {
        let found = problem(b"q,a\nx,y\nx,y,z\n", FileKind::Csv);
        assert_eq!((found.code.as_str(), place(&found)), ("dataset.ragged_row", (Some(2), Some(8))));
    }

    #[test]
    fn empty_files_of_each_kind_are_refused() {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
            assert_eq!(problem(b"", kind).code, "dataset.empty");
            assert_eq!(problem(b"\xEF\xBB\xBF", kind).code, "dataset.empty");
        }
        assert_eq!(problem(b"[]", FileKind::Json).code, "dataset.empty");
        assert_eq!(problem(b"q,a\n", FileKind::Csv).code, "dataset.empty");
    }

    #[test]
    fn invalid_utf8_names_row_and_byte() {
        for (kind, bytes, byte) in [
            (FileKind::Txt, b"ok\nab\xFFc\n".to_vec(), 5),
            (FileKind::Jsonl, b"{\"a\":1}\n{\"a\":\"\xC3(\"}\n".to_vec(), 14),
            (FileKind::Csv, b"q\nok\n\xFF\n".to_vec(), 5),
        ] {
            let found = problem(&bytes, kind);
            assert_eq!((found.code.as_str(), place(&found)), ("dataset.not_utf8", (Some(2), Some(byte))));
        }
    }

    #[test]
    fn nul_bytes_and_utf16_are_refused() {
        assert_eq!(problem(b"a\0b\n", FileKind::Txt).code, "dataset.nul_byte");
        assert_eq!(problem(b"\xFF\xFEa\0", FileKind::Csv).code, "dataset.not_utf8");
    }

    #[test]
    fn deep_json_is_refused_before_it_is_parsed() {
        let deep = format!("[{{\"a\":{}{}}}]", "[".repeat(200), "]".repeat(200));
        assert_eq!(problem(deep.as_bytes(), FileKind::Json).code, "dataset.json_too_deep");
        let line = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(problem(line.as_bytes(), FileKind::Jsonl).code, "dataset.json_too_deep");
    }

    #[test]
    fn a_row_over_the_limit_is_refused_without_holding_it() {
        for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
            let head: &[u8] = match kind {
                FileKind::Json => b"[{\"a\":\"",
                FileKind::Jsonl => b"{\"a\":\"",
                FileKind::Csv => b"a,b\n\"",
                FileKind::Txt => b"",
            };
            let body = std::io::repeat(b'x').take(ROW_LIMIT as u64 * 8);
            let input = BufReader::new(std::io::Cursor::new(head.to_vec()).chain(body));
            let found = read(input, kind).unwrap().find_map(Result::err).unwrap();
            assert_eq!((found.code.as_str(), place(&found).0), ("dataset.row_too_long", Some(1)), "{kind:?}");
        }
    }

    #[test]
    fn json_array_streams_elements_and_names_the_broken_one() {
        let rows = all(br#" [ {"a": "x]}\"," } , {"a": {"b": [1]}} ] "#, FileKind::Json).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get("a"), Some(&Value::from("x]}\",")));
        let found = problem(br#"[{"a":1}, {"a" 2}]"#, FileKind::Json);
        assert_eq!((found.code.as_str(), place(&found)), ("dataset.json_broken", (Some(2), Some(15))));
        assert_eq!(problem(br#"[{"a":1}"#, FileKind::Json).code, "dataset.json_broken");
        assert_eq!(problem(br#"[1]"#, FileKind::Json).code, "dataset.not_an_object");
        assert_eq!(problem(br#"[{"a":1}] x"#, FileKind::Json).code, "dataset.json_broken");
    }

    #[test]
    fn csv_quotes_line_breaks_and_empty_cells() {
        let rows = all(b"q,a\n\"x, \"\"y\"\"\nz\",\n", FileKind::Csv).unwrap();
        assert_eq!(rows[0].get("q"), Some(&Value::from("x, \"y\"\nz")));
        assert_eq!(rows[0].get("a"), Some(&Value::Null));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv, FileKind::Txt] {
                if let Ok(rows) = read(std::io::Cursor::new(bytes.clone()), kind) {
                    proptest::prop_assert!(rows.count() <= bytes.len() + 1);
                }
            }
        }

        #[test]
        fn json_like_text_never_panics(text in "[\\[\\]{}\",:a1\\\\ \n\t]{0,80}") {
            for kind in [FileKind::Json, FileKind::Jsonl, FileKind::Csv] {
                if let Ok(rows) = read(std::io::Cursor::new(text.clone().into_bytes()), kind) {
                    proptest::prop_assert!(rows.count() <= text.len() + 1);
                }
            }
        }
    }
}
