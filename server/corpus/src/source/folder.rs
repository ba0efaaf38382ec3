//! A folder of files of one type, read one after the other (S-073 to S-076).

use std::path::{Path, PathBuf};

use contract::Code;
use contract::dataset::FileKind;
use contract::problem::Problem;
use contract::registry::Finding;
use sha1::Digest;

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
}

/// A file, or every file of a folder in the order of names; the kind comes from the first (S-073, S-074). Hidden
/// files are passed over; folders inside are not entered.
///
/// # Errors
/// `dataset.not_found`, `dataset.unknown_kind` and `dataset.mixed_kinds`, naming the file.
pub fn list(path: &Path) -> Result<Files, Problem> {
    if path.is_file() {
        return Ok(Files { kind: kind_of(path)?, paths: vec![path.to_owned()] });
    }
    let missing = || {
        Problem::new(Code::DatasetNotFound, "There is no such file or folder.")
            .file(name_of(path))
            .hint("Check the name; a folder must hold at least one data file.")
    };
    let entries = std::fs::read_dir(path).map_err(|_| missing())?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && !name_of(path).starts_with('.'))
        .collect();
    paths.sort();
    let kind = kind_of(paths.first().ok_or_else(missing)?)?;
    for path in &paths {
        let other = kind_of(path)?;
        // The ancestor reads .json and .jsonl with one reader and so lets them stand together (S-071).
        if other != kind && !(is_json(other) && is_json(kind)) {
            return Err(Problem::new(
                Code::DatasetMixedKinds,
                format!("The folder holds .{} and .{} files.", kind.extension(), other.extension()),
            )
            .with("one", kind.extension())
            .with("other", other.extension())
            .file(name_of(path))
            .hint("Put files of one type into a folder, and make a dataset of each folder."));
        }
    }
    Ok(Files { paths, kind })
}

fn is_json(kind: FileKind) -> bool {
    matches!(kind, FileKind::Json | FileKind::Jsonl)
}

fn kind_of(path: &Path) -> Result<FileKind, Problem> {
    FileKind::of_name(&name_of(path)).ok_or_else(|| {
        Problem::new(
            Code::DatasetUnknownKind,
            "The file's name must end in .txt, .csv, .tsv, .tab, .json, .jsonl, .xlsx or .parquet.",
        )
        .file(name_of(path))
        .hint("Rename or convert it.")
    })
}

/// Rows of several files, one file after the other. Problems name the file; rows count on within each file.
#[derive(Debug)]
pub struct FolderRows {
    waiting: std::vec::IntoIter<PathBuf>,
    opened: usize,
    now: Option<(String, Rows)>,
}

impl Files {
    /// Reads the rows.
    pub fn rows(&self) -> FolderRows {
        FolderRows { waiting: self.paths.clone().into_iter(), opened: 0, now: None }
    }
}

impl FolderRows {
    /// Which file the last row came from, counted from 1.
    pub fn file(&self) -> usize {
        self.opened
    }
}

impl Iterator for FolderRows {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, rows)) = &mut self.now
                && let Some(row) = rows.next()
            {
                return Some(row.map_err(|problem| problem.file(name.clone())));
            }
            let path = self.waiting.next()?;
            self.opened += 1;
            let name = name_of(&path);
            let kind = match kind_of(&path) {
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

/// SHA-1 of a file, hex (S-070).
///
/// # Errors
/// When the file cannot be read.
pub fn sha1_of(path: &Path) -> Result<String, Problem> {
    let mut file = open_file(path)?;
    let mut digest = sha1::Sha1::new();
    std::io::copy(&mut file, &mut digest).map_err(|error| super::io_problem(&error, 0))?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares a declared SHA-1 (S-070, S-076): checked for exactly one file; a mismatch is a finding to show, never an
/// error, because line ends differ between systems.
///
/// # Errors
/// When the file cannot be read.
pub fn check_sha1(files: &Files, wanted: Option<&str>) -> Result<Option<Finding>, Problem> {
    let (Some(wanted), [only]) = (wanted.filter(|hash| !hash.is_empty()), files.paths.as_slice()) else {
        return Ok(wanted.map(|_| Finding::Sha1Unchecked { files: files.paths.len() as u64 }));
    };
    let found = sha1_of(only)?;
    let same = found.eq_ignore_ascii_case(wanted);
    let wanted = wanted.to_owned();
    Ok(Some(if same { Finding::Sha1Matches { sha1: found } } else { Finding::Sha1Differs { wanted, found } }))
}
