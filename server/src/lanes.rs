//! Work with files that may hang (a disk over the network, a pipe), one at a time for each name: a name whose work hangs
//! holds one thread and no more, and nobody waits for it for long.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{Code, Problem};

use crate::error::Fault;

/// How long work is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Names whose work goes on.
#[derive(Clone, Debug, Default)]
pub struct Lanes(Arc<Mutex<HashSet<String>>>);

/// Takes a name out when its work ends, however long that takes.
struct Taken(Lanes, String);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Lanes {
    /// Does `work` on a thread of its own and waits for it, but not for ever.
    ///
    /// # Errors
    /// `disk.slow` when it takes too long, or when earlier work of this name still hangs.
    pub async fn within<T: Send + 'static>(
        &self,
        name: String,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return Err(slow());
        }
        let taken = Taken(self.clone(), name);
        let done = tokio::task::spawn_blocking(move || {
            let _taken = taken;
            work()
        });
        match tokio::time::timeout(patience, done).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(slow()),
        }
    }

    /// Whether work of this name goes on.
    pub fn is_busy(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
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
        let (go, hang) = std::sync::mpsc::channel::<()>();
        let short = Duration::from_millis(20);
        let one = lanes.within("a".to_owned(), short, move || hang.recv()).await;
        assert!(one.is_err_and(|fault| is_slow(&fault)));
        let same = lanes.within("a".to_owned(), PATIENCE, || 1).await;
        assert!(same.is_err_and(|fault| is_slow(&fault)), "not begun while the first hangs");
        assert_eq!(lanes.within("b".to_owned(), PATIENCE, || 2).await.expect("done"), 2);
        go.send(()).expect("it waits");
        while lanes.is_busy("a") {
            tokio::task::yield_now().await;
        }
        assert_eq!(lanes.within("a".to_owned(), PATIENCE, || 3).await.expect("done"), 3);
    }
}
