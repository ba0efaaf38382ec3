//! The run directory, the one place where server and worker meet.
//!
//! ```text
//! spec.json                         what is to be trained; written once, renamed into place
//! attempts/NNNN/events.jsonl        one event a line; a line without its newline is not there yet
//! attempts/NNNN/stderr.log          whatever the worker process printed
//! attempts/NNNN/worker.json         process id, start, boot id
//! attempts/NNNN/lock                locked by the worker as long as it lives
//! checkpoints/step-NNNNNNNN/…       complete folders with a manifest; `tmp-…` folders are half made
//! control/{stop,checkpoint}         server to worker; renamed to `….seen` once obeyed
//! trainer_log.jsonl, …              what the original toolkit leaves beside its checkpoints, for scripts
//! runs/events.out.tfevents.…        the numbers of `trainer_log.jsonl` for TensorBoard, one file an attempt
//! pins/step-NNNNNNNN.RUN            another run stands on that checkpoint: it is not removed, see [`RunDir::pin`]
//! attempts/NNNN/revoked             what that attempt still makes counts no more
//! result.json                       its presence means: finished
//! ```
//!
//! Every file has one writer. Either side may die at any moment: what is read is whole or not there.

mod attempt;
pub mod chain;
mod checkpoint;
mod control;
mod error;
mod events;
mod files;
mod pins;
mod tail;

use std::path::{Path, PathBuf};

use contract::spec::RunSpec;
use serde::{Deserialize, Serialize};

pub use attempt::{AttemptDir, Claim, WorkerInfo, now_ms};
pub use checkpoint::{Checkpoint, CheckpointWriter};
pub use control::{Control, Request};
pub use error::Error;
pub use events::EventWriter;
pub use files::write_atomically;
pub use pins::Pin;
pub use tail::EventTail;

/// A run directory. Cheap to clone; holds no open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    root: PathBuf,
    /// The attempt that whoever has it works on, if any: it writes nothing that lasts once that was revoked.
    attempt: Option<u32>,
}

/// `result.json`: the run reached its last step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// Attempt that finished it, from 1.
    pub attempt: u32,
    /// Last step made.
    pub step: u64,
    /// When, milliseconds since 1970.
    pub finished_ms: i64,
}

impl RunDir {
    /// Makes a new run directory at `path`, which must not exist yet. It appears there whole, or not at all.
    pub fn create(path: &Path, spec: &RunSpec) -> Result<Self, Error> {
        if path.exists() {
            return Err(Error::broken(path, "a run directory already stands here"));
        }
        let parent = files::parent(path)?;
        std::fs::create_dir_all(parent).map_err(Error::at(parent, "create"))?;
        let half = files::unique_sibling(path, "tmp");
        for folder in ["attempts", "checkpoints", "control"] {
            let folder = half.join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::at(&folder, "create"))?;
        }
        write_atomically(&half.join("spec.json"), &files::json(spec)?)?;
        std::fs::rename(&half, path).map_err(Error::at(path, "create"))?;
        files::sync_folder(parent)?;
        Ok(Self { root: path.to_owned(), attempt: None })
    }

    /// The run directory at `path`; it must hold a `spec.json`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let spec = path.join("spec.json");
        std::fs::metadata(&spec).map_err(Error::at(&spec, "read"))?;
        Ok(Self { root: path.to_owned(), attempt: None })
    }

    /// The same directory in the hands of an attempt's worker: checkpoints and the result are written only while the
    /// attempt was not revoked, and no later one was taken up (F12).
    pub fn worked_on_by(&self, attempt: u32) -> Self {
        Self { attempt: Some(attempt), ..self.clone() }
    }

    /// # Errors
    /// `worker.revoked` where what this attempt makes counts no more.
    fn fence(&self) -> Result<(), Error> {
        let Some(number) = self.attempt else { return Ok(()) };
        let all = self.attempts()?;
        let taken_over = all.iter().any(|other| *other > number && self.attempt(*other).was_claimed());
        // One that is not there any more belonged to a folder that was replaced, from a backup say.
        if taken_over || !all.contains(&number) || self.attempt(number).is_revoked() {
            return Err(Error::Revoked { attempt: number });
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The specification. A format newer than this build's is an error.
    pub fn spec(&self) -> Result<RunSpec, Error> {
        let path = self.root.join("spec.json");
        let text = std::fs::read_to_string(&path).map_err(Error::at(&path, "read"))?;
        RunSpec::parse(&text).map_err(|why| Error::broken(&path, why))
    }

    /// Numbers of all attempts so far, in order, from 1.
    pub fn attempts(&self) -> Result<Vec<u32>, Error> {
        let folder = self.root.join("attempts");
        let mut numbers: Vec<u32> =
            files::names(&folder)?.iter().filter_map(|name| name.parse().ok()).filter(|n| *n > 0).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Opens the next attempt and forgets requests meant for earlier ones. The server calls this before it
    /// starts the worker, so that a stop asked for from now on is not lost.
    pub fn begin_attempt(&self) -> Result<AttemptDir, Error> {
        let mut number = self.attempts()?.last().copied().unwrap_or(0) + 1;
        self.control().clear_all()?;
        loop {
            let attempt = self.attempt(number);
            match std::fs::create_dir(attempt.path()) {
                Ok(()) => {
                    files::sync_folder(&self.root.join("attempts"))?;
                    return Ok(attempt);
                }
                Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(why) => return Err(Error::at(attempt.path(), "create")(why)),
            }
        }
    }

    /// The attempt of that number, from 1; it need not exist.
    pub fn attempt(&self, number: u32) -> AttemptDir {
        AttemptDir::new(self.root.join("attempts").join(format!("{number:04}")), number)
    }

    /// The attempt whose worker is alive, if any.
    pub fn live_attempt(&self) -> Result<Option<u32>, Error> {
        for number in self.attempts()?.into_iter().rev() {
            if self.attempt(number).is_alive()? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Requests from server to worker.
    pub fn control(&self) -> Control {
        Control::new(self.root.join("control"))
    }

    /// Every complete checkpoint, newest step first. Half-made and damaged ones are not listed.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        checkpoint::list(&self.checkpoints_folder())
    }

    /// The complete checkpoint of `step`.
    pub fn checkpoint(&self, step: u64) -> Result<Option<Checkpoint>, Error> {
        Ok(self.checkpoints()?.into_iter().find(|checkpoint| checkpoint.step() == step))
    }

    /// Starts writing the checkpoint of `step`; nobody sees it before [`CheckpointWriter::commit`].
    ///
    /// # Errors
    /// When the disk refuses; `worker.revoked` where the attempt was, here and at the commit.
    pub fn begin_checkpoint(&self, step: u64) -> Result<CheckpointWriter, Error> {
        self.fence()?;
        CheckpointWriter::new(self.clone(), self.checkpoints_folder(), step)
    }

    /// Removes half-made checkpoints that a killed worker left behind. Only for the worker that holds the run.
    pub fn sweep(&self) -> Result<(), Error> {
        checkpoint::sweep(&self.checkpoints_folder())
    }

    /// Removes all checkpoints but the `last` newest, the one of step `best`, and those that other runs stand on; returns
    /// the steps removed.
    pub fn keep(&self, last: usize, best: Option<u64>) -> Result<Vec<u64>, Error> {
        let _lock = self.lock_pins()?;
        let spared: Vec<u64> = self.pins()?.into_iter().map(|(step, _)| step).chain(best).collect();
        checkpoint::keep(&self.checkpoints_folder(), last, &spared)
    }

    /// The result, once the run is finished.
    pub fn result(&self) -> Result<Option<RunResult>, Error> {
        let path = self.root.join("result.json");
        if path.exists() { files::read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Marks the run as finished.
    ///
    /// # Errors
    /// When the disk refuses; `worker.revoked` where the attempt was.
    pub fn finish(&self, result: &RunResult) -> Result<(), Error> {
        self.fence()?;
        write_atomically(&self.root.join("result.json"), &files::json(result)?)
    }

    fn checkpoints_folder(&self) -> PathBuf {
        self.root.join("checkpoints")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_appears_whole_and_once() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("runs/one");
        let spec = testing::spec();
        let run = RunDir::create(&path, &spec).expect("created");
        assert_eq!(run.spec().expect("reads"), spec);
        assert!(RunDir::create(&path, &spec).is_err(), "twice");
        assert_eq!(std::fs::read_dir(place.path().join("runs")).expect("lists").count(), 1, "no leftovers");
        assert!(RunDir::open(&place.path().join("nothing")).is_err());
    }

    #[test]
    fn attempts_count_up_and_forget_old_requests() {
        let (_place, run) = testing::run();
        assert_eq!(run.begin_attempt().expect("first").number(), 1);
        run.control().request(Request::Stop).expect("asked");
        assert_eq!(run.begin_attempt().expect("second").number(), 2);
        assert!(!run.control().is_requested(Request::Stop), "the stop was meant for attempt 1");
        assert_eq!(run.attempts().expect("lists"), [1, 2]);
    }

    #[test]
    fn a_specification_of_the_future_is_refused() {
        let (_place, run) = testing::run();
        let mut spec = testing::spec();
        spec.format = contract::spec::FORMAT + 1;
        write_atomically(&run.path().join("spec.json"), &files::json(&spec).expect("json")).expect("written");
        assert!(run.spec().expect_err("newer").to_string().contains("newer"));
    }

    #[test]
    fn f12_what_a_revoked_attempt_makes_does_not_last() {
        let (_place, run) = testing::run();
        let first = run.begin_attempt().expect("begun");
        let held = run.worked_on_by(first.number());
        let result = RunResult { attempt: 1, step: 6, finished_ms: 5 };
        let writer = held.begin_checkpoint(1).expect("it is the newest attempt");
        writer.write("model.safetensors", b"weights").expect("written");
        first.revoke().expect("revoked");
        let state = contract::checkpoint::LoopState::default();
        let refused = writer.commit("model.safetensors", state).expect_err("too late");
        assert_eq!(contract::Problem::from(refused).code, contract::Code::WorkerRevoked);
        assert!(held.begin_checkpoint(2).is_err() && held.finish(&result).is_err());
        assert!(run.checkpoints().expect("lists").is_empty() && run.result().expect("reads").is_none());

        let second = run.begin_attempt().expect("begun");
        let held = run.worked_on_by(second.number());
        held.begin_checkpoint(1).expect("the next may");
        let third = run.begin_attempt().expect("a third");
        held.begin_checkpoint(1).expect("nobody works on the third");
        third.claim(&WorkerInfo::of_this_process("0.1.0")).expect("claimed");
        assert!(held.finish(&result).is_err(), "another attempt is worked on since");
        std::fs::remove_dir_all(second.path()).expect("removed");
        assert!(held.finish(&result).is_err(), "its folder was replaced");
    }

    #[test]
    fn the_result_is_there_only_after_finishing() {
        let (_place, run) = testing::run();
        assert_eq!(run.result().expect("reads"), None);
        let result = RunResult { attempt: 1, step: 6, finished_ms: 5 };
        run.finish(&result).expect("written");
        assert_eq!(run.result().expect("reads"), Some(result));
    }
}

#[cfg(test)]
mod testing {
    use std::collections::BTreeMap;

    use contract::dataset::{DataFormat, FileKind, Mapping};
    use contract::ids::{DatasetId, ModelId, RunId};
    use contract::params::Hyper;
    use contract::spec::{DatasetRef, ModelRef, RunSpec};
    use contract::stage::{Stage, Tuning};

    pub(crate) fn spec() -> RunSpec {
        RunSpec {
            format: contract::spec::FORMAT,
            run: RunId("r1".to_owned()),
            name: "a run".to_owned(),
            stage: Stage::Sft,
            tuning: Tuning::Lora,
            model: ModelRef {
                id: ModelId("m1".to_owned()),
                name: "a model".to_owned(),
                folder: "/nowhere".to_owned(),
                digest: String::new(),
            },
            dataset: DatasetRef {
                id: DatasetId("d1".to_owned()),
                name: "a dataset".to_owned(),
                file: "/nowhere/data.jsonl".to_owned(),
                kind: FileKind::Jsonl,
                mapping: Mapping::empty(DataFormat::Alpaca),
                sha256: String::new(),
                rows: 0,
                texts: Vec::new(),
            },
            more_datasets: Vec::new(),
            prepared: String::new(),
            template: "alpaca".to_owned(),
            system: String::new(),
            hyper: Hyper::read(&BTreeMap::new(), Stage::Sft, Tuning::Lora).expect("defaults are valid"),
            adapters: Vec::new(),
            reward_model: None,
            brought: None,
        }
    }

    pub(crate) fn run() -> (tempfile::TempDir, crate::RunDir) {
        let place = tempfile::tempdir().expect("a folder");
        let run = crate::RunDir::create(&place.path().join("run"), &spec()).expect("created");
        (place, run)
    }
}
