//! Reads the event logs of active attempts into the store. What was stored is the only memory: after a
//! restart reading goes on behind the last stored event.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use contract::RunId;
use contract::RunState;
use contract::event::{Event, Kind, What};
use rundir::{EventTail, RunDir};
use tokio::sync::Mutex;

use crate::error::Fault;
use crate::lanes;
use crate::state::AppState;
use crate::store::runs::Progress;

const EVERY: Duration = Duration::from_millis(200);
/// How long a turn may be overdue.
pub const LATE: Duration = Duration::from_secs(20);
/// How long the log of one run is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where an event log was read to; nothing before it was opened, or after something failed.
type Tail = Arc<Mutex<Option<EventTail>>>;

/// Where each event log was read to. Each has a lock of its own: one that is slow to read holds up no other.
#[derive(Debug, Default)]
pub struct Ingest {
    tails: std::sync::Mutex<HashMap<(RunId, u32), Tail>>,
}

/// Reads new events of every active attempt until the server shuts down.
pub async fn run(state: AppState) {
    let mut slow = HashSet::new();
    loop {
        state.loops.turns("ingest");
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let active = match state.store.active_attempts().await {
            Ok(active) => active,
            Err(fault) => {
                tracing::error!("active attempts: {fault}");
                continue;
            }
        };
        state.ingest.keep_only(active.iter().map(|a| (a.run.clone(), a.number)).collect());
        let polls = active.iter().map(|attempt| {
            let state = &state;
            async move { (&attempt.run, state.ingest.poll(state, &attempt.run, attempt.number).await) }
        });
        for (run, polled) in futures::future::join_all(polls).await {
            match polled {
                Ok(_) => {
                    slow.remove(run);
                }
                // a disk that hangs is told of once
                Err(fault) if lanes::is_slow(&fault) && !slow.insert(run.clone()) => {}
                Err(fault) => tracing::error!(%run, "events: {fault}"),
            }
        }
    }
}

impl Ingest {
    fn tails(&self) -> MutexGuard<'_, HashMap<(RunId, u32), Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_only(&self, active: Vec<(RunId, u32)>) {
        self.tails().retain(|key, _| active.contains(key));
    }

    /// Stores what an attempt's worker wrote since the last call; returns how many events were new.
    ///
    /// # Errors
    /// `disk.slow` when the log does not answer, else what reading or storing fails with.
    pub async fn poll(&self, state: &AppState, run: &RunId, attempt: u32) -> Result<usize, Fault> {
        let tail = self.tails().entry((run.clone(), attempt)).or_default().clone();
        let mut tail = tail.lock().await;
        let known = tail.take();
        let next = if known.is_some() { 0 } else { state.store.next_seq(run, attempt).await? };
        let folder = state.run_folder(run);
        let read = move || {
            let mut tail = match known {
                Some(tail) => tail,
                None => RunDir::open(&folder)?.attempt(attempt).tail(next),
            };
            let events = tail.read_new()?;
            Ok::<_, rundir::Error>((tail, events))
        };
        let (read, events) = state.lanes.at_once(format!("events {run} {attempt}"), PATIENCE, read).await??;
        let count = keep(state, run, attempt, events).await?;
        // only after the commit: a failed write is read again
        *tail = Some(read);
        Ok(count)
    }

    /// Stores everything an attempt's worker wrote: for one that is gone.
    pub async fn drain(&self, state: &AppState, run: &RunId, attempt: u32) -> Result<(), Fault> {
        while self.poll(state, run, attempt).await? > 0 {}
        Ok(())
    }
}

async fn keep(state: &AppState, run: &RunId, attempt: u32, events: Vec<Event>) -> Result<usize, Fault> {
    if events.is_empty() {
        return Ok(0);
    }
    let mut tx = state.store.begin().await?;
    let Some(mut progress) = state.store.progress(&mut tx, run).await? else { return Ok(0) };
    let new = state.store.add_events(&mut tx, run, attempt, events).await?;
    new.iter().for_each(|event| apply(&mut progress, event));
    state.store.set_progress(&mut tx, run, &progress, state.clock.now_ms()).await?;
    tx.commit().await?;
    state.hub.changed(run);
    Ok(new.len())
}

/// What an event changes of its run.
pub fn apply(progress: &mut Progress, event: &Event) {
    let What::Known(kind) = &event.what else { return };
    let mut become_ = |next: RunState| {
        if progress.state.may_become(next) {
            progress.state = next;
        }
    };
    match kind {
        Kind::Started { from_step, total_steps, .. } => {
            become_(RunState::Running);
            progress.total_steps = *total_steps;
            progress.step = *from_step;
        }
        Kind::Step { step, loss, remaining_s, .. } => {
            become_(RunState::Running);
            progress.step = *step;
            progress.loss = *loss;
            progress.remaining_s = *remaining_s;
        }
        // A measurement of answers has no loss and leaves the last one.
        Kind::Eval { eval_loss, .. } => progress.eval_loss = eval_loss.or(progress.eval_loss),
        Kind::Measuring { remaining_s, .. } => progress.remaining_s = *remaining_s,
        Kind::Stopped { step } => {
            become_(RunState::Stopped);
            progress.step = *step;
            progress.remaining_s = None;
        }
        Kind::Finished { step, .. } => {
            become_(RunState::Finished);
            progress.step = *step;
            progress.remaining_s = None;
        }
        Kind::Failed { problem, step } => {
            become_(RunState::Failed);
            progress.step = *step;
            progress.remaining_s = None;
            progress.problem = Some(problem.clone());
        }
        Kind::Preparing { .. }
        | Kind::Checkpoint { .. }
        | Kind::Log { .. }
        | Kind::Sample { .. }
        | Kind::Results { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::event::Measure;

    fn progress(state: RunState) -> Progress {
        let nothing = None;
        Progress {
            state,
            step: 0,
            total_steps: 0,
            remaining_s: nothing,
            loss: None,
            eval_loss: None,
            problem: None,
        }
    }

    fn event(kind: Kind) -> Event {
        Event { seq: 0, at_ms: 0, what: kind.into() }
    }

    #[test]
    fn a_step_does_not_undo_a_stop_that_was_asked_for() {
        let mut stopping = progress(RunState::Stopping);
        let step = Kind::Step {
            step: 4,
            loss: Some(1.5),
            learning_rate: 0.1,
            grad_norm: None,
            epoch: 0.5,
            tokens_per_second: 1.0,
            memory_bytes: 1,
            remaining_s: Some(9.0),
            metrics: Default::default(),
        };
        apply(&mut stopping, &event(step));
        assert_eq!((stopping.state, stopping.step, stopping.loss), (RunState::Stopping, 4, Some(1.5)));
        apply(&mut stopping, &event(Kind::Stopped { step: 5 }));
        assert_eq!((stopping.state, stopping.step), (RunState::Stopped, 5));
        assert_eq!(stopping.remaining_s, None);
    }

    #[test]
    fn a_measuring_tells_the_time_left() {
        let mut running = progress(RunState::Running);
        let remaining_s = Some(90.0);
        let kind = Kind::Measuring { step: 4, by: Measure::Loss, done: 8, of: 256, remaining_s };
        apply(&mut running, &event(kind));
        assert_eq!((running.state, running.remaining_s), (RunState::Running, remaining_s));
    }

    #[test]
    fn an_unknown_event_changes_nothing() {
        let mut running = progress(RunState::Running);
        let odd = Event { seq: 0, at_ms: 0, what: What::Unknown(serde_json::json!({"kind": "levitated"})) };
        apply(&mut running, &odd);
        assert_eq!(running, progress(RunState::Running));
    }
}
