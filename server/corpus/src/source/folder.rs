//! A folder of files of one type, read one after the other (S-073 to S-076).

use std::io::Read;
use std::path::{Path, PathBuf};

use contract::Code;
use contract::dataset::FileKind;
use contract::digest::Digest;
use contract::limits::Limit;
use contract::origin::{by_name, is_hidden};
use contract::problem::Problem;
use contract::reading::Digests;
use contract::registry::Finding;
use sha1::Digest as _;

use super::limits::told;
use super::{Row, Rows, open, open_file};

/// The name of a file as people know it.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Files of a dataset in the order they are read, all of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Paths in order.
    pub paths: Vec<PathBuf>,
    /// Their kind.
    pub kind: FileKind,
    /// Rows of each text that a single file of plain text was made of; empty: every file is one text.
    pub texts: Vec<u64>,
}

/// A file, or every file of a folder in the order of names; the kind comes from the first (S-073, S-074). Hidden
/// files are passed over; folders inside are not entered.
///
/// # Errors
/// `dataset.not_found`, `dataset.unknown_kind` and `dataset.mixed_kinds`, naming the file.
pub fn list(path: &Path) -> Result<Files, Problem> {
    if path.is_file() {
        return Ok(Files::one(path.to_owned(), kind_of(&name_of(path))?));
    }
    let missing = || {
        Problem::new(Code::DatasetNotFound, "There is no such file or folder.")
            .file(name_of(path))
            .hint("Check the name; a folder must hold at least one data file.")
    };
    let entries = std::fs::read_dir(path).map_err(|_| missing())?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && !is_hidden(&name_of(path)))
        .collect();
    paths.sort_by(|a, b| by_name(&name_of(a), &name_of(b)));
    let names: Vec<String> = paths.iter().map(|path| name_of(path)).collect();
    let kind = one_kind(names.iter().map(String::as_str))?.ok_or_else(missing)?;
    Ok(Files { paths, kind, texts: Vec::new() })
}

/// The kind that all files are of, by their names: that of the first, which each further one must map to as well (S-073).
/// `None`: there is no name.
///
/// # Errors
/// `dataset.mixed_kinds`, naming both files; `dataset.unknown_kind`; `dataset.too_many_files`.
pub fn one_kind<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Option<FileKind>, Problem> {
    let mut first: Option<(&str, FileKind)> = None;
    for (count, name) in names.into_iter().enumerate() {
        if count == Limit::Files.get() {
            return Err(too_many_files());
        }
        let kind = kind_of(name)?;
        let (one, wanted) = *first.get_or_insert((name, kind));
        // The ancestor reads .json and .jsonl with one reader and so lets them stand together (S-071).
        if kind != wanted && !(is_json(kind) && is_json(wanted)) {
            let (one, other) = (told(one), told(name));
            return Err(Problem::new(
                Code::DatasetMixedKinds,
                format!(
                    "“{one}” and “{other}” are of different kinds; a dataset is made of files of one kind."
                ),
            )
            .with("one", &one)
            .with("other", &other)
            .file(name)
            .hint("Choose files of one kind, or make a dataset of each."));
        }
    }
    Ok(first.map(|(_, kind)| kind))
}

/// The problem of more files than [`Limit::Files`].
fn too_many_files() -> Problem {
    let most = Limit::Files.get();
    Problem::new(Code::DatasetTooManyFiles, format!("A dataset may be made of {most} files at most."))
        .with("most", most)
        .hint("Put the rows of several into one file.")
}

fn is_json(kind: FileKind) -> bool {
    matches!(kind, FileKind::Json | FileKind::Jsonl)
}

fn kind_of(name: &str) -> Result<FileKind, Problem> {
    FileKind::of_name(name).ok_or_else(|| {
        Problem::new(
            Code::DatasetUnknownKind,
            "The file's name must end in .txt, .csv, .tsv, .tab, .json, .jsonl, .xlsx or .parquet.",
        )
        .file(name)
        .hint("Rename or convert it.")
    })
}

/// Rows of several files, one file after the other. Problems name the file; rows count on within each file.
#[derive(Debug)]
pub struct FolderRows {
    waiting: std::vec::IntoIter<PathBuf>,
    opened: usize,
    now: Option<(String, Rows)>,
    texts: std::vec::IntoIter<u64>,
    /// Rows that the text now read still has; `None`: files are texts.
    left: Option<u64>,
}

impl Files {
    /// A file that stands alone.
    pub fn one(path: PathBuf, kind: FileKind) -> Self {
        Self { paths: vec![path], kind, texts: Vec::new() }
    }

    /// A file that was made of several texts of so many rows each; none: it is one text.
    pub fn of_texts(path: PathBuf, kind: FileKind, texts: Vec<u64>) -> Self {
        Self { texts, ..Self::one(path, kind) }
    }

    /// Reads the rows.
    pub fn rows(&self) -> FolderRows {
        let left = (!self.texts.is_empty()).then_some(0);
        let (waiting, texts) = (self.paths.clone().into_iter(), self.texts.clone().into_iter());
        FolderRows { waiting, opened: 0, now: None, texts, left }
    }
}

impl FolderRows {
    /// Which file, or which text of the only file, the last row came from, counted from 1.
    pub fn file(&self) -> usize {
        self.opened
    }

    /// Notes a row of a file that is made of texts.
    fn count(&mut self) {
        let Some(mut left) = self.left else { return };
        while left == 0 {
            // What is behind the last text is of the last text.
            let Some(rows) = self.texts.next() else { return };
            (left, self.opened) = (rows, self.opened + 1);
        }
        self.left = Some(left - 1);
    }
}

impl Iterator for FolderRows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, rows)) = &mut self.now
                && let Some(row) = rows.next()
            {
                let row = row.map_err(|problem| problem.file(name.clone()));
                self.count();
                return Some(row);
            }
            let path = self.waiting.next()?;
            self.opened += usize::from(self.left.is_none());
            let name = name_of(&path);
            let kind = match kind_of(&name) {
                Ok(kind) => kind,
                Err(problem) => return Some(Err(problem)),
            };
            match open(&path, kind) {
                Ok(rows) => self.now = Some((name, rows)),
                Err(problem) => return Some(Err(problem.file(name))),
            }
        }
    }
}

/// Bytes that are digested together.
const DIGESTED: u64 = 1 << 18;

/// Digests and size of a file (S-070).
///
/// # Errors
/// When the file cannot be read.
pub fn digests_of(path: &Path) -> Result<Digests, Problem> {
    let mut file = open_file(path)?;
    let (mut sha1, mut sha256) = (sha1::Sha1::new(), sha2::Sha256::new());
    // Of ten thousand small files each is read with little.
    let size = file.metadata().map_or(DIGESTED, |about| about.len()).clamp(1, DIGESTED);
    let (mut buffer, mut bytes) = (vec![0; usize::try_from(size).unwrap_or(1)], 0);
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Err(super::io_problem(&error, bytes)),
        };
        sha1.update(&buffer[..read]);
        sha256.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok(Digests { sha1: hex(&sha1.finalize()), sha256: hex(&sha256.finalize()), bytes })
}

/// Compares a digest that is declared or typed with those of the files (S-070, S-076): checked for exactly one file; a
/// mismatch is a finding to show, never an error, because line ends differ between systems. A declared one that is no
/// digest was said to be none where it was read.
pub fn check_digest(files: &[Digests], wanted: Option<&str>) -> Option<Finding> {
    let wanted = Digest::parse(wanted.filter(|text| !text.trim().is_empty())?).ok()?;
    let [only] = files else { return Some(Finding::Sha1Unchecked { files: files.len() as u64 }) };
    Some(contract::origin::compared(&wanted, &only.sha1, &only.sha256))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
