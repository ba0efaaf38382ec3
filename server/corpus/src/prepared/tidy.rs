//! Keeping a folder of stores small: what a killed process left behind goes, and of finished stores the ones not used
//! for longest.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of finished stores kept.
const KEPT: u64 = 32 << 30;

/// A half-made file that nobody wrote to for so long belongs to nobody.
const ABANDONED: Duration = Duration::from_secs(600);

/// A file of a store.
struct Found {
    path: PathBuf,
    key: String,
    half: bool,
    meta: Metadata,
}

/// Notes that a store is used.
pub(super) fn touch(summary: &Path) {
    // Without it the store only seems older than it is.
    let _ = File::open(summary).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes what nobody needs. Whoever still reads a removed file keeps it until it is closed.
pub(super) fn tidy(folder: &Path) {
    tidy_to(folder, KEPT, ABANDONED);
}

fn tidy_to(folder: &Path, kept: u64, abandoned: Duration) {
    let files = list(folder);
    let age = |file: &Found| file.meta.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
    for file in files.iter().filter(|file| file.half && age(file) >= abandoned) {
        remove(&file.path);
    }
    let mut whole: Vec<&Found> = files.iter().filter(|file| !file.half).collect();
    whole.sort_by_key(|file| file.path.extension() != Some(OsStr::new("json")));
    // The summary's age is the store's; it comes first in the order of removal as it did in that of writing.
    let mut keys: Vec<(Duration, &str)> = Vec::new();
    for file in &whole {
        if !keys.iter().any(|(_, key)| *key == file.key) {
            keys.push((age(file), &file.key));
        }
    }
    keys.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    let mut bytes: u64 = whole.iter().map(|file| file.meta.len()).sum();
    for (_, key) in keys {
        if bytes <= kept {
            return;
        }
        for file in whole.iter().filter(|file| file.key == key) {
            remove(&file.path);
            bytes -= file.meta.len();
        }
    }
}

/// The files of stores: `KEY.rows`, or `KEY.PROCESS-NUMBER.rows` while they are made.
fn list(folder: &Path) -> Vec<Found> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let found = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let stem = path.file_stem()?.to_str()?;
        let (key, half) = stem.split_once('.').map_or((stem, false), |(key, _)| (key, true));
        let ours = ["rows", "offsets", "json"].iter().any(|end| path.extension() == Some(OsStr::new(end)));
        let key = key.to_owned();
        ours.then_some(Found { meta: entry.metadata().ok()?, key, half, path })
    };
    entries.filter_map(found).collect()
}

fn remove(path: &Path) {
    // Gone already is as good.
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_made_files_go_and_old_stores_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let hour = Duration::from_secs(3600);
        for (name, age) in [("old", 3), ("used", 2), ("new", 1)] {
            for end in ["rows", "offsets", "json"] {
                let file = File::create(place(&format!("{name}.{end}"))).unwrap();
                file.set_len(100).unwrap();
                file.set_modified(SystemTime::now() - hour * age).unwrap();
            }
        }
        for (name, age) in [("k.1-0.rows", 1), ("k.2-0.rows", 0)] {
            File::create(place(name)).unwrap().set_modified(SystemTime::now() - hour * age).unwrap();
        }
        std::fs::write(place("other.txt"), "not ours").unwrap();
        tidy_to(folder.path(), 10_000, ABANDONED);
        assert!(!place("k.1-0.rows").exists() && place("k.2-0.rows").exists() && place("old.json").exists());
        touch(&place("used.json"));
        touch(&place("old.json"));
        tidy_to(folder.path(), 600, ABANDONED);
        let there =
            |name: &str| ["rows", "offsets", "json"].map(|end| place(&format!("{name}.{end}")).exists());
        assert_eq!((there("new"), there("used"), there("old")), ([false; 3], [true; 3], [true; 3]));
        assert!(place("other.txt").exists());
    }
}
