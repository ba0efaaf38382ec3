//! Checkpoints that other runs stand on: each is pinned by a file, and is not removed while it is (F13). Whoever pins and
//! whoever removes hold the same lock, so that a checkpoint is either pinned and there, or gone and known to be.
//!
//! ```text
//! pins/lock
//! pins/step-NNNNNNNN.RUN            the run of that id stands on the checkpoint of that step
//! ```

use std::fs::File;
use std::path::PathBuf;

use contract::RunId;

use crate::{Error, RunDir, files};

/// A pin: the step, and the run that stands on it.
pub type Pin = (u64, RunId);

impl RunDir {
    fn pins_folder(&self) -> PathBuf {
        self.path().join("pins")
    }

    /// Keeps others from pinning and removing for as long as the file is open. It waits for whoever removes.
    pub(crate) fn lock_pins(&self) -> Result<File, Error> {
        let folder = self.pins_folder();
        std::fs::create_dir_all(&folder).map_err(Error::at(&folder, "create"))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(Error::at(&path, "create"))?;
        lock.lock().map_err(Error::at(&path, "lock"))?;
        Ok(lock)
    }

    /// Pins the checkpoint of `step` for a run that stands on it; false when it is not there (any more), and nothing is
    /// pinned then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn pin(&self, step: u64, by: &RunId) -> Result<bool, Error> {
        let _lock = self.lock_pins()?;
        if self.checkpoint(step)?.is_none() {
            return Ok(false);
        }
        let path = self.pins_folder().join(name(step, by));
        files::write_atomically(&path, b"")?;
        Ok(true)
    }

    /// Takes a pin away; one that is not there is no error.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn unpin(&self, step: u64, by: &RunId) -> Result<(), Error> {
        let path = self.pins_folder().join(name(step, by));
        match std::fs::remove_file(&path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(Error::at(&path, "remove")(why)),
            _ => Ok(()),
        }
    }

    /// Every pin.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        Ok(files::names(&self.pins_folder())?.iter().filter_map(|name| parse(name)).collect())
    }
}

fn name(step: u64, by: &RunId) -> String {
    format!("step-{step:08}.{by}")
}

fn parse(name: &str) -> Option<Pin> {
    let (step, by) = name.strip_prefix("step-")?.split_once('.')?;
    Some((step.parse().ok()?, RunId::parse(by)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use contract::checkpoint::LoopState;

    fn save(run: &RunDir, step: u64) {
        let writer = run.begin_checkpoint(step).expect("begun");
        writer.write("model.safetensors", b"weights").expect("written");
        writer.commit("model.safetensors", LoopState::default()).expect("saved");
    }

    fn steps(run: &RunDir) -> Vec<u64> {
        run.checkpoints().expect("lists").iter().map(crate::Checkpoint::step).collect()
    }

    #[test]
    fn f13_a_checkpoint_that_others_stand_on_is_kept() {
        let (_place, run) = testing::run();
        let [b, c] = ["b", "c"].map(|id| RunId(id.to_owned()));
        (1..=4).for_each(|step| save(&run, step));
        assert!(run.pin(1, &b).expect("asked") && run.pin(1, &c).expect("asked"));
        assert!(!run.pin(9, &b).expect("asked"), "there is none");
        assert_eq!(run.keep(2, None).expect("kept"), [2]);
        assert_eq!(steps(&run), [4, 3, 1]);
        run.unpin(1, &b).expect("taken away");
        assert_eq!(run.keep(1, None).expect("kept"), [3]);
        assert_eq!(run.pins().expect("lists"), [(1, c.clone())]);
        run.unpin(1, &c).expect("taken away");
        run.unpin(1, &c).expect("twice");
        assert_eq!(run.keep(1, None).expect("kept"), [1]);
        assert!(!run.pin(1, &b).expect("asked"), "it is gone, and that is said");
    }

    #[test]
    fn f13_a_pin_and_a_removal_at_once_never_lose_what_was_pinned() {
        let (_place, run) = testing::run();
        for round in 0..50_u64 {
            let (old, new) = (2 * round + 1, 2 * round + 2);
            [old, new].iter().for_each(|step| save(&run, *step));
            let by = RunId(format!("r{round}"));
            let pinned = std::thread::scope(|scope| {
                let pins = scope.spawn(|| run.pin(old, &by).expect("asked"));
                run.keep(1, None).expect("kept");
                pins.join().expect("ends")
            });
            assert_eq!(run.checkpoint(old).expect("reads").is_some(), pinned, "round {round}");
        }
    }
}
