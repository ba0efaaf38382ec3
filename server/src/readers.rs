//! The bulkhead: files, chat templates and tokenizers that people brought are read by `burnish-worker read`, in a few
//! processes beside the server. What breaks a parser ends one of them, and is told as the refusal of a file. A request
//! that is dropped ends its process; nothing goes on that nobody waits for.

mod process;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::health::Progress;
use contract::reading::Reading;
use contract::{Code, Problem};
use tokio::sync::{Semaphore, SemaphorePermit};

use process::Process;
pub(crate) use process::odd;

use crate::config::Config;

/// Unused processes that are kept.
const KEPT: usize = 2;
/// How long an unused process stays.
const IDLE: Duration = Duration::from_secs(60);
/// Requests that may wait for a place in one lane; more are refused at once.
const WAITING: usize = 32;
/// How long a request may wait for a place before it is refused.
const WAIT: Duration = Duration::from_secs(8);
/// The same where much is read: an upload of minutes may wait for another.
const LONG_WAIT: Duration = Duration::from_secs(120);
/// Files up to this size are read among the quick ones, bytes.
const QUICK_BYTES: u64 = 8 << 20;

/// Work of one kind does not wait for that of another: a launch goes on while rows are searched and a dataset is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Pages and previews.
    Quick,
    /// Whole files.
    Long,
    /// Health of datasets, minutes at times.
    Health,
    /// What a launch needs to know.
    Launch,
}

impl Lane {
    /// Where a file of that many bytes is read whole.
    pub fn of_bytes(bytes: u64) -> Self {
        if bytes <= QUICK_BYTES { Self::Quick } else { Self::Long }
    }
}

struct Places {
    free: Semaphore,
    waiting: AtomicUsize,
    wait: Duration,
}

impl Places {
    fn new(places: usize, wait: Duration) -> Self {
        Self { free: Semaphore::new(places), waiting: AtomicUsize::new(0), wait }
    }

    /// A place, or that there is none to be had.
    async fn take(&self) -> Result<SemaphorePermit<'_>, Problem> {
        if let Ok(free) = self.free.try_acquire() {
            return Ok(free);
        }
        let _counted = Counted::new(&self.waiting, WAITING).ok_or_else(busy)?;
        match tokio::time::timeout(self.wait, self.free.acquire()).await {
            Ok(Ok(free)) => Ok(free),
            _ => Err(busy()),
        }
    }
}

/// One of those who wait.
struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn new(count: &'c AtomicUsize, most: usize) -> Option<Self> {
        let counted = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn busy() -> Problem {
    Problem::new(Code::ReadingBusy, "Burnish is reading as many files as it can just now.")
        .hint("Try again in a moment.")
}

/// The processes, and who may use them.
pub struct Readers {
    config: Config,
    quick: Places,
    long: Places,
    health: Places,
    launch: Places,
    idle: Mutex<Vec<(Process, Instant)>>,
}

impl Readers {
    /// No process yet: they start when they are needed. Rows are read by as many as half the cores at once.
    pub fn new(config: Config) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            config,
            quick: Places::new(cores.div_ceil(2), WAIT),
            long: Places::new(1, LONG_WAIT),
            health: Places::new(1, Duration::MAX),
            launch: Places::new(1, WAIT),
            idle: Mutex::default(),
        }
    }

    fn places(&self, lane: Lane) -> &Places {
        match lane {
            Lane::Quick => &self.quick,
            Lane::Long => &self.long,
            Lane::Health => &self.health,
            Lane::Launch => &self.launch,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Process, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits for the answer. Dropped before that, it ends the process that reads.
    ///
    /// # Errors
    /// Why the file was refused; `reading.busy` where too much is being read.
    pub async fn ask<R: Reading>(&self, lane: Lane, request: R) -> Result<R::Answer, Problem> {
        self.ask_watched(lane, request, &mut |_| ControlFlow::Continue(())).await
    }

    /// As [`Self::ask`]; `watch` hears of progress and may give up.
    ///
    /// # Errors
    /// As [`Self::ask`]; `data.cancelled` when `watch` gave up.
    pub async fn ask_watched<R: Reading>(
        &self,
        lane: Lane,
        request: R,
        watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
    ) -> Result<R::Answer, Problem> {
        let _place = self.places(lane).take().await?;
        let line = process::line(&request.into())?;
        let kept = self.idle().pop();
        let (mut process, fresh) = match kept {
            Some((process, _)) => (process, false),
            None => (Process::start(&self.config).await?, true),
        };
        // One that was kept may have ended meanwhile: the request was not begun, and is put to a new one.
        let answered = match process.ask(&line, watch).await {
            Err(process::Failed::NotBegun) if !fresh => {
                process = Process::start(&self.config).await?;
                process.ask(&line, watch).await
            }
            answered => answered,
        };
        let answer = match answered {
            Ok(value) => Ok(value),
            Err(process::Failed::Refused(problem)) => Err(problem),
            // gone, or of no more use
            Err(failed) => return Err(process.why(failed).await),
        };
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push((process, Instant::now()));
        }
        drop(idle);
        serde_json::from_value(answer?).map_err(|why| process::odd(&why))
    }

    /// Ends processes that were not used for a while.
    pub fn rest(&self) {
        self.idle().retain(|(_, since)| since.elapsed() < IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_beyond_the_queue_are_refused_at_once_and_lanes_do_not_wait_for_each_other() {
        let places = Places::new(1, Duration::from_secs(3600));
        let first = places.take().await.expect("free");
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(places.take())).collect();
        for one in &mut waiting {
            assert!(futures::poll!(one.as_mut()).is_pending());
        }
        assert_eq!(places.take().await.map(drop).expect_err("full").code, Code::ReadingBusy);
        // those who go make room
        waiting.truncate(1);
        let mut another = Box::pin(places.take());
        assert!(futures::poll!(another.as_mut()).is_pending());
        drop(first);
        drop(waiting.remove(0).await.expect("its turn"));
        drop(another.await.expect("its turn"));
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_agreed() {
        let places = Places::new(1, Duration::from_millis(1));
        let _first = places.take().await.expect("free");
        assert_eq!(places.take().await.map(drop).expect_err("late").code, Code::ReadingBusy);
    }
}
