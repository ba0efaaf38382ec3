//! Work with files that may hang (a disk over the network, a pipe), one at a time for each name: a name whose work hangs
//! holds one thread and no more, and nobody waits for it for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{Code, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::Fault;

/// How long work is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Names whose work goes on.
#[derive(Debug, Default)]
pub struct Lanes(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Lanes {
    fn lane(&self, name: String) -> Arc<Semaphore> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| lane.available_permits() == 0 || Arc::strong_count(lane) > 1);
        lanes.entry(name).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }

    /// Does `work` on a thread that may block and waits for it, but not for ever.
    ///
    /// # Errors
    /// `disk.slow` when it takes too long, or when earlier work of this name goes on.
    pub async fn at_once<T: Send + 'static>(
        &self,
        name: String,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let permit = self.lane(name).try_acquire_owned().map_err(|_| slow())?;
        within(permit, Instant::now() + patience, work).await
    }

    /// As [`Self::at_once`], but waits for earlier work of this name.
    ///
    /// # Errors
    /// `disk.slow` when both together take too long.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        name: String,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let until = Instant::now() + PATIENCE;
        let permit = tokio::time::timeout_at(until, self.lane(name).acquire_owned()).await;
        within(permit.map_err(|_| slow())?.map_err(|_| slow())?, until, work).await
    }

    /// The turn of whoever asks under this name: held until it is dropped, given in order.
    pub async fn turn(&self, name: String) -> Option<OwnedSemaphorePermit> {
        self.lane(name).acquire_owned().await.ok()
    }

    /// Whether work of this name goes on.
    pub fn is_busy(&self, name: &str) -> bool {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(name).is_some_and(|lane| lane.available_permits() == 0)
    }
}

/// The permit goes with the work, however long that takes.
async fn within<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    until: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match tokio::time::timeout_at(until, done).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(slow()),
    }
}

/// Whether a fault is that of a disk that does not answer: it may pass.
pub fn is_slow(fault: &Fault) -> bool {
    matches!(fault, Fault::Problems(problems) if problems.iter().any(|one| one.code == Code::DiskSlow))
}

fn slow() -> Fault {
    Problem::new(Code::DiskSlow, "The disk does not answer.")
        .hint("Check the disk that holds Burnish's data, then try again.")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_holds_one_thread_and_others_go_on() {
        let lanes = Lanes::default();
        let name = || "a".to_owned();
        let (go, hang) = std::sync::mpsc::channel::<()>();
        let short = Duration::from_millis(20);
        let one = lanes.at_once(name(), short, move || hang.recv()).await;
        assert!(one.is_err_and(|fault| is_slow(&fault)));
        let same = lanes.at_once(name(), PATIENCE, || 1).await;
        assert!(same.is_err_and(|fault| is_slow(&fault)), "not begun while the first hangs");
        assert_eq!(lanes.at_once("b".to_owned(), PATIENCE, || 2).await.expect("done"), 2);
        let turn = lanes.in_turn(name(), || 3);
        go.send(()).expect("it waits");
        assert_eq!(turn.await.expect("done"), 3);
        assert_eq!(lanes.at_once(name(), PATIENCE, || 4).await.expect("done"), 4);
        assert_eq!(lanes.0.lock().expect("free").len(), 1, "others are forgotten");
    }
}
