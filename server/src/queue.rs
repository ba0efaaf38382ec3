//! Decides which runs train. It looks at the store and at processes, twice a second and whenever it is woken,
//! and brings the two into line; it remembers nothing, so a restarted server goes on where it stood.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::Code;
use contract::listed::Listed;
use contract::worker::EXIT_STOPPED;
use contract::{Problem, RunId, RunState};
use rundir::RunDir;

use crate::error::Fault;
use crate::state::AppState;
use crate::store::attempts::Active;
use crate::store::runs::RunRow;
use crate::{executor, lanes, proc, stops};

const EVERY: Duration = Duration::from_millis(500);
/// How long a turn may be overdue.
pub const LATE: Duration = Duration::from_secs(20);
/// How long a begun attempt may be without a process before it counts as lost.
const GRACE_MS: i64 = 3000;

/// How worker processes of this server ended.
#[derive(Debug, Default)]
pub struct Exits(Mutex<HashMap<(RunId, u32), ExitStatus>>);

impl Exits {
    /// Notes how an attempt's process ended.
    pub fn note(&self, run: RunId, attempt: u32, status: ExitStatus) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((run, attempt), status);
    }

    fn take(&self, run: &RunId, attempt: u32) -> Option<ExitStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(run.clone(), attempt))
    }
}

/// Runs until the server shuts down.
pub async fn run(state: AppState) {
    loop {
        state.loops.turns("queue");
        if let Err(fault) = tick(&state).await {
            tracing::error!("queue: {fault}");
        }
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = state.wake.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn tick(state: &AppState) -> Result<(), Fault> {
    let mut busy = 0;
    let active = state.store.active_attempts().await?;
    // side by side: a run whose folder hangs holds up no other
    let looks = active.iter().map(|attempt| async move { (attempt, look_at(state, attempt).await) });
    for (attempt, look) in futures::future::join_all(looks).await {
        match look {
            Ok(true) => {}
            Ok(false) => busy += 1,
            Err(fault) => {
                // One that is looked at again takes a place from others only where its process may be there.
                let gone = match attempt.process {
                    Some((pid, start)) => !proc::is_alive(pid, start),
                    None => lanes::is_slow(&fault),
                };
                busy += usize::from(!gone);
                tracing::error!(run = %attempt.run, "attempt {}: {fault}", attempt.number);
            }
        }
    }
    while busy < state.config.train_at_once
        && !state.shutdown.is_cancelled()
        && let Some(run) = state.store.next_queued().await?
    {
        let run = match run {
            Listed::Read(run) => run,
            // It fails alone: those behind it go on (F7).
            Listed::Unreadable(odd) => {
                fail(state, &RunId(odd.id.clone()), &odd.unreadable).await?;
                continue;
            }
        };
        busy += 1;
        if let Err(fault) = start(state, &run).await {
            for problem in fault.into_problems() {
                fail(state, &run.summary.id, &problem).await?;
            }
        }
    }
    Ok(())
}

/// Whether the attempt is over; ends it when its process is gone.
async fn look_at(state: &AppState, attempt: &Active) -> Result<bool, Fault> {
    let (run, number) = (&attempt.run, attempt.number);
    let process = match attempt.process {
        Some(process) => Some(process),
        None => adopt(state, attempt).await?,
    };
    match process {
        Some((pid, start)) if proc::is_alive(pid, start) => {
            if state.store.run_state(run).await?.is_some_and(|(now, _)| now == RunState::Stopping) {
                stops::enforce(state, run, number, (pid, start)).await?;
            }
            return Ok(false);
        }
        None if state.clock.now_ms() - attempt.started_ms < GRACE_MS => return Ok(false),
        _ => {}
    }
    if process.is_none() {
        // Nobody knows whether a worker was started: whatever it would make counts no more (F12).
        let path = state.run_folder(run);
        let revoke = move || RunDir::open(&path).and_then(|folder| folder.attempt(number).revoke());
        if let Err(why) = state.lanes.at_once(format!("folder {run}"), lanes::PATIENCE, revoke).await? {
            tracing::warn!(%run, attempt = number, "{why}");
        }
    }
    let folder = state.run_folder(run);
    let name = format!("folder {run}");
    if state.lanes.at_once(name, lanes::PATIENCE, move || folder.exists()).await? {
        // What cannot be read now may be read later: the attempt stays open until its last events are here (R23).
        state.ingest.drain(state, run, number).await?;
    }
    let path = state.run_folder(run);
    let read = move || RunDir::open(&path).and_then(|folder| folder.result()).ok().flatten();
    let finished = state.lanes.at_once(format!("folder {run}"), lanes::PATIENCE, read).await?.is_some();
    let now = state.store.run_state(run).await?.map(|(now, _)| now).filter(|now| now.is_live());
    // Taken once nothing that may be looked at again can fail before it: they are there only once.
    let (status, killed) = (state.exits.take(run, number), state.stops.over(run));
    if let Some(now) = now {
        end(state, run, number, Gone { now, finished, status, killed }).await?;
    }
    state.store.end_attempt(run, number, state.clock.now_ms()).await?;
    state.hub.changed(run);
    Ok(true)
}

/// A process that is gone without a word of its end.
struct Gone {
    /// The run's state.
    now: RunState,
    /// Whether its result stands.
    finished: bool,
    /// How it ended, where this server is its parent.
    status: Option<ExitStatus>,
    /// Whether it had to be killed.
    killed: bool,
}

/// Ends the run of a process that is gone: finished where its result stands (that decides before exit codes do), stopped
/// where that was asked for, else failed with the reason.
async fn end(state: &AppState, run: &RunId, number: u32, gone: Gone) -> Result<(), Fault> {
    let stopped =
        gone.now == RunState::Stopping || gone.status.and_then(|status| status.code()) == Some(EXIT_STOPPED);
    let next = match (gone.finished, gone.killed) {
        (true, _) => Some(RunState::Finished),
        (false, false) if stopped => Some(RunState::Stopped),
        _ => None,
    };
    if let Some(next) = next {
        state.store.move_run(run, next, None, state.clock.now_ms()).await?;
        return Ok(());
    }
    let problem = if gone.killed { unresponsive() } else { why_it_ended(gone.status) };
    tracing::warn!(%run, attempt = number, "{}; last words: {}", problem.message, last_words(state, run, number));
    fail(state, run, &problem).await
}

/// Why a run failed that was only to stop.
fn unresponsive() -> Problem {
    Problem::new(Code::WorkerUnresponsive, "The worker did not stop when asked, did nothing, and was ended.")
        .hint("Resume the run: it goes on from its last checkpoint.")
}

/// The process of an attempt whose server died between starting it and noting it.
async fn adopt(state: &AppState, attempt: &Active) -> Result<Option<(u32, u64)>, Fault> {
    let (path, number) = (state.run_folder(&attempt.run), attempt.number);
    let look = move || {
        let Ok(folder) = RunDir::open(&path) else { return Ok(None) };
        let dir = folder.attempt(number);
        if dir.is_alive()? { dir.worker() } else { Ok(None) }
    };
    let name = format!("folder {}", attempt.run);
    let found = state.lanes.at_once(name, lanes::PATIENCE, look).await??;
    let Some(info) = found.filter(|info| !info.is_of_another_boot()) else { return Ok(None) };
    let Some(start) = proc::start_ticks(info.pid) else { return Ok(None) };
    state.store.set_process(&attempt.run, attempt.number, info.pid, start).await?;
    Ok(Some((info.pid, start)))
}

async fn start(state: &AppState, run: &RunRow) -> Result<(), Fault> {
    let id = &run.summary.id;
    let path = state.run_folder(id);
    let spec = run.spec.clone();
    let prepare = move || {
        let folder = RunDir::open(&path).or_else(|_| RunDir::create(&path, &spec))?;
        let attempt = folder.begin_attempt()?;
        Ok::<_, rundir::Error>((folder, attempt))
    };
    let name = format!("folder {id}");
    let (folder, attempt) = state.lanes.at_once(name, lanes::PATIENCE, prepare).await??;
    if !state.store.begin_attempt(id, attempt.number(), state.clock.now_ms()).await? {
        return Ok(());
    }
    let started = executor::train(state, id, &folder, &attempt).await;
    state.hub.changed(id);
    if let Err(fault) = started {
        tracing::error!(run = %id, "{fault}");
        state.store.end_attempt(id, attempt.number(), state.clock.now_ms()).await?;
        return Err(Problem::new(Code::WorkerMissing, "The worker could not be started.")
            .hint("Build or install burnish-worker, see burnish doctor, then resume the run.")
            .into());
    }
    Ok(())
}

async fn fail(state: &AppState, run: &RunId, problem: &Problem) -> Result<(), Fault> {
    state.store.move_run(run, RunState::Failed, Some(problem), state.clock.now_ms()).await?;
    state.hub.changed(run);
    Ok(())
}

fn last_words(state: &AppState, run: &RunId, attempt: u32) -> String {
    let path = RunDir::open(&state.run_folder(run)).map(|folder| folder.attempt(attempt).stderr_path());
    let text = path.map(|path| crate::services::tail_of(&path, 4096)).unwrap_or_default();
    executor::last_line(&text).to_owned()
}

/// Why a worker that said nothing of its end is gone. Its last words stay in the logs: they may be a raw panic.
fn why_it_ended(status: Option<ExitStatus>) -> Problem {
    let resume = "Resume the run: it goes on from its last checkpoint.";
    match status.map(|status| (status.signal(), status.code())) {
        Some((Some(9), _)) => Problem::new(
            Code::WorkerKilled,
            "The worker was killed (signal 9), most likely because the machine ran out of memory.",
        )
        .hint("Use a smaller batch or shorter lengths, or free memory; then resume the run."),
        Some((Some(signal), _)) => {
            Problem::new(Code::WorkerSignal, format!("The worker was ended by signal {signal}."))
                .with("signal", signal)
                .hint(resume)
        }
        Some((None, Some(code))) => {
            Problem::new(Code::WorkerEnded, format!("The worker ended with code {code}."))
                .with("code", code)
                .hint(resume)
        }
        _ => Problem::new(Code::WorkerLost, "The worker is gone and left no word why.").hint(resume),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_worker_is_told_in_words() {
        let killed = why_it_ended(Some(ExitStatus::from_raw(9)));
        assert!(killed.message.contains("memory") && killed.hint.is_some());
        let ended = why_it_ended(Some(ExitStatus::from_raw(101 << 8)));
        assert!(ended.message.contains("101"));
        assert_eq!(why_it_ended(None).code, Code::WorkerLost);
    }
}
