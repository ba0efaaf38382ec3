//! What a file holds, in which encoding, and on which sheet.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use contract::dataset::{FileKind, Inspection, Mapping};
use contract::origin::SourceFile;
use contract::problem::Problem;
use contract::reading::{Digests, Inspect, Inspected, Sheet};
use contract::registry::Finding;
use corpus::source::folder::{check_digest, digests_of};
use corpus::source::xlsx;

use crate::edit::{digest, unwritten};

/// Reads the whole file. A workbook, or a file whose encoding a person chose, is written anew first, so that whatever
/// reads it later reads what the person saw.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn inspect(asked: Inspect) -> Result<Inspected, Problem> {
    let (file, target) = (PathBuf::from(&asked.file), Path::new(&asked.target));
    let mut findings = Vec::new();
    let mut files = Vec::new();
    if !asked.name.is_empty() {
        let digests = digests_of(&file)?;
        findings.extend(check_digest(std::slice::from_ref(&digests), asked.digest.as_deref()));
        let Digests { sha1, sha256, bytes } = digests;
        files.push(SourceFile { name: asked.name, bytes, rows: 0, sha1, sha256 });
    }
    let anew = match &asked.encoding {
        _ if asked.kind == FileKind::Xlsx => {
            findings.extend(xlsx::convert(&file, sheet(&asked.sheet), target)?.findings());
            Some(FileKind::Jsonl)
        }
        Some(encoding) => {
            findings.push(in_utf8(&file, asked.kind, encoding, target)?);
            Some(asked.kind)
        }
        None => None,
    };
    let (path, kind) = anew.map_or((file.as_path(), asked.kind), |kind| (target, kind));
    let inspection = inspected(path, kind, asked.mapping, asked.open)?;
    let written = anew.map(|_| digest(target)).transpose().map_err(unwritten)?;
    files.iter_mut().for_each(|file| file.rows = inspection.rows);
    Ok(Inspected { inspection, findings, written, files })
}

/// Reads a whole file. A mapping that names no column says nothing of how it is read.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn inspected(
    path: &Path,
    kind: FileKind,
    mapping: Option<Mapping>,
    open: bool,
) -> Result<Inspection, Problem> {
    match mapping {
        Some(mapping) if open && mapping.names_nothing() => corpus::inspect::inspect(path, kind, None),
        Some(mapping) if open => corpus::inspect::inspect_open(path, kind, mapping),
        mapping => corpus::inspect::inspect(path, kind, mapping),
    }
}

pub(crate) fn sheet(asked: &Sheet) -> xlsx::Sheet<'_> {
    match asked {
        Sheet::First => xlsx::Sheet::First,
        Sheet::Ask => xlsx::Sheet::Ask,
        Sheet::Named(name) => xlsx::Sheet::Named(name),
    }
}

/// Writes a file anew in UTF-8.
fn in_utf8(file: &Path, kind: FileKind, name: &str, target: &Path) -> Result<Finding, Problem> {
    let (mut text, encoding) = corpus::source::utf8_of(file, kind, name)?;
    let mut out = File::create(target).map_err(unwritten)?;
    std::io::copy(&mut text, &mut out)
        .and_then(|_| out.flush())
        .and_then(|()| out.sync_all())
        .map_err(unwritten)?;
    Ok(Finding::Converted { encoding: encoding.name().to_owned() })
}
