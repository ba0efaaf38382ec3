//! Ends the process when a request takes too long. A thread cannot be stopped in Rust; a process can.

use std::process::exit;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Code;
use contract::problem::Problem;
use contract::reading::ReadLine;
use contract::worker::EXIT_PROBLEM;

use crate::limits;
use crate::serve::write;

/// When the process ends itself; `None`: it waits for a request.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<(Mutex<Option<Deadline>>, Condvar)>);

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Option<Deadline>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the process has that long.
    pub(crate) fn begin(&self, allowed: Duration) {
        *self.lock() = Some(Deadline { at: Instant::now() + allowed, allowed });
        limits::processor_time(allowed);
        self.0.1.notify_all();
    }

    /// The request is answered.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// Watches until the process ends.
    pub(crate) fn keep(&self) -> ! {
        let mut deadline = self.lock();
        loop {
            let left = deadline.map(|deadline| deadline.at.saturating_duration_since(Instant::now()));
            match (left, *deadline) {
                (Some(Duration::ZERO), Some(late)) => {
                    // The answer is at the door already where this fails.
                    let _ = write(&ReadLine::Refused(too_slow(late.allowed)));
                    exit(EXIT_PROBLEM);
                }
                (Some(left), _) => {
                    let woken = self.0.1.wait_timeout(deadline, left);
                    deadline = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                (None, _) => deadline = self.0.1.wait(deadline).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The problem of a request that takes too long.
fn too_slow(allowed: Duration) -> Problem {
    let seconds = allowed.as_secs();
    Problem::new(
        Code::ReadingTooSlow,
        format!("Reading was given up after {seconds} seconds without progress."),
    )
    .with("seconds", seconds)
    .hint("The file, the chat template or the tokenizer asks for far more work than its size lets expect.")
}
