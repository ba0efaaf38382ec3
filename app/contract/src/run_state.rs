//! The life of a run.

use serde::{Deserialize, Serialize};

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for its turn.
    Queued,
    /// The worker is starting or loading.
    Preparing,
    /// Steps are being made.
    Running,
    /// Asked to stop; the worker saves first.
    Stopping,
    /// Stopped by a person; its last checkpoint can be resumed.
    Stopped,
    /// Reached its last step.
    Finished,
    /// Ended with an error; its last checkpoint, if any, can be resumed.
    Failed,
}

impl RunState {
    /// Whether a worker may still write to the run directory.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Preparing | Self::Running | Self::Stopping)
    }

    /// Whether the run is over (until it is resumed).
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }

    /// Whether the step `self → next` is one a run may take.
    pub fn may_become(self, next: Self) -> bool {
        use RunState::{Failed, Finished, Preparing, Queued, Running, Stopped, Stopping};
        match self {
            Queued => matches!(next, Preparing | Stopped | Failed),
            Preparing => matches!(next, Running | Stopping | Finished | Stopped | Failed),
            Running => matches!(next, Stopping | Finished | Stopped | Failed),
            Stopping => matches!(next, Stopped | Finished | Failed),
            Stopped | Failed => next == Queued,
            Finished => false,
        }
    }

    /// The key in the store.
    pub fn key(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        use RunState::{Failed, Finished, Preparing, Queued, Running, Stopped, Stopping};
        [Queued, Preparing, Running, Stopping, Stopped, Finished, Failed].into_iter().find(|s| s.key() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_never_moves_and_a_failed_one_may_only_be_queued_again() {
        for next in ["queued", "preparing", "running", "stopping", "stopped", "finished", "failed"] {
            let next = RunState::parse(next).expect("a known state");
            assert!(!RunState::Finished.may_become(next));
            assert_eq!(RunState::Failed.may_become(next), next == RunState::Queued);
        }
    }
}
