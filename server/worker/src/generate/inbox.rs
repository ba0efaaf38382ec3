//! Commands from stdin, read by a thread of their own so that a cancel is heard in mid-answer.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use contract::Code;
use contract::problem::Problem;
use contract::worker::GenerateCommand;

/// Commands in order, and what was cancelled meanwhile.
pub(super) struct Inbox {
    commands: Receiver<Result<GenerateCommand, Problem>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cancelled: Mutex<BTreeSet<u64>>,
    closed: AtomicBool,
}

impl Inbox {
    /// Starts reading stdin.
    pub(super) fn listen() -> Self {
        let (sender, commands) = channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            read(std::io::stdin().lock(), &sender, &theirs);
            theirs.closed.store(true, Ordering::Relaxed);
        });
        Self { commands, shared }
    }

    /// The next command; `None` once stdin is closed. Commands that were waiting then are not served.
    pub(super) fn next(&self) -> Option<Result<GenerateCommand, Problem>> {
        let command = self.commands.recv().ok()?;
        Some(command)
    }

    /// Whether a request's answer is no longer wanted.
    pub(super) fn is_cancelled(&self, request: u64) -> bool {
        self.shared.closed.load(Ordering::Relaxed) || self.shared.ids().contains(&request)
    }

    /// Forgets a request that was answered.
    pub(super) fn forget(&self, request: u64) {
        self.shared.ids().remove(&request);
    }
}

impl Shared {
    fn ids(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(input: impl BufRead, sender: &Sender<Result<GenerateCommand, Problem>>, shared: &Shared) {
    for line in input.lines() {
        let Ok(line) = line else { break };
        if line.trim().is_empty() {
            continue;
        }
        let command = serde_json::from_str(&line).map_err(|why| {
            Problem::new(Code::WorkerCommand, format!("This command cannot be read: {why}.")).with("why", why)
        });
        if let Ok(GenerateCommand::Cancel { request }) = &command {
            shared.ids().insert(*request);
            continue;
        }
        if sender.send(command).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_overtakes_what_waits_and_rubbish_is_answered() {
        let (sender, commands) = channel();
        let shared = Shared::default();
        let lines = "{\"command\":\"load\",\"model\":\"m\",\"checkpoint\":null}\n\nrubbish\n{\"command\":\"cancel\",\"request\":3}\n";
        read(lines.as_bytes(), &sender, &shared);
        assert!(shared.ids().contains(&3));
        assert!(matches!(commands.recv(), Ok(Ok(GenerateCommand::Load { .. }))));
        assert!(matches!(commands.recv(), Ok(Err(problem)) if problem.code == Code::WorkerCommand));
        assert!(commands.try_recv().is_err());
    }
}
