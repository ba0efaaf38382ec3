//! Zips: a model's or an adapter's folder in one file. Only entries whose names are known are written, under those names;
//! what else a zip claims is looked at and refused where it is not harmless.

use contract::limits::Limit;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use contract::Code;
use contract::problem::Problem;
use zip::ZipArchive;

use crate::problems::of_file;
use crate::{adapter, facts};

/// Entries of a zip at most.
const MOST_ENTRIES: usize = 1000;
/// Longest name of an entry, bytes.
const LONGEST_NAME: usize = 400;
/// Bytes of everything that is unpacked at most: the largest models that fit a machine.
const MOST_BYTES: u64 = 64 << 30;
/// Bytes of a file that holds no weights at most; the largest tokenizers take a fifth of it.
const MOST_TEXT: u64 = 128 << 20;
/// Unpacked bytes from which on the ratio counts: a short file of zeros packs well and harms nobody.
const RATIO_FROM: u64 = 1 << 20;
/// Files of a model beside its weights and companions.
const OTHERS: [&str; 4] = ["config.json", "model.safetensors.index.json", "README.md", "LICENSE"];
/// Length of the record that ends a zip, bytes, and of the longest remark after it.
const END: (u64, u64) = (22, 0xffff);

/// The zip that is to be imported: the source itself, or the only one of a folder that holds nothing else to import.
pub(super) fn find(source: &Path) -> Option<PathBuf> {
    let is_zip = |path: &Path| {
        path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"))
            && std::fs::metadata(path).is_ok_and(|found| found.is_file())
    };
    if !source.is_dir() {
        return is_zip(source).then(|| source.to_owned());
    }
    let paths: Vec<_> = std::fs::read_dir(source).ok()?.flatten().map(|entry| entry.path()).collect();
    let is_model = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        is_weights(&name) || name.ends_with("config.json")
    };
    if paths.iter().any(is_model) {
        return None;
    }
    let mut zips = paths.into_iter().filter(|path| is_zip(path));
    zips.next().filter(|_| zips.next().is_none())
}

/// Unpacks what is known into the folder `target`, which is made.
pub(super) fn unpack(zip: &Path, target: &Path) -> Result<(), Problem> {
    let mut file = File::open(zip).map_err(|why| of_file(zip, "read", &why))?;
    let packed = file.metadata().map_err(|why| of_file(zip, "read", &why))?.len();
    let entries = count(&mut file, packed).map_err(|why| of_file(zip, "read", &why))?;
    let entries = entries.ok_or_else(|| broken("it has no end record"))?;
    if entries > MOST_ENTRIES {
        return Err(too_large(format!("{MOST_ENTRIES} entries")));
    }
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    if archive.len() != entries {
        // Of entries of one name the reader keeps the last.
        return Err(entry("an entry whose name comes twice"));
    }
    let chosen = chosen(&mut archive, packed)?;
    std::fs::create_dir_all(target).map_err(|why| of_file(target, "create", &why))?;
    for (name, at) in chosen {
        let path = target.join(&name);
        if adapter::PICKLES.contains(&name.as_str()) {
            // Refused by its name later, never by what it holds.
            File::create_new(&path).map_err(|why| of_file(&path, "create", &why))?;
            continue;
        }
        let found = archive.by_index(at).map_err(broken)?;
        let claimed = found.size();
        write(found, claimed, &path)?;
    }
    Ok(())
}

/// Number of entries that the end of a zip claims; `None`: no end. Zips of more than 65,534 claim that number.
fn count(file: &mut File, bytes: u64) -> std::io::Result<Option<usize>> {
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(bytes.saturating_sub(END.0 + END.1)))?;
    file.take(END.0 + END.1).read_to_end(&mut end)?;
    let found = end.windows(END.0 as usize).rev().find(|window| window.starts_with(b"PK\x05\x06"));
    let number = |record: &[u8]| Some(usize::from(u16::from_le_bytes([*record.get(10)?, *record.get(11)?])));
    Ok(found.and_then(number))
}

/// Looks at every entry before anything is written; gives the known files and where they are.
fn chosen(archive: &mut ZipArchive<File>, packed: u64) -> Result<BTreeMap<String, usize>, Problem> {
    let (mut chosen, mut place, mut total) = (BTreeMap::new(), None::<String>, 0_u64);
    for at in 0..archive.len() {
        let found = archive.by_index_raw(at).map_err(broken)?;
        let path = std::str::from_utf8(found.name_raw()).map_err(|_| entry("a name that is no UTF-8"))?;
        let plain =
            found.unix_mode().is_none_or(|mode| matches!(mode & 0o170_000, 0 | 0o100_000 | 0o040_000));
        if !stays(path) || !plain || found.is_symlink() {
            return Err(entry(path));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if found.is_dir() || name.is_empty() || folder.starts_with("__MACOSX") || !is_known(name) {
            continue;
        }
        if found.encrypted() {
            return Err(broken("it is encrypted"));
        }
        // Two folders of known files are two models or checkpoints: which one is meant cannot be told.
        if *place.get_or_insert_with(|| folder.to_owned()) != folder {
            return Err(entry(path));
        }
        let most = if is_weights(name) { MOST_BYTES } else { MOST_TEXT };
        total = total.saturating_add(found.size());
        if found.size() > most || total > MOST_BYTES {
            return Err(too_large(format!("{} MiB", most >> 20)));
        }
        if found.compressed_size() > packed || is_bomb(found.size(), found.compressed_size()) {
            return Err(too_large(format!("{} : 1", Limit::ArchiveRatio.value())));
        }
        if chosen.insert(name.to_owned(), at).is_some() {
            return Err(entry(path));
        }
    }
    if is_bomb(total, packed) {
        return Err(too_large(format!("{} : 1", Limit::ArchiveRatio.value())));
    }
    if chosen.is_empty() {
        return Err(Problem::new(Code::ModelFileMissing, "The zip holds no file of a model or an adapter.")
            .hint("Zip a folder with adapter_config.json and adapter_model.safetensors, or with config.json, tokenizer.json and model.safetensors."));
    }
    Ok(chosen)
}

fn is_bomb(unpacked: u64, packed: u64) -> bool {
    unpacked > RATIO_FROM && unpacked / Limit::ArchiveRatio.value() > packed
}

/// Whether a path stays below the folder it is unpacked to, on every system.
fn stays(path: &str) -> bool {
    let part = |part: &str| part != ".." && part != "." && !part.contains(':');
    let path = path.strip_suffix('/').unwrap_or(path);
    !path.is_empty()
        && path.len() <= LONGEST_NAME
        && !path.chars().any(|c| c.is_control() || c == '\\')
        && path.split('/').all(|one| !one.is_empty() && part(one))
}

fn is_weights(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [".safetensors", ".gguf"].iter().any(|end| lower.ends_with(end)) && !name.starts_with('.')
}

fn is_known(name: &str) -> bool {
    let mut known = adapter::FILES.iter().chain(&adapter::PICKLES).chain(&facts::COMPANIONS).chain(&OTHERS);
    known.any(|one| *one == name) || is_weights(name)
}

/// Writes one entry, which must hold as many bytes as it claims.
fn write(found: impl Read, claimed: u64, path: &Path) -> Result<(), Problem> {
    let mut out = File::create_new(path).map_err(|why| of_file(path, "create", &why))?;
    let (mut found, mut block, mut written) = (found.take(claimed + 1), vec![0; 1 << 18], 0);
    loop {
        let read = found.read(&mut block).map_err(broken)?;
        let Some(piece) = block.get(..read).filter(|piece| !piece.is_empty()) else { break };
        out.write_all(piece).map_err(|why| of_file(path, "write", &why))?;
        written += piece.len() as u64;
    }
    if written == claimed { Ok(()) } else { Err(broken("an entry holds more or less than it claims")) }
}

fn broken(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::ArchiveBroken, format!("The zip cannot be read: {why}."))
        .with("why", why)
        .hint("Make it again, or bring its files in one by one.")
}

fn entry(name: &str) -> Problem {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
    Problem::new(Code::ArchiveEntry, format!("The zip is not unpacked because of this entry: {shown}."))
        .with("name", shown)
        .hint("Zip one folder of a model or an adapter: plain names, each once, no links.")
}

fn too_large(limit: String) -> Problem {
    Problem::new(Code::ArchiveTooLarge, format!("The zip holds more than is unpacked; the limit is {limit}."))
        .with("limit", limit)
        .hint("Bring its files in one by one.")
}

#[cfg(test)]
mod tests;
