//! Wakes whoever watches a run. It carries no events: watchers read them from the store by ordinal, so a
//! slow one, a late one and one that was away all get the same sequence without gap or duplicate.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contract::RunId;
use tokio::sync::broadcast;

/// One topic a run.
#[derive(Debug, Default)]
pub struct Hub {
    topics: Mutex<HashMap<RunId, broadcast::Sender<()>>>,
}

/// Wakes when something about a run changed.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<()>);

impl Hub {
    /// Watches a run from now on. Read the store after this call, not before, and nothing is missed.
    pub fn watch(&self, run: &RunId) -> Watch {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|id, topic| id == run || topic.receiver_count() > 0);
        Watch(topics.entry(run.clone()).or_insert_with(|| broadcast::channel(1).0).subscribe())
    }

    /// Says that something about a run changed: call it after the commit.
    pub fn changed(&self, run: &RunId) {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(run) {
            // nobody listening is no error
            let _ = topic.send(());
        }
    }
}

impl Watch {
    /// Waits for the next change; many changes since the last call count as one.
    pub async fn changed(&mut self) {
        if let Err(broadcast::error::RecvError::Closed) = self.0.recv().await {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_burst_wakes_a_watcher_and_another_run_does_not() {
        let hub = Hub::default();
        let (one, two) = (RunId("1".to_owned()), RunId("2".to_owned()));
        let (mut first, mut second) = (hub.watch(&one), hub.watch(&two));
        for _ in 0..50 {
            hub.changed(&one);
        }
        tokio::time::timeout(Duration::from_secs(1), first.changed()).await.expect("woken");
        assert!(tokio::time::timeout(Duration::from_millis(20), second.changed()).await.is_err());
    }
}
