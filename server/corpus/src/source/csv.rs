//! Rows of separated cells, mostly under a header line; every row has as many cells as the header, or as the first row
//! where there is none.

mod dialect;
mod header;
mod quotes;

use contract::limits::Limit;
use std::collections::HashSet;
use std::io::{BufRead, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::Code;
use contract::problem::Problem;
use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::Value;

use super::limits::{name_too_long, too_many_columns};
use super::{Capped, Row, io_problem, too_long, utf8};
use dialect::{Dialect, shown};
#[cfg(not(target_arch = "wasm32"))]
pub(super) use header::{RECORDS, names_columns};
use quotes::{Fault, OpenQuote, Quotes};

/// Bytes looked at before the separator is decided on, at most.
pub(super) const HEAD: usize = 1 << 18;

/// Reads the records of a head.
fn records(head: &[u8], separator: u8) -> Reader<Quotes<Cursor<&[u8]>>> {
    reader(Quotes::new(Cursor::new(head), separator), separator)
}

/// Reads records of any width, the first like the others.
fn reader<I: Read>(input: I, separator: u8) -> Reader<I> {
    ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(input)
}

/// The head that was looked at and what comes after it.
type Table<R> = Quotes<Chain<Cursor<Vec<u8>>, R>>;

pub(super) struct CsvRows<R: BufRead> {
    reader: Reader<Capped<Table<R>>>,
    since_record: Arc<AtomicUsize>,
    separator: u8,
    header: Option<Vec<String>>,
    /// Whether the first record is a row; then it waits here once it was read.
    headless: bool,
    first: Option<(u64, ByteRecord)>,
    offset: u64,
    row: u64,
}

impl<R: BufRead> CsvRows<R> {
    /// Looks at the head of a table that begins at byte `offset` of the file.
    pub(super) fn new(mut input: R, offset: u64) -> Result<Self, Problem> {
        let mut head = Vec::new();
        (&mut input)
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .map_err(|error| io_problem(&error, offset + head.len() as u64))?;
        let Dialect { separator, skip } = Dialect::of(&head, head.len() < HEAD);
        let headless = !header::is_there(&head[skip..], separator);
        let mut whole = Cursor::new(head);
        whole.set_position(skip as u64);
        let since_record = Arc::new(AtomicUsize::new(0));
        let capped = Capped {
            inner: Quotes::new(whole.chain(input), separator),
            since_record: Arc::clone(&since_record),
        };
        let reader = reader(capped, separator);
        let offset = offset + skip as u64;
        Ok(Self { reader, since_record, separator, header: None, headless, first: None, offset, row: 0 })
    }

    /// The byte of the file that the reader of records counts as `byte`.
    fn place(&self, byte: u64) -> u64 {
        self.offset + self.reader.get_ref().inner.place(byte)
    }

    fn placed(&self, mut problem: Problem) -> Problem {
        if let Some(byte) = problem.place.as_mut().and_then(|place| place.byte.as_mut()) {
            *byte = self.place(*byte);
        }
        problem
    }

    /// The next record and the byte it began at, as the reader counts; [`Self::place`] makes it one of the file.
    fn record(&mut self, row: u64) -> Result<Option<(u64, ByteRecord)>, Problem> {
        let before = self.reader.position().byte();
        let mut record = ByteRecord::new();
        let found = self.reader.read_byte_record(&mut record);
        let found = found.map_err(|error| self.broken(&error, row, before))?;
        self.since_record.store(0, Ordering::Relaxed);
        let start = record.position().map_or(before, csv::Position::byte);
        self.reader.get_mut().inner.forget(start);
        Ok(found.then_some((start, record)))
    }

    fn broken(&self, error: &csv::Error, row: u64, before: u64) -> Problem {
        let byte = self.place(before);
        match error.kind() {
            csv::ErrorKind::Io(io) if io.to_string() == "row too long" => too_long(row, byte),
            csv::ErrorKind::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(Fault::Quote(open)) => self.open_quote(open),
                Some(Fault::Cells) if self.header.is_none() => too_many_columns().byte(byte),
                Some(Fault::Cells) => too_many_columns().row(row).byte(byte),
                None => io_problem(io, byte),
            },
            _ => Problem::new(Code::DatasetCsvBroken, format!("This row is not valid CSV: {error}."))
                .with("why", error)
                .row(row)
                .byte(byte)
                .hint("Open the file at this row and mend it."),
        }
    }

    fn open_quote(&self, open: &OpenQuote) -> Problem {
        let message = if open.closes {
            "A double quote opens a cell of this row, and text follows the next one, which would close it."
        } else {
            "A double quote opens a cell of this row and is never closed."
        };
        let problem = Problem::new(Code::DatasetQuoteOpen, message)
            .byte(self.offset + open.byte)
            .hint("Close the quote; inside a quoted cell, write two quotes for one.");
        let name = self.header.as_ref().and_then(|header| header.get(open.cell));
        let problem = name.into_iter().fold(problem, |problem, name| problem.field(name.clone()));
        if open.record > 0 { problem.row(open.record) } else { problem }
    }

    fn read_header(&mut self) -> Result<Vec<String>, Problem> {
        let Some((start, record)) = self.record(1)? else { return Ok(Vec::new()) };
        if self.headless {
            let names = (1..=record.len()).map(|column| format!("column {column}")).collect();
            self.first = Some((start, record));
            return Ok(names);
        }
        let mut names: Vec<String> = Vec::with_capacity(record.len());
        let (mut known, mut bytes) = (HashSet::new(), 0);
        for (index, cell) in record.iter().enumerate() {
            let name = utf8(cell, 1, start).map_err(|problem| self.placed(problem))?.trim();
            let name = if name.is_empty() { format!("column {}", index + 1) } else { name.to_owned() };
            bytes += name.len();
            if name.len() > Limit::NameBytes.get() || bytes > Limit::NamesBytes.get() {
                let problem = if name.len() > Limit::NameBytes.get() {
                    name_too_long(&name)
                } else {
                    too_many_columns()
                };
                return Err(problem.byte(self.place(start)));
            }
            if !known.insert(name.clone()) {
                return Err(Problem::new(
                    Code::DatasetColumnTwice,
                    format!("The header names “{name}” twice."),
                )
                .field(name)
                .byte(self.place(start))
                .hint("Give every column its own name."));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn read(&mut self) -> Result<Option<Row>, Problem> {
        if self.header.is_none() {
            self.header = Some(self.read_header()?);
        }
        let row = self.row + 1;
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => self.record(row)?,
        };
        let Some((start, record)) = next else { return Ok(None) };
        self.row = row;
        let header = self.header.as_deref().unwrap_or_default();
        if record.len() != header.len() {
            return Err(self.ragged(record.len(), header.len()).row(row).byte(self.place(start)));
        }
        let mut cells = Vec::with_capacity(header.len());
        for (index, (name, cell)) in header.iter().zip(record.iter()).enumerate() {
            // Separators are not part of the record; quotes before the cell are not counted either.
            let at = start + record.range(index).map_or(0, |range| (range.start + index) as u64);
            let text = utf8(cell, row, at).map_err(|problem| self.placed(problem).field(name.clone()))?;
            cells.push((name.clone(), if text.is_empty() { Value::Null } else { Value::from(text) }));
        }
        Ok(Some(Row::new(cells)))
    }

    fn ragged(&self, cells: usize, columns: usize) -> Problem {
        let separator = shown(self.separator);
        let message = format!(
            "This row has {cells} cells where the header names {columns}; the separator of this table is “{separator}”."
        );
        Problem::new(Code::DatasetRaggedRow, message)
            .with("cells", cells)
            .with("columns", columns)
            .with("separator", &separator)
            .hint(format!("Put cells that hold “{separator}” or a line break in double quotes."))
    }
}

impl<R: BufRead> Iterator for CsvRows<R> {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
