//! Comma-separated rows under a header line; every row has as many cells as the header.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::Code;
use contract::problem::Problem;
use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::Value;

use super::{Capped, Row, io_problem, too_long, utf8};

pub(super) struct CsvRows<R> {
    reader: Reader<Capped<R>>,
    since_record: Arc<AtomicUsize>,
    header: Option<Vec<String>>,
    offset: u64,
    row: u64,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        let since_record = Arc::new(AtomicUsize::new(0));
        let capped = Capped { inner: input, since_record: Arc::clone(&since_record) };
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(capped);
        Self { reader, since_record, header: None, offset, row: 0 }
    }

    /// The next record and the byte of the file it began at.
    fn record(&mut self, row: u64) -> Result<Option<(u64, ByteRecord)>, Problem> {
        let before = self.offset + self.reader.position().byte();
        let mut record = ByteRecord::new();
        let found = self.reader.read_byte_record(&mut record).map_err(|error| match error.kind() {
            csv::ErrorKind::Io(io) if io.to_string() == "row too long" => too_long(row, before),
            csv::ErrorKind::Io(io) => io_problem(io, before),
            _ => Problem::new(Code::DatasetCsvBroken, format!("This row is not valid CSV: {error}."))
                .with("why", &error)
                .row(row)
                .byte(before),
        })?;
        self.since_record.store(0, Ordering::Relaxed);
        let start = record.position().map_or(before, |position| self.offset + position.byte());
        Ok(found.then_some((start, record)))
    }

    fn read_header(&mut self) -> Result<Vec<String>, Problem> {
        let Some((start, record)) = self.record(1)? else { return Ok(Vec::new()) };
        let mut names: Vec<String> = Vec::with_capacity(record.len());
        for (index, cell) in record.iter().enumerate() {
            let name = utf8(cell, 1, start)?.trim();
            let name = if name.is_empty() { format!("column {}", index + 1) } else { name.to_owned() };
            if names.contains(&name) {
                return Err(Problem::new(
                    Code::DatasetColumnTwice,
                    format!("The header names “{name}” twice."),
                )
                .field(name)
                .byte(start)
                .hint("Give every column its own name."));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn read(&mut self) -> Result<Option<Row>, Problem> {
        let header = match self.header.take() {
            Some(header) => header,
            None => self.read_header()?,
        };
        let row = self.row + 1;
        let Some((start, record)) = self.record(row)? else { return Ok(None) };
        self.row = row;
        if record.len() != header.len() {
            return Err(Problem::new(
                Code::DatasetRaggedRow,
                format!("This row has {} cells where the header names {}.", record.len(), header.len()),
            )
            .with("cells", record.len())
            .with("columns", header.len())
            .row(row)
            .byte(start)
            .hint("Put cells with commas or line breaks in double quotes."));
        }
        let mut cells = Vec::with_capacity(header.len());
        for (index, (name, cell)) in header.iter().zip(record.iter()).enumerate() {
            // Separators are not part of the record; quotes before the cell are not counted either.
            let at = start + record.range(index).map_or(0, |range| (range.start + index) as u64);
            let text = utf8(cell, row, at).map_err(|problem| problem.field(name.clone()))?;
            cells.push((name.clone(), if text.is_empty() { Value::Null } else { Value::from(text) }));
        }
        self.header = Some(header);
        Ok(Some(Row { cells }))
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
