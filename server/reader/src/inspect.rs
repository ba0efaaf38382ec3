//! What a file holds, in which encoding, and on which sheet.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use contract::dataset::FileKind;
use contract::problem::Problem;
use contract::reading::{Inspect, Inspected, Sheet};
use contract::registry::Finding;
use corpus::source::folder::{Files, check_sha1};
use corpus::source::xlsx;

use crate::edit::{digest, unwritten};

/// Reads the whole file. A workbook, or a file whose encoding a person chose, is written anew first, so that whatever
/// reads it later reads what the person saw.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn inspect(asked: Inspect) -> Result<Inspected, Problem> {
    let file = PathBuf::from(&asked.file);
    let files = Files { paths: vec![file.clone()], kind: asked.kind };
    let mut findings: Vec<Finding> =
        check_sha1(&files, asked.sha1.as_deref().filter(|sha1| !sha1.is_empty()))?.into_iter().collect();
    let target = Path::new(&asked.target);
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
    let inspection = corpus::inspect::inspect(path, kind, asked.mapping)?;
    let written = anew.map(|_| digest(target)).transpose().map_err(unwritten)?;
    Ok(Inspected { inspection, findings, written })
}

fn sheet(asked: &Sheet) -> xlsx::Sheet<'_> {
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
