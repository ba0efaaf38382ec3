//! Writing so that a reader sees a whole file or none.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Writes `bytes` beside `path`, flushes them to the disk and renames them into place.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let half = unique_sibling(path, "tmp");
    let written = write_synced(&half, bytes)
        .and_then(|()| std::fs::rename(&half, path).map_err(Error::at(path, "write")))
        .and_then(|()| sync_folder(parent(path)?));
    if written.is_err() {
        let _ = std::fs::remove_file(&half);
    }
    written
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = File::create(path).map_err(Error::at(path, "write"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::at(path, "write"))
}

/// Makes a rename or a new name in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::at(folder, "write"))
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|why| Error::broken(Path::new("JSON"), format!("cannot be written: {why}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = std::fs::read(path).map_err(Error::at(path, "read"))?;
    serde_json::from_slice(&bytes).map_err(|why| Error::broken(path, format!("is damaged: {why}")))
}

/// UTF-8 names in a folder; an absent folder has none.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(Error::at(folder, "read")(why)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::at(folder, "read"))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

pub(crate) fn parent(path: &Path) -> Result<&Path, Error> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(parent) => Ok(parent),
        None => Err(Error::broken(path, "has no parent folder")),
    }
}

/// `<kind>-<something unique>-<name>` in the folder of `path`.
pub(crate) fn unique_sibling(path: &Path, kind: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!("{kind}-{pid}-{:x}-{count}-{name}", crate::now_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("a.json");
        write_atomically(&path, b"first, and longer").expect("written");
        write_atomically(&path, b"second").expect("written");
        assert_eq!(std::fs::read(&path).expect("reads"), b"second");
        assert_eq!(names(place.path()).expect("lists"), ["a.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_leftover() {
        let place = tempfile::tempdir().expect("a folder");
        let target = place.path().join("taken");
        std::fs::create_dir_all(target.join("inside")).expect("a folder in the way");
        assert!(write_atomically(&target, b"x").is_err());
        assert_eq!(names(place.path()).expect("lists"), ["taken"]);
    }
}
