//! One download of a blob at a time, whoever else uses the cache: the locks are those of the hub's own tools.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use contract::hub::HubKind;
use tokio::sync::OwnedMutexGuard;

use super::cache;

/// How often a lock that another program holds is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Blobs that this server fetches.
#[derive(Clone, Debug, Default)]
pub struct Locks(Arc<Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>>);

/// Whoever has it fetches the blob.
#[derive(Debug)]
pub struct Held {
    _here: OwnedMutexGuard<()>,
    _file: Option<File>,
}

impl Locks {
    /// Waits for a blob's lock.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn take(&self, cache: &Path, kind: HubKind, repo: &str, blob: &str) -> std::io::Result<Held> {
        let folder = cache::folder(&cache.join(".locks"), kind, repo);
        let path = folder.join(format!("{blob}.lock"));
        let here = self.of(&path).lock_owned().await;
        std::fs::create_dir_all(&folder)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Held { _here: here, _file: Some(file) }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(AGAIN).await,
                // a file system without locks: this server at least does not meet itself
                Err(TryLockError::Error(_)) => return Ok(Held { _here: here, _file: None }),
            }
        }
    }

    fn of(&self, path: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = all.get(path).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        all.insert(path.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_blob_is_fetched_by_one_at_a_time_in_this_server_and_beside_it() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path();
        let take = |locks: Locks, blob: &'static str| async move {
            locks.take(path, HubKind::Model, "ada/tea", blob).await.expect("a lock")
        };
        let (ours, others) = (Locks::default(), Locks::default());
        let held = take(ours.clone(), "a").await;
        assert!(take(ours.clone(), "a").now_or_never().is_none(), "in this server");
        assert!(take(others.clone(), "a").now_or_never().is_none(), "by the file");
        drop(take(ours.clone(), "b").await);
        drop(held);
        drop(take(others, "a").await);
        drop(take(ours, "a").await);
    }
}
