//! One attempt: one worker process, one event log.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Error, EventTail, EventWriter, files};

/// See [`AttemptDir::revoke`].
const REVOKED: &str = "revoked";

/// The folder of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDir {
    path: PathBuf,
    number: u32,
}

/// Proof that this process is the attempt's worker. Lost when dropped or when the process dies, however it dies.
#[derive(Debug)]
pub struct Claim {
    _locks: [File; 2],
}

/// `worker.json`: which process works on the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Process id on its machine.
    pub pid: u32,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
    /// The machine's boot id; another one means that the process is gone. Empty where there is none.
    pub boot_id: String,
    /// Version of the worker.
    pub version: String,
}

impl WorkerInfo {
    /// Describes the calling process.
    pub fn of_this_process(version: &str) -> Self {
        Self {
            pid: std::process::id(),
            started_ms: now_ms(),
            boot_id: boot_id(),
            version: version.to_owned(),
        }
    }

    /// Whether the machine was started anew since.
    pub fn is_of_another_boot(&self) -> bool {
        self.boot_id != boot_id()
    }
}

impl AttemptDir {
    pub(crate) fn new(path: PathBuf, number: u32) -> Self {
        Self { path, number }
    }

    /// Number, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `events.jsonl`.
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `stderr.log`, for whoever starts the worker to send its output to.
    pub fn stderr_path(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    /// Makes the calling process the worker of this attempt and writes `worker.json`.
    /// Fails when another process already is.
    pub fn claim(&self, info: &WorkerInfo) -> Result<Claim, Error> {
        let run = self.path.parent().and_then(Path::parent).unwrap_or(&self.path);
        // One lock for all attempts of the run, so that two workers cannot both look, and both find none (F12).
        let locks = [take(&run.join("lock"), run)?, take(&self.path.join("lock"), &self.path)?];
        files::write_atomically(&self.path.join("worker.json"), &files::json(info)?)?;
        Ok(Claim { _locks: locks })
    }

    /// Whether a worker holds this attempt right now. False before it claims it: a starter that has just
    /// spawned the process must look at the process itself until `worker.json` is there.
    pub fn is_alive(&self) -> Result<bool, Error> {
        let path = self.path.join("lock");
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(why) => return Err(Error::at(&path, "read")(why)),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(why)) => Err(Error::at(&path, "lock")(why)),
        }
    }

    /// Takes the attempt from its worker, whether that is there or not: nothing it makes from now on lasts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn revoke(&self) -> Result<(), Error> {
        files::write_atomically(&self.path.join(REVOKED), b"")
    }

    /// Whether a worker ever took it up.
    pub(crate) fn was_claimed(&self) -> bool {
        self.path.join("worker.json").exists()
    }

    /// Whether the attempt was taken from its worker.
    pub fn is_revoked(&self) -> bool {
        self.path.join(REVOKED).exists()
    }

    /// The worker, once it has claimed the attempt.
    pub fn worker(&self) -> Result<Option<WorkerInfo>, Error> {
        let path = self.path.join("worker.json");
        if path.exists() { files::read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Opens the event log for appending. Only for the worker.
    pub fn event_writer(&self) -> Result<EventWriter, Error> {
        EventWriter::open(&self.events_path())
    }

    /// Follows the event log from event `from_seq` on.
    pub fn tail(&self, from_seq: u64) -> EventTail {
        EventTail::from_seq(&self.events_path(), from_seq)
    }
}

/// How often a lock is tried again: who only asks whether it is held holds it for a moment, too.
const TRIES: u32 = 50;

/// Takes a lock for as long as this process has it.
fn take(path: &Path, of: &Path) -> Result<File, Error> {
    let lock = File::create(path).map_err(Error::at(path, "create"))?;
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(why)) => return Err(Error::at(path, "lock")(why)),
        }
    }
    Err(Error::broken(of, "another worker is already busy with it"))
}

/// The wall clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn only_one_worker_holds_an_attempt_and_its_end_is_seen() {
        let (_place, run) = testing::run();
        let attempt = run.begin_attempt().expect("begun");
        assert!(!attempt.is_alive().expect("asked"));
        let info = WorkerInfo::of_this_process("0.1.0");
        let claim = attempt.claim(&info).expect("claimed");
        assert!(attempt.claim(&info).is_err(), "a second worker");
        let other = run.begin_attempt().expect("begun");
        assert!(other.claim(&info).is_err(), "F12: of another attempt, too");
        assert!(attempt.is_alive().expect("asked"));
        assert_eq!(run.live_attempt().expect("asked"), Some(1));
        assert_eq!(attempt.worker().expect("reads"), Some(info.clone()));
        assert!(!info.is_of_another_boot());
        drop(claim);
        assert!(!attempt.is_alive().expect("asked"));
        assert_eq!(run.live_attempt().expect("asked"), None);
    }
}
