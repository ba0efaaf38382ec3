//! Encoded rows on disk: written while training already reads them, found again by what they were made from.
//!
//! A store is two files and a summary, named by [`crate::job::Job::fingerprint`]: records, the byte each begins at, and,
//! once everything is written, how many there are. Rows are read by position, never all at once.

mod record;
mod tidy;
mod writer;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Code;
use contract::health::Progress;
use contract::problem::Problem;
use contract::row_reason::RowReason;
use serde::{Deserialize, Serialize};

use crate::encode::Example;
use crate::job::{Job, PartRows, cancelled};
use writer::{Writer, prepare, publish};

/// Changes whenever encoding or the form of files does; older stores are made anew.
pub(crate) const VERSION: u32 = 4;

/// What a finished store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Examples.
    pub examples: u64,
    /// Rows read.
    pub rows: u64,
    /// Rows left out.
    pub dropped_rows: u64,
    /// Of these, rows that only the template refused.
    pub refused_rows: u64,
    /// The first row left out, from 1, and why.
    pub first_dropped: Option<(u64, RowReason)>,
    /// Examples that lost tokens to the length limits.
    pub cut_rows: u64,
    /// The rows of each part of the job.
    pub parts: Vec<PartRows>,
    /// Tokens of the longest sequence.
    pub longest: u64,
    /// Tokens of all sequences.
    pub tokens: u64,
    /// Tokens of pre-training texts that filled no block and were dropped, as the original did.
    pub dropped_tokens: u64,
    /// Bytes of the file of records.
    pub bytes: u64,
}

/// Where preparation stands.
#[derive(Default)]
struct Standing {
    ready: u64,
    longest: u64,
    progress: Progress,
    end: Option<Result<Summary, Problem>>,
}

#[derive(Default)]
struct Shared {
    standing: Mutex<Standing>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Examples of a run, complete or still growing. Dropping a growing store stops its preparation.
pub struct Prepared {
    records: File,
    offsets: File,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

struct Names {
    records: PathBuf,
    offsets: PathBuf,
    summary: PathBuf,
}

fn names(folder: &Path, key: &str) -> Names {
    let name = |end: &str| folder.join(format!("{key}.{end}"));
    Names { records: name("rows"), offsets: name("offsets"), summary: name("json") }
}

fn disk(what: &str) -> impl Fn(std::io::Error) -> Problem {
    move |error| {
        Problem::new(Code::DataStore, format!("Prepared rows cannot be {what}: {error}."))
            .with("why", &error)
            .hint("Check that the disk has room and may be written to.")
    }
}

impl Prepared {
    /// The finished store of that key; `None` when there is none, or its files do not fit its summary.
    pub fn open(folder: &Path, key: &str) -> Option<Self> {
        let names = names(folder, key);
        let summary: Summary = serde_json::from_slice(&std::fs::read(&names.summary).ok()?).ok()?;
        let (records, offsets) = (File::open(&names.records).ok()?, File::open(&names.offsets).ok()?);
        let sizes = (records.metadata().ok()?.len(), offsets.metadata().ok()?.len());
        if sizes != (summary.bytes, summary.examples * 8) {
            return None;
        }
        let progress = Progress { rows: summary.rows, total: summary.rows, tokens: summary.tokens };
        tidy::touch(&names.summary);
        let (ready, longest) = (summary.examples, summary.longest);
        let standing = Standing { ready, longest, progress, end: Some(Ok(summary)) };
        let shared = Arc::new(Shared { standing: Mutex::new(standing), ..Shared::default() });
        Some(Self { records, offsets, shared })
    }

    /// Prepares on a thread of its own. Two preparations of one key at a time do not disturb one another: each writes
    /// its own files, and the last to finish keeps its name.
    ///
    /// # Errors
    /// `data.store` when the folder cannot be written to.
    pub fn start(folder: &Path, key: &str, job: Job) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder).map_err(disk("written"))?;
        tidy::tidy(folder);
        let own = format!("{key}.{}-{}", std::process::id(), next_number());
        let (temporary, last) = (names(folder, &own), names(folder, key));
        let create = |path: &Path| File::create(path).map_err(disk("written"));
        let writer = Writer::new(create(&temporary.records)?, create(&temporary.offsets)?);
        let open = |path: &Path| File::open(path).map_err(disk("read"));
        let (records, offsets) = (open(&temporary.records)?, open(&temporary.offsets)?);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let run = move || {
            let end = prepare(&job, writer, &theirs).and_then(|summary| publish(&temporary, &last, summary));
            if end.is_err() {
                // What was not finished is of no use to anybody.
                for path in [&temporary.records, &temporary.offsets, &temporary.summary] {
                    let _ = std::fs::remove_file(path);
                }
            }
            let mut standing = theirs.lock();
            if let Ok(summary) = &end {
                (standing.ready, standing.longest) = (summary.examples, summary.longest);
            }
            standing.end = Some(end);
            theirs.changed.notify_all();
        };
        std::thread::Builder::new().name("prepare".to_owned()).spawn(run).map_err(disk("made"))?;
        Ok(Self { records, offsets, shared })
    }

    /// Examples that can be read without waiting.
    pub fn ready(&self) -> u64 {
        self.shared.lock().ready
    }

    /// How far preparation is.
    pub fn progress(&self) -> Progress {
        self.shared.lock().progress
    }

    /// Tokens of the longest sequence prepared so far.
    pub fn longest(&self) -> u64 {
        self.shared.lock().longest
    }

    /// What was found, once everything is there.
    pub fn summary(&self) -> Option<Summary> {
        self.shared.lock().end.clone()?.ok()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What preparation found.
    pub fn wait(&self) -> Result<Summary, Problem> {
        self.wait_for(u64::MAX)?;
        self.shared.lock().end.clone().unwrap_or_else(|| Err(cancelled()))
    }

    /// Waits for the end and tells how far it is every now and then.
    ///
    /// # Errors
    /// What preparation found, or an error of `tell`.
    pub fn wait_telling(
        &self,
        every: Duration,
        tell: &mut dyn FnMut(Progress) -> Result<(), Problem>,
    ) -> Result<Summary, Problem> {
        let mut told = Instant::now();
        loop {
            let standing = self.shared.lock();
            if let Some(end) = &standing.end {
                return end.clone();
            }
            let left = every.saturating_sub(told.elapsed());
            let waited = self.shared.changed.wait_timeout(standing, left);
            let progress = waited.unwrap_or_else(PoisonError::into_inner).0.progress;
            if told.elapsed() >= every {
                tell(progress)?;
                told = Instant::now();
            }
        }
    }

    /// Waits until example `index` (from 0) is there; `false` when the data end before it.
    ///
    /// # Errors
    /// What preparation found.
    pub fn wait_for(&self, index: u64) -> Result<bool, Problem> {
        let mut standing = self.shared.lock();
        loop {
            if standing.ready > index {
                return Ok(true);
            }
            match &standing.end {
                Some(Ok(_)) => return Ok(false),
                Some(Err(problem)) => return Err(problem.clone()),
                None => {
                    standing = self.shared.changed.wait(standing).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits no longer than `patience` until example `index` (from 0) is there or the data end before it; `false` when
    /// neither has come.
    ///
    /// # Errors
    /// What preparation found.
    pub fn wait_within(&self, index: u64, patience: Duration) -> Result<bool, Problem> {
        let standing = self.shared.lock();
        let open = |standing: &mut Standing| standing.ready <= index && standing.end.is_none();
        let waited = self.shared.changed.wait_timeout_while(standing, patience, open);
        let standing = waited.unwrap_or_else(PoisonError::into_inner).0;
        match &standing.end {
            Some(Err(problem)) if standing.ready <= index => Err(problem.clone()),
            Some(_) => Ok(true),
            None => Ok(standing.ready > index),
        }
    }

    /// Example `index` (from 0), waiting until it is prepared; `None` past the end.
    ///
    /// # Errors
    /// What preparation found, or `data.store` when the files cannot be read or are damaged.
    pub fn get(&self, index: u64) -> Result<Option<Example>, Problem> {
        if !self.wait_for(index)? {
            return Ok(None);
        }
        let offset = |index: u64| -> Result<u64, Problem> {
            let mut bytes = [0; 8];
            self.offsets.read_exact_at(&mut bytes, index * 8).map_err(disk("read"))?;
            Ok(u64::from_le_bytes(bytes))
        };
        let start = if index == 0 { 0 } else { offset(index - 1)? };
        let length = offset(index)?.saturating_sub(start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.records.read_exact_at(&mut bytes, start).map_err(disk("read"))?;
        record::read(&bytes).map(Some).ok_or_else(|| {
            Problem::new(Code::DataDamaged, "Prepared rows are damaged.")
                .hint("Delete the folder of prepared rows; they are made anew.")
        })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
