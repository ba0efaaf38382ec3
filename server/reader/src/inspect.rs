//! What a file holds, and in which encoding.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use contract::dataset::FileKind;
use contract::problem::Problem;
use contract::reading::{Inspect, Inspected, Written};
use contract::registry::Finding;
use corpus::source::folder::{Files, check_sha1};
use sha2::{Digest, Sha256};

use crate::edit::unwritten;

/// Reads the whole file; where a person chose its encoding, it is written anew first.
///
/// # Errors
/// What reading finds broken.
pub(crate) fn inspect(asked: Inspect) -> Result<Inspected, Problem> {
    let mut file = PathBuf::from(asked.file);
    let files = Files { paths: vec![file.clone()], kind: asked.kind };
    let mut findings: Vec<Finding> =
        check_sha1(&files, asked.sha1.as_deref().filter(|sha1| !sha1.is_empty()))?.into_iter().collect();
    let mut written = None;
    if let Some((encoding, target)) = asked.convert {
        let (made, finding) = in_utf8(&file, asked.kind, &encoding, Path::new(&target))?;
        file = PathBuf::from(target);
        findings.push(finding);
        written = Some(made);
    }
    let inspection = corpus::inspect::inspect(&file, asked.kind, asked.mapping)?;
    Ok(Inspected { inspection, findings, written })
}

/// Writes a file anew in UTF-8, so that whatever reads it later reads what the person who chose the encoding saw.
fn in_utf8(file: &Path, kind: FileKind, name: &str, target: &Path) -> Result<(Written, Finding), Problem> {
    let (mut text, encoding) = corpus::source::utf8_of(file, kind, name)?;
    let mut out = File::create(target).map_err(unwritten)?;
    let (mut sha, mut block, mut bytes) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let count = text.read(&mut block).map_err(unwritten)?;
        if count == 0 {
            break;
        }
        sha.update(&block[..count]);
        bytes += count as u64;
        out.write_all(&block[..count]).map_err(unwritten)?;
    }
    out.sync_all().map_err(unwritten)?;
    let finding = Finding::Converted { encoding: encoding.name().to_owned() };
    Ok((Written { bytes, sha256: format!("{:x}", sha.finalize()) }, finding))
}
