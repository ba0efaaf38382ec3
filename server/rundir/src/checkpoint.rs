//! Checkpoints: folders that are complete or invisible.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use contract::checkpoint::{FORMAT, FileEntry, Lineage, LoopState, Manifest};
use sha2::{Digest, Sha256};

use crate::{Error, RunDir, files};

const MANIFEST: &str = "manifest.json";

/// A complete checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Manifest,
}

impl Checkpoint {
    /// Optimizer steps made.
    pub fn step(&self) -> u64 {
        self.manifest.step
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's name under `checkpoints/`.
    pub fn folder(&self) -> String {
        folder_name(self.manifest.step)
    }

    /// What is in it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads every file and compares its hash. Errors name the damaged file.
    pub fn verify(&self) -> Result<(), Error> {
        for entry in &self.manifest.files {
            let path = self.path.join(&entry.name);
            let found = hash(&path)?;
            if found.bytes != entry.bytes || found.sha256 != entry.sha256 {
                return Err(Error::broken(&path, "does not match the checkpoint's manifest"));
            }
        }
        Ok(())
    }

    /// Whether every file is there in its full size.
    fn is_complete(&self) -> bool {
        self.manifest.format <= FORMAT
            && self.manifest.files.iter().all(|entry| {
                let safe = Path::new(&entry.name).file_name().is_some_and(|name| name == entry.name.as_str());
                safe && std::fs::metadata(self.path.join(&entry.name)).is_ok_and(|m| m.len() == entry.bytes)
            })
    }
}

/// A checkpoint in the making. Dropped without [`Self::commit`], it leaves nothing.
#[derive(Debug)]
pub struct CheckpointWriter {
    run: RunDir,
    folder: PathBuf,
    half: PathBuf,
    step: u64,
}

impl CheckpointWriter {
    pub(crate) fn new(run: RunDir, folder: PathBuf, step: u64) -> Result<Self, Error> {
        let half = files::unique_sibling(&folder.join(folder_name(step)), "tmp");
        std::fs::create_dir_all(&half).map_err(Error::at(&half, "create"))?;
        Ok(Self { run, folder, half, step })
    }

    /// The half-made folder, for writers that fill a whole folder.
    pub fn half_made(&self) -> &Path {
        &self.half
    }

    /// Where a file of the checkpoint is to be written, for writers that want a path.
    pub fn file(&self, name: &str) -> PathBuf {
        self.half.join(name)
    }

    /// Writes one file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.file(name);
        std::fs::write(&path, bytes).map_err(Error::at(&path, "write"))
    }

    /// Flushes and hashes every file written so far, then gives the folder its name. `weights` names the file
    /// whose hash is the checkpoint's digest. An earlier checkpoint of the same step is replaced.
    pub fn commit(self, weights: &str, loop_state: LoopState) -> Result<Checkpoint, Error> {
        self.commit_with(weights, loop_state, None)
    }

    /// As [`Self::commit`], saying what the weights were trained on.
    pub fn commit_with(
        self,
        weights: &str,
        loop_state: LoopState,
        lineage: Option<Lineage>,
    ) -> Result<Checkpoint, Error> {
        let mut names = files::names(&self.half)?;
        names.sort_unstable();
        let mut entries = Vec::new();
        for name in names {
            let path = self.half.join(&name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::at(&path, "write"))?;
            entries.push(FileEntry { name, ..hash(&path)? });
        }
        let digest = entries.iter().find(|entry| entry.name == weights).map(|entry| entry.sha256.clone());
        let digest = digest.ok_or_else(|| Error::broken(&self.half, format!("{weights} was not written")))?;
        let manifest =
            Manifest { format: FORMAT, step: self.step, files: entries, loop_state, digest, lineage };
        files::write_synced(&self.half.join(MANIFEST), &files::json(&manifest)?)?;
        files::sync_folder(&self.half)?;
        self.run.fence()?;
        let path = self.folder.join(folder_name(self.step));
        if path.exists() {
            remove(&path)?;
        }
        std::fs::rename(&self.half, &path).map_err(Error::at(&path, "write"))?;
        files::sync_folder(&self.folder)?;
        Ok(Checkpoint { path, manifest })
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // After a commit the folder has another name and there is nothing to remove.
        let _ = std::fs::remove_dir_all(&self.half);
    }
}

pub(crate) fn list(folder: &Path) -> Result<Vec<Checkpoint>, Error> {
    let mut found: Vec<Checkpoint> = files::names(folder)?
        .into_iter()
        .filter_map(|name| {
            let path = folder.join(&name);
            let manifest: Manifest = files::read_json(&path.join(MANIFEST)).ok()?;
            (folder_name(manifest.step) == name).then_some(Checkpoint { path, manifest })
        })
        .filter(Checkpoint::is_complete)
        .collect();
    found.sort_unstable_by_key(|checkpoint| std::cmp::Reverse(checkpoint.step()));
    Ok(found)
}

pub(crate) fn sweep(folder: &Path) -> Result<(), Error> {
    for name in files::names(folder)?.iter().filter(|name| name.starts_with("tmp-")) {
        let path = folder.join(name);
        std::fs::remove_dir_all(&path).map_err(Error::at(&path, "remove"))?;
    }
    Ok(())
}

pub(crate) fn keep(folder: &Path, last: usize, spared: &[u64]) -> Result<Vec<u64>, Error> {
    let mut removed = Vec::new();
    for checkpoint in list(folder)?.into_iter().skip(last).filter(|c| !spared.contains(&c.step())) {
        remove(checkpoint.path())?;
        removed.push(checkpoint.step());
    }
    Ok(removed)
}

/// Renamed first, so that a half-removed checkpoint is never taken for a whole one.
fn remove(path: &Path) -> Result<(), Error> {
    let gone = files::unique_sibling(path, "tmp-gone");
    std::fs::rename(path, &gone).map_err(Error::at(path, "remove"))?;
    std::fs::remove_dir_all(&gone).map_err(Error::at(&gone, "remove"))
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

fn hash(path: &Path) -> Result<FileEntry, Error> {
    let mut file = File::open(path).map_err(Error::at(path, "read"))?;
    let (mut sha, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(Error::at(path, "read"))?;
        if read == 0 {
            break;
        }
        sha.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok(FileEntry { name: String::new(), bytes, sha256: format!("{:x}", sha.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn save(run: &RunDir, step: u64) -> Checkpoint {
        let writer = run.begin_checkpoint(step).expect("begun");
        writer.write("model.safetensors", format!("weights of {step}").as_bytes()).expect("written");
        writer.write("config.json", b"{}").expect("written");
        writer
            .commit("model.safetensors", LoopState { micro_batches: step * 2, ..Default::default() })
            .expect("saved")
    }

    fn steps(run: &RunDir) -> Vec<u64> {
        run.checkpoints().expect("lists").iter().map(Checkpoint::step).collect()
    }

    #[test]
    fn a_checkpoint_is_seen_only_when_complete() {
        let (_place, run) = testing::run();
        let writer = run.begin_checkpoint(5).expect("begun");
        writer.write("model.safetensors", b"half").expect("written");
        assert!(steps(&run).is_empty(), "not committed");
        drop(writer);
        assert!(files::names(&run.path().join("checkpoints")).expect("lists").is_empty(), "nothing is left");
        let saved = save(&run, 5);
        assert_eq!(run.checkpoint(5).expect("lists"), Some(saved.clone()));
        assert_eq!(saved.folder(), "step-00000005");
        saved.verify().expect("whole");
    }

    #[test]
    fn damage_is_invisible_or_named() {
        let (_place, run) = testing::run();
        let saved = save(&run, 1);
        std::fs::write(saved.path().join("model.safetensors"), b"WEIGHTS of 1").expect("same size");
        assert_eq!(steps(&run), [1], "sizes still fit");
        assert!(saved.verify().expect_err("changed").to_string().contains("model.safetensors"));
        std::fs::write(saved.path().join("model.safetensors"), b"cut").expect("shorter");
        assert!(steps(&run).is_empty());
        let saved = save(&run, 2);
        let manifest = std::fs::read(saved.path().join(MANIFEST)).expect("reads");
        std::fs::write(saved.path().join(MANIFEST), &manifest[..manifest.len() / 2]).expect("torn");
        assert!(steps(&run).is_empty());
    }

    #[test]
    fn a_killed_workers_leftovers_are_swept() {
        let (_place, run) = testing::run();
        let writer = run.begin_checkpoint(3).expect("begun");
        writer.write("model.safetensors", b"half").expect("written");
        std::mem::forget(writer);
        save(&run, 2);
        assert_eq!(steps(&run), [2]);
        run.sweep().expect("swept");
        assert_eq!(files::names(&run.path().join("checkpoints")).expect("lists"), ["step-00000002"]);
    }

    #[test]
    fn the_best_and_the_last_two_are_kept() {
        let (_place, run) = testing::run();
        for step in 1..=5 {
            save(&run, step);
        }
        assert_eq!(run.keep(2, Some(1)).expect("kept"), [3, 2]);
        assert_eq!(steps(&run), [5, 4, 1]);
        save(&run, 5);
        assert_eq!(steps(&run), [5, 4, 1], "saved again in place");
    }

    #[test]
    fn a_digest_needs_its_file() {
        let (_place, run) = testing::run();
        let writer = run.begin_checkpoint(1).expect("begun");
        assert!(writer.commit("model.safetensors", LoopState::default()).is_err());
        assert!(steps(&run).is_empty());
    }
}
