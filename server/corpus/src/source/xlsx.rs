//! Excel workbooks: one sheet becomes JSON Lines when it comes in, so that whatever reads it later reads what the person
//! who chose the sheet saw. Only what a table is made of is read: formulas, pictures and macros are not.

mod book;
mod cells;
mod formats;
mod package;
mod table;
mod xml;

use contract::limits::Limit;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use contract::Code;
use contract::problem::{Problem, Reading};
use contract::registry::Finding;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::book::Book;
use self::cells::Cells;
use self::package::{Package, broken, too_much};
use self::table::Table;
use super::{SHOWN_CHARS, SHOWN_ROWS, empty, folder, io_problem, open_file, too_long};
/// Bytes of the JSON Lines that a sheet becomes, at most (1 GiB): cells may share one long text.
const MOST_WRITTEN: u64 = 1 << 30;

/// Sheets and columns that a question about the sheet shows.
const SHOWN_SHEETS: usize = 50;
const SHOWN_COLUMNS: usize = 20;

/// How a file begins that is an older Excel file, or an encrypted one.
const COMPOUND: [u8; 8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// Which sheet is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet<'s> {
    /// The first that holds rows; one that is not hidden, if there is.
    First,
    /// The same, unless several that are not hidden hold rows: then a person is asked.
    Ask,
    /// The one of this name.
    Named(&'s str),
}

/// What became of a workbook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converted {
    /// The sheet that was read.
    pub sheet: String,
    /// The others, in the order of their tabs.
    pub others: Vec<String>,
    /// Whether the program that made it does not show the sheet.
    pub hidden: bool,
    /// Rows written.
    pub rows: u64,
    /// Of these, rows that the program does not show.
    pub hidden_rows: u64,
    /// Cells of errors such as `#N/A`, which became nothing.
    pub errors: u64,
    /// Number in the sheet of the first row with such a cell.
    pub first_error: Option<u64>,
}

impl Converted {
    /// What is worth knowing about it.
    pub fn findings(&self) -> Vec<Finding> {
        let (sheet, others) = (self.sheet.clone(), self.others.clone());
        let mut findings = vec![Finding::Sheet { sheet, others, hidden: self.hidden }];
        if self.hidden_rows > 0 {
            findings.push(Finding::HiddenRows { rows: self.hidden_rows });
        }
        if let Some(row) = self.first_error {
            findings.push(Finding::ErrorCells { cells: self.errors, row });
        }
        findings
    }
}

/// Writes the rows of a sheet as JSON Lines.
///
/// Texts are texts, numbers are numbers (whole ones without a point), days and times are ISO texts where the format of
/// the cell shows them, formulas are what they came to, and cells of errors are null. Every row has every column that
/// was named by then.
///
/// # Errors
/// `dataset.xlsx_broken` and `dataset.xlsx_too_much`, naming the row of the sheet; `dataset.xlsx_locked`;
/// `dataset.unknown_kind` of an older Excel file; `dataset.no_such_sheet`; `dataset.sheet_unsure`, with how each begins;
/// `dataset.column_twice`; `dataset.empty`; `disk.full` and `disk.io`.
pub fn convert(path: &Path, sheet: Sheet<'_>, target: &Path) -> Result<Converted, Problem> {
    let mut book = opened(path)?;
    let index = chosen(&mut book, sheet)?;
    let written = File::create(target).map_err(|error| disk(&error, target))?;
    let mut out = BufWriter::with_capacity(1 << 16, written);
    let mut converted = written_rows(&mut book, index, &mut out, target)?;
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|error| disk(&error, target))?;
    for (at, other) in book.sheets.into_iter().enumerate() {
        if at == index {
            (converted.sheet, converted.hidden) = (other.name, other.hidden);
        } else {
            converted.others.push(other.name);
        }
    }
    if converted.rows == 0 { Err(empty()) } else { Ok(converted) }
}

fn written_rows(
    book: &mut Book,
    index: usize,
    out: &mut impl Write,
    target: &Path,
) -> Result<Converted, Problem> {
    let mut table = book.table(index)?;
    let (mut converted, mut bytes, mut line) = (Converted::default(), 0_u64, Vec::new());
    while let Some((number, cells)) = table.next()? {
        line.clear();
        for (name, value) in cells {
            line.push(if line.is_empty() { b'{' } else { b',' });
            let written = serde_json::to_writer(&mut line, name).and_then(|()| {
                line.push(b':');
                serde_json::to_writer(&mut line, &value)
            });
            written.map_err(broken)?;
            if line.len() > Limit::RowBytes.get() {
                return Err(too_long(number, bytes));
            }
        }
        line.extend_from_slice(b"}\n");
        bytes += line.len() as u64;
        if bytes > MOST_WRITTEN {
            return Err(
                too_much(format!("its rows come to more than {} MiB", MOST_WRITTEN >> 20)).row(number)
            );
        }
        out.write_all(&line).map_err(|error| disk(&error, target))?;
        converted.rows += 1;
    }
    let Table { hidden_rows, errors, first_error, .. } = table;
    Ok(Converted { hidden_rows, errors, first_error, ..converted })
}

fn disk(error: &std::io::Error, path: &Path) -> Problem {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded) {
        return Problem::new(Code::DiskFull, "The disk is full.")
            .hint("Free some space where Burnish keeps its data, then try again.");
    }
    let name = folder::name_of(path);
    Problem::new(Code::DiskIo, format!("{name} cannot be written: {error}."))
        .with("path", name)
        .with("why", error)
}

fn opened(path: &Path) -> Result<Book, Problem> {
    let mut file = open_file(path)?;
    let mut begin = [0; COMPOUND.len()];
    let begun = file.read(&mut begin).map_err(|error| io_problem(&error, 0))?;
    if begun == 0 {
        return Err(empty());
    }
    if begin == COMPOUND {
        return Err(compound(file));
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| io_problem(&error, 0))?;
    Book::open(Package::open(file)?)
}

/// What a compound file is: a workbook under a password, or one of before 2007.
fn compound(mut file: File) -> Problem {
    let wanted: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (mut block, mut kept) = (vec![0; 1 << 16], Vec::new());
    let locked = loop {
        let count = match file.read(&mut block) {
            Ok(0) => break false,
            Ok(count) => count,
            Err(error) => return io_problem(&error, 0),
        };
        // The name may begin in one block and end in the next.
        kept.extend_from_slice(&block[..count]);
        if kept.windows(wanted.len()).any(|window| window == wanted) {
            break true;
        }
        kept.drain(..kept.len().saturating_sub(wanted.len()));
    };
    if locked {
        return Problem::new(Code::DatasetXlsxLocked, "The workbook is locked with a password.")
            .hint("Open it in Excel, take the password away (File, Info, Protect Workbook), save it and upload it again.");
    }
    Problem::new(
        Code::DatasetUnknownKind,
        "The file is an Excel file of before 2007, whatever its name says.",
    )
    .hint("Open it in a spreadsheet program and save it as .xlsx, or export the sheet as CSV.")
}

impl Book {
    /// The rows of a sheet.
    fn table(&mut self, index: usize) -> Result<Table<'_>, Problem> {
        let missing = || broken("the part with a sheet is missing");
        let name = &self.sheets.get(index).ok_or_else(missing)?.part;
        let part = self.package.part(name)?.ok_or_else(missing)?;
        Table::new(Cells::new(part, &self.texts, &self.formats, self.since_1904))
    }

    /// Sheets of which this one holds rows, in the order they are looked for. A part that several sheets name is
    /// looked at once.
    fn with_rows(&mut self, hidden: bool) -> impl Iterator<Item = Result<usize, Problem>> {
        let mut seen = HashSet::new();
        (0..self.sheets.len()).filter_map(move |index| {
            let sheet = &self.sheets[index];
            if sheet.hidden != hidden || !seen.insert(sheet.part.clone()) {
                return None;
            }
            let holds = self.table(index).and_then(|mut table| Ok(table.next()?.is_some()));
            holds.map(|holds| holds.then_some(index)).transpose()
        })
    }

    fn reading(&mut self, index: usize) -> Result<Reading, Problem> {
        let name = self.sheets[index].name.clone();
        let mut reading = Reading { name, columns: Vec::new(), rows: Vec::new() };
        let short = |value: &Value| {
            if value.is_null() {
                String::new()
            } else {
                table::text(value).chars().take(SHOWN_CHARS).collect()
            }
        };
        let mut table = self.table(index)?;
        while reading.rows.len() < SHOWN_ROWS {
            let Some((_, cells)) = table.next()? else { break };
            let cells = || cells.iter().take(SHOWN_COLUMNS);
            reading.columns = cells().map(|(name, _)| (*name).to_owned()).collect();
            reading.rows.push(cells().map(|(_, value)| short(value)).collect());
        }
        Ok(reading)
    }
}

/// The sheet to be read, by its place among the sheets.
fn chosen(book: &mut Book, sheet: Sheet<'_>) -> Result<usize, Problem> {
    if let Sheet::Named(name) = sheet {
        return book.sheets.iter().position(|sheet| sheet.name == name).ok_or_else(|| no_such(book, name));
    }
    let most = if sheet == Sheet::Ask { SHOWN_SHEETS } else { 1 };
    let found: Vec<usize> = book.with_rows(false).take(most).collect::<Result<_, _>>()?;
    match found.as_slice() {
        [index] => Ok(*index),
        [] => book.with_rows(true).next().unwrap_or_else(|| Err(empty())),
        several => Err(unsure(book, several)?),
    }
}

fn names(book: &Book, which: impl Iterator<Item = usize>) -> String {
    which
        .filter_map(|index| book.sheets.get(index))
        .map(|sheet| sheet.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn no_such(book: &Book, name: &str) -> Problem {
    let sheets = names(book, 0..book.sheets.len().min(SHOWN_SHEETS));
    Problem::new(Code::DatasetNoSuchSheet, format!("The workbook has no sheet “{name}”."))
        .with("name", name)
        .with("sheets", &sheets)
        .field("sheet")
        .hint(format!("Its sheets are: {sheets}."))
}

fn unsure(book: &mut Book, several: &[usize]) -> Result<Problem, Problem> {
    let sheets = names(book, several.iter().copied());
    let readings = several.iter().map(|index| book.reading(*index)).collect::<Result<Vec<_>, _>>()?;
    Ok(Problem::new(Code::DatasetSheetUnsure, format!("Several sheets of the workbook hold rows: {sheets}."))
        .with("sheets", sheets)
        .with_readings(&readings)
        .hint("Choose the sheet to learn from; upload the workbook again for another one."))
}
