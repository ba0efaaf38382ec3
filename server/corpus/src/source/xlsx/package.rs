//! The ZIP archive around a spreadsheet: opened only where what it says of its sizes stays within limits, and its
//! parts are read no further than they say.

use contract::limits::Limit;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use contract::Code;
use contract::problem::Problem;
use zip::ZipArchive;
use zip::read::ZipFile;

/// Parts of an archive, at most. Workbooks have some dozens; each costs memory before anything is read.
const MOST_PARTS: u64 = 10_000;

/// Bytes of all parts together once they are unpacked, at most (512 MiB).
pub(super) const MOST_UNPACKED: u64 = 512 << 20;

/// Parts of up to so many bytes once unpacked may be packed as closely as they like (4 MiB).
const SMALL: u64 = 4 << 20;

/// Bytes at the end of a file among which an archive says how many parts it has: its record and the longest comment.
const TAIL: u64 = 22 + 65_535;

/// A problem of a file that is no spreadsheet, or one that contradicts itself.
pub(super) fn broken(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::DatasetXlsxBroken, format!("The file is not a valid Excel workbook: {why}."))
        .with("why", why)
        .hint("Open it in a spreadsheet program and save it again as .xlsx, or export the sheet as CSV.")
}

/// A problem of a workbook that becomes more than is ever read.
pub(super) fn too_much(what: impl std::fmt::Display) -> Problem {
    Problem::new(Code::DatasetXlsxTooMuch, format!("The workbook is too large once it is unpacked: {what}."))
        .with("why", what)
        .hint("Keep the sheet with the rows and take the others out, or export it as CSV.")
}

/// An opened archive.
pub(super) struct Package {
    archive: ZipArchive<BufReader<File>>,
    /// Index of each part by its name in small letters, `/` between folders.
    parts: HashMap<String, usize>,
}

/// A part that is being read.
pub(super) type Part<'p> = BufReader<Metered<ZipFile<'p, BufReader<File>>>>;

impl Package {
    /// Reads the directory of an archive and holds what it says against the limits.
    pub(super) fn open(mut file: File) -> Result<Self, Problem> {
        let named = parts_named(&mut file).map_err(broken)?;
        match named {
            None => return Err(broken("it is no ZIP archive")),
            Some(count) if count > MOST_PARTS => {
                return Err(too_much(format!("it has {count} parts, at most {MOST_PARTS} are read")));
            }
            Some(_) => {}
        }
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
        let mut parts = HashMap::new();
        let mut unpacked = 0_u64;
        for index in 0..archive.len() {
            let part = archive.by_index_raw(index).map_err(broken)?;
            let (name, packed, size) = (name_of(part.name()), part.compressed_size(), part.size());
            unpacked = unpacked.saturating_add(size);
            if unpacked > MOST_UNPACKED {
                return Err(too_much(format!("more than {} MiB", MOST_UNPACKED >> 20)));
            }
            if size > SMALL && size / Limit::WorkbookRatio.value() > packed {
                return Err(too_much(format!(
                    "{name} would become more than {} times as long",
                    Limit::WorkbookRatio.value()
                )));
            }
            parts.insert(name, index);
        }
        Ok(Self { archive, parts })
    }

    /// Whether there is a part of that name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.parts.contains_key(&name_of(name))
    }

    /// Opens a part; `None`: there is none of that name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Part<'_>>, Problem> {
        let Some(index) = self.parts.get(&name_of(name)) else { return Ok(None) };
        let part = self.archive.by_index(*index).map_err(broken)?;
        let left = part.size();
        Ok(Some(BufReader::with_capacity(1 << 16, Metered { inner: part, left, since: 0 })))
    }
}

/// A name as parts are found by: producers differ in capitals and in what stands between folders.
fn name_of(name: &str) -> String {
    name.replace('\\', "/").trim_start_matches('/').to_lowercase()
}

/// Parts that the record at the end of an archive names, the most that any candidate for it does; `None`: there is none.
fn parts_named(file: &mut File) -> std::io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.by_ref().take(TAIL).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let records = tail.windows(12).filter(|record| record.starts_with(b"PK\x05\x06"));
    // 65,535 stands for more in archives beyond 4 GiB, and is beyond the limit either way.
    Ok(records.map(|record| u64::from(u16::from_le_bytes([record[10], record[11]]))).max())
}

/// Counts the bytes of a part, and of what is read of it at once.
pub(super) struct Metered<R> {
    inner: R,
    /// Bytes it still has, as the archive says.
    left: u64,
    /// Bytes since the last call of [`Metered::begin`].
    since: usize,
}

impl<R> Metered<R> {
    /// Begins another piece of the part.
    pub(super) fn begin(&mut self) {
        self.since = 0;
    }
}

/// Why a [`Metered`] reader stopped.
#[derive(Debug)]
pub(super) enum Overrun {
    /// The part goes on after its end.
    Part,
    /// One piece of it is longer than a row may be.
    Piece,
}

impl std::fmt::Display for Overrun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Part => "a part is longer than the archive says",
            Self::Piece => "one piece of it is longer than 32 MiB",
        })
    }
}

impl std::error::Error for Overrun {}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left =
            self.left.checked_sub(count as u64).ok_or_else(|| std::io::Error::other(Overrun::Part))?;
        self.since += count;
        if self.since > Limit::RowBytes.get() {
            return Err(std::io::Error::other(Overrun::Piece));
        }
        Ok(count)
    }
}
