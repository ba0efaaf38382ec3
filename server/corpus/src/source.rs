//! Streaming readers: a file becomes rows, one at a time, never the whole file in memory.

mod csv;
pub mod encoding;
pub mod folder;
mod json;
mod jsonl;
pub mod limits;
mod lines;
#[cfg(not(target_arch = "wasm32"))]
mod parquet;
mod row;
mod spared;
mod text;
#[cfg(not(target_arch = "wasm32"))]
pub mod xlsx;

use contract::limits::Limit;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use contract::Code;
use contract::dataset::FileKind;
use contract::problem::{Problem, Reading};

use encoding::Encoding;
pub use row::Row;
pub(crate) use row::parse_json;

/// Rows that a reading of an unclear encoding shows.
const SHOWN_ROWS: usize = 3;

/// Columns that it shows.
const SHOWN_COLUMNS: usize = 50;

/// Characters of each of their cells.
const SHOWN_CHARS: usize = 120;

type Inner = Box<dyn Iterator<Item = Result<Row, Problem>> + Send>;

/// The rows of one file. Ends after the first error; a file without any row yields `dataset.empty`.
pub struct Rows {
    inner: Option<Inner>,
    seen: u64,
    kind: FileKind,
    encoding: Encoding,
    path: Option<PathBuf>,
}

impl Iterator for Rows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.inner.as_mut()?.next() {
            Some(Ok(row)) => {
                self.seen += 1;
                Some(Ok(row))
            }
            Some(Err(problem)) => {
                self.inner = None;
                Some(Err(self.placed(problem)))
            }
            None => {
                self.inner = None;
                (self.seen == 0).then(|| Err(empty()))
            }
        }
    }
}

impl Rows {
    /// What the file's bytes were.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What the file is, whatever its name says: JSON over many lines is no JSON Lines.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// In a converted file, names the encoding and the byte of the file itself.
    fn placed(&self, mut problem: Problem) -> Problem {
        if matches!(self.encoding, Encoding::Utf8 | Encoding::Utf8Mark | Encoding::Binary) {
            return problem;
        }
        if problem.code == Code::DatasetNotUtf8 {
            problem.message = format!("This row is not valid {}.", self.encoding.name());
        }
        if let Some(place) = &mut problem.place {
            place.byte = place.byte.and_then(|byte| {
                let file = File::open(self.path.as_deref()?).ok()?;
                encoding::place_in_file(BufReader::new(file), self.encoding, byte).ok()
            });
        }
        problem
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn empty() -> Problem {
    Problem::new(Code::DatasetEmpty, "The file holds no rows.").hint("Upload a file with at least one row.")
}

/// Opens a file for reading rows.
///
/// # Errors
/// When the file cannot be opened, is empty, or is no text; later errors come from the iterator.
pub fn open(path: &Path, kind: FileKind) -> Result<Rows, Problem> {
    open_in(path, kind, None)
}

/// As [`open`]; where the bytes do not say in which encoding they are, in the one that a person chose, if it is one of
/// those that they could be in.
///
/// # Errors
/// As [`open`].
pub fn open_chosen(path: &Path, kind: FileKind, chosen: Option<&str>) -> Result<Rows, Problem> {
    let opened = open(path, kind);
    let chosen = chosen.and_then(Encoding::named);
    match (&opened, chosen) {
        (Err(problem), Some(chosen)) if problem.readings().iter().any(|one| one.name == chosen.name()) => {
            open_in(path, kind, Some(chosen))
        }
        _ => opened,
    }
}

/// Opens a file in an encoding that a person chose; `None`, a mark in front and Parquet: as [`open`] does.
///
/// # Errors
/// As those of [`open`]; what is no text in the encoding comes from the iterator, with row and byte.
pub fn open_in(path: &Path, kind: FileKind, chosen: Option<Encoding>) -> Result<Rows, Problem> {
    let file = open_file(path)?;
    match kind {
        FileKind::Parquet => return parquet_rows(file),
        FileKind::Xlsx => return Err(a_workbook()),
        FileKind::Json | FileKind::Jsonl | FileKind::Csv | FileKind::Txt => {}
    }
    let mut rows = read_in(BufReader::with_capacity(1 << 16, file), kind, chosen)?;
    rows.path = Some(path.to_owned());
    Ok(rows)
}

/// Opens a regular file; whatever else has the name is refused without waiting for it.
fn open_file(path: &Path) -> Result<File, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::DatasetUnreadable, format!("The file cannot be opened: {error}."))
            .with("why", &error)
            .file(folder::name_of(path))
            .hint("Check that it still exists and may be read.")
    };
    // Before it is opened as well, for opening a device can do things.
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(not_a_file(path));
    }
    let file = opened(path).map_err(unreadable)?;
    // What was opened, not what had the name a moment ago.
    let about = file.metadata().map_err(unreadable)?;
    if about.is_file() && !is_of_the_system(&about) { Ok(file) } else { Err(not_a_file(path)) }
}

/// Opens without waiting for somebody to write into a pipe.
#[cfg(unix)]
fn opened(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_waiting = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    File::options().read(true).custom_flags(no_waiting.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
fn opened(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

/// Whether it is one of the files that the system makes up while they are read, as those of `/proc`: some never end.
#[cfg(unix)]
fn is_of_the_system(about: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    ["/proc", "/sys"].iter().any(|root| std::fs::metadata(root).is_ok_and(|root| root.dev() == about.dev()))
}

#[cfg(not(unix))]
fn is_of_the_system(_: &std::fs::Metadata) -> bool {
    false
}

fn not_a_file(path: &Path) -> Problem {
    Problem::new(Code::DatasetNotAFile, "This is a folder, a device, a pipe or a socket, not a file.")
        .file(folder::name_of(path))
        .hint("Choose a file that lies on a disk.")
}

#[cfg(not(target_arch = "wasm32"))]
fn parquet_rows(file: File) -> Result<Rows, Problem> {
    if file.metadata().is_ok_and(|about| about.len() == 0) {
        return Err(empty());
    }
    let inner = Box::new(parquet::ParquetRows::new(file)?);
    Ok(Rows { inner: Some(inner), seen: 0, kind: FileKind::Parquet, encoding: Encoding::Binary, path: None })
}

#[cfg(target_arch = "wasm32")]
fn parquet_rows(_: File) -> Result<Rows, Problem> {
    Err(not_a_stream())
}

fn not_a_stream() -> Problem {
    Problem::new(Code::DatasetNotAStream, "A Parquet file cannot be read from a stream.")
        .hint("Upload it as a file, or write JSON Lines.")
}

fn a_workbook() -> Problem {
    Problem::new(Code::DatasetUnknownKind, "An Excel workbook is read once, when it is uploaded.")
        .hint("Upload it as a dataset, or export the sheet as CSV.")
}

/// Reads rows from any byte stream, as [`open`] does from a file.
///
/// # Errors
/// When the stream is empty, is no text, is text in more than one encoding (`dataset.encoding_unsure`, with how it
/// reads in each), or should be Parquet, which needs a file.
pub fn read(input: impl BufRead + Send + 'static, kind: FileKind) -> Result<Rows, Problem> {
    read_in(input, kind, None)
}

fn read_in(
    mut input: impl BufRead + Send + 'static,
    kind: FileKind,
    chosen: Option<Encoding>,
) -> Result<Rows, Problem> {
    match kind {
        FileKind::Parquet => return Err(not_a_stream()),
        FileKind::Xlsx => return Err(a_workbook()),
        FileKind::Json | FileKind::Jsonl | FileKind::Csv | FileKind::Txt => {}
    }
    let head = encoding::looked_at(&mut input)?;
    let candidates = match encoding::marked(&head).or(chosen) {
        Some(encoding) => vec![encoding],
        None => encoding::candidates(&head),
    };
    let &[encoding] = candidates.as_slice() else { return Err(unsure(&head, kind, &candidates)) };
    let kind = if kind == FileKind::Jsonl && json::spans_lines(&head) { FileKind::Json } else { kind };
    let (input, skipped) = encoding::decoded(head, input, encoding)?;
    let inner: Inner = match kind {
        FileKind::Json => Box::new(spared::Spared::new(json::JsonRows::new(input, skipped))),
        FileKind::Jsonl => Box::new(spared::Spared::new(jsonl::JsonlRows::new(input, skipped))),
        FileKind::Csv => Box::new(csv::CsvRows::new(input, skipped)?),
        FileKind::Txt | FileKind::Parquet | FileKind::Xlsx => Box::new(text::TextRows::new(input, skipped)),
    };
    Ok(Rows { inner: Some(inner), seen: 0, kind, encoding, path: None })
}

/// The question which encoding a file is in, with its first rows in each.
fn unsure(head: &[u8], kind: FileKind, candidates: &[Encoding]) -> Problem {
    let reading = |encoding: &Encoding| {
        // Boxed, for a reader of readings would have no end as a type.
        let head: Box<dyn BufRead + Send> = Box::new(std::io::Cursor::new(head.to_vec()));
        let rows = read_in(head, kind, Some(*encoding)).into_iter().flatten();
        let rows: Vec<Row> = rows.map_while(Result::ok).take(SHOWN_ROWS).collect();
        let text = |value: &serde_json::Value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.chars().take(SHOWN_CHARS).collect()
        };
        let shown = |row: &Row| row.cells.len().min(SHOWN_COLUMNS);
        let names = |row: &Row| row.cells[..shown(row)].iter().map(|(name, _)| limits::told(name)).collect();
        let cells = |row: &Row| row.cells[..shown(row)].iter().map(|(_, value)| text(value)).collect();
        Reading {
            name: encoding.name().to_owned(),
            columns: rows.first().map(names).unwrap_or_default(),
            rows: rows.iter().map(cells).collect(),
        }
    };
    let names = candidates.iter().map(|encoding| encoding.name()).collect::<Vec<_>>().join(", ");
    let message = format!("The encoding of this file is not clear: {names} would each make sense.");
    Problem::new(Code::DatasetEncodingUnsure, message)
        .with("encodings", names)
        .with_readings(&candidates.iter().map(reading).collect::<Vec<_>>())
        .hint("Choose the encoding in which it reads right, or save the file as UTF-8.")
}

/// A file as UTF-8, read in an encoding that a person chose, once every row of it has been; and what it was.
///
/// # Errors
/// `dataset.encoding_unknown`, or what the reader found broken, with row and byte.
pub fn utf8_of(
    path: &Path,
    kind: FileKind,
    name: &str,
) -> Result<(Box<dyn BufRead + Send>, Encoding), Problem> {
    let Some(chosen) = Encoding::named(name).filter(|_| !matches!(kind, FileKind::Parquet | FileKind::Xlsx))
    else {
        return Err(Problem::new(
            Code::DatasetEncodingUnknown,
            format!("“{}” is no encoding of this file.", limits::told(name)),
        )
        .with("name", limits::told(name))
        .field("encoding")
        .hint("Choose one of those that are offered, or save the file as UTF-8."));
    };
    let mut rows = open_in(path, kind, Some(chosen))?;
    let encoding = rows.encoding();
    rows.by_ref().find_map(Result::err).map_or(Ok(()), Err)?;
    let (stream, _) = encoding::decoded(Vec::new(), BufReader::new(open_file(path)?), encoding)?;
    Ok((stream, encoding))
}

pub(crate) fn io_problem(error: &std::io::Error, byte: u64) -> Problem {
    Problem::new(Code::DatasetUnreadable, format!("Reading the file failed: {error}."))
        .with("why", error)
        .byte(byte)
        .hint("Check the disk and upload the file again.")
}

pub(crate) fn too_long(row: u64, byte: u64) -> Problem {
    Problem::new(Code::DatasetRowTooLong, "This row is longer than 32 MiB.")
        .row(row)
        .byte(byte)
        .hint("Split it into shorter rows, or look for a missing line end or closing quote.")
}

/// Text of a row's bytes; the error names row and byte.
pub(crate) fn utf8(bytes: &[u8], row: u64, start: u64) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::new(Code::DatasetNotUtf8, "This row is not valid UTF-8.")
            .row(row)
            .byte(start + error.valid_up_to() as u64)
            .hint("Save the file as UTF-8 and upload it again.")
    })?;
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => {
            Err(Problem::new(Code::DatasetNulByte, "This row holds a NUL byte, so it is not plain text.")
                .row(row)
                .byte(start + at as u64)
                .hint("Upload a text file; remove the byte if it is one."))
        }
        None => Ok(text),
    }
}

/// Counts what passes through and fails once a record exceeds [`Limit::RowBytes`].
pub(crate) struct Capped<R> {
    pub(crate) inner: R,
    pub(crate) since_record: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::sync::atomic::Ordering::Relaxed;
        let count = self.inner.read(buffer)?;
        if self.since_record.fetch_add(count, Relaxed) + count > Limit::RowBytes.get() {
            return Err(std::io::Error::other("row too long"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
