//! Stops that hold. What a person asked for stands in the row (`stopping`); every turn of the queue brings it about and
//! asks again until it is so, with more force each time: the file in the run's control folder, SIGTERM to the process
//! group, SIGKILL to a process that does nothing any more (R19). A server that was restarted begins to count anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::RunId;
use rundir::{Request, RunDir};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::error::Fault;
use crate::lanes;
use crate::proc::{self, Activity};
use crate::state::AppState;

/// After this a process that still runs gets SIGTERM, and again each time it has passed.
const TERM: Duration = Duration::from_secs(8);
/// After this a process that hangs is killed.
const KILL: Duration = Duration::from_secs(16);
/// How long a process does nothing before it hangs: no processor time, nothing read or written.
const QUIET: Duration = Duration::from_secs(4);
/// After this a process is killed whatever it does. Until then one that works is let save what it has learned.
const MOST: Duration = Duration::from_secs(600);

/// A stop that was asked for and has not come about.
#[derive(Clone, Debug)]
struct Pending {
    attempt: u32,
    since: Instant,
    termed: Option<Instant>,
    seen: Option<Activity>,
    /// Since when nothing of it has changed.
    quiet: Instant,
    killed: bool,
}

/// The stops that are being brought about.
#[derive(Debug, Default)]
pub struct Stops(Mutex<HashMap<RunId, Pending>>);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Term,
    Kill,
}

impl Pending {
    fn new(attempt: u32, now: Instant) -> Self {
        Self { attempt, since: now, termed: None, seen: None, quiet: now, killed: false }
    }

    /// Takes note of what the process has done by `now`, and says what is due.
    fn look(&mut self, seen: Option<Activity>, now: Instant) -> Due {
        if self.seen != seen {
            (self.seen, self.quiet) = (seen, now);
        }
        let stopped = self.seen.as_ref().is_some_and(Activity::is_stopped);
        // A process that waits for the disk does nothing and does not hang.
        let waits = self.seen.as_ref().is_some_and(Activity::waits_for_disk);
        let hangs = stopped || (!waits && now - self.quiet >= QUIET);
        let passed = now - self.since;
        if passed >= MOST || (passed >= KILL && hangs) {
            self.killed = true;
            return Due::Kill;
        }
        if passed >= TERM && self.termed.is_none_or(|last| now - last >= TERM) {
            self.termed = Some(now);
            return Due::Term;
        }
        Due::Nothing
    }
}

impl Stops {
    fn due(&self, run: &RunId, attempt: u32, seen: Option<Activity>) -> Due {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = all.entry(run.clone()).or_insert_with(|| Pending::new(attempt, now));
        if pending.attempt != attempt {
            *pending = Pending::new(attempt, now);
        }
        pending.look(seen, now)
    }

    /// Forgets a run whose process is gone; tells whether it had to be killed.
    pub fn over(&self, run: &RunId) -> bool {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
        gone.is_some_and(|pending| pending.killed)
    }
}

/// Brings a stop of a live process about, as far as that is due.
///
/// # Errors
/// A control folder that cannot be written; signals are sent all the same.
pub async fn enforce(state: &AppState, run: &RunId, attempt: u32, process: (u32, u64)) -> Result<(), Fault> {
    let due = state.stops.due(run, attempt, proc::activity(process.0));
    match due {
        Due::Nothing => {}
        Due::Term => {
            tracing::info!(%run, attempt, "it does not stop; SIGTERM");
            signal(process, Signal::TERM);
        }
        Due::Kill => {
            tracing::warn!(%run, attempt, "it does not stop; SIGKILL");
            signal(process, Signal::KILL);
        }
    }
    let path = state.run_folder(run);
    let ask = move || {
        let control = RunDir::open(&path)?.control();
        if control.is_requested(Request::Stop) || control.is_seen(Request::Stop) {
            return Ok(());
        }
        control.request(Request::Stop)
    };
    Ok(state.lanes.at_once(format!("control {run}"), lanes::PATIENCE, ask).await??)
}

/// Sends a signal to a process that is known by id and start, and to its group. A process that took the id since is not
/// met: the descriptor is opened first, then the start is compared.
fn signal((pid, start): (u32, u64), signal: Signal) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if !proc::is_alive(pid, start) {
        return;
    }
    // Each worker leads a group of its own; while it is there, the number is its group's.
    let sent = [kill_process_group(id, signal), pidfd_send_signal(process, signal)];
    if let Some(why) = sent.into_iter().find_map(Result::err) {
        tracing::warn!("signal {signal:?} to process {pid}: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(ticks: u64) -> Option<Activity> {
        Some(Activity { state: 'S', ticks, io: String::new() })
    }

    /// What is due after each second, of a process that does `does` in that second.
    fn course(seconds: u64, does: impl Fn(u64) -> Option<Activity>) -> Vec<(u64, Due)> {
        let began = Instant::now();
        let mut pending = Pending::new(1, began);
        (0..seconds)
            .map(|second| (second, pending.look(does(second), began + Duration::from_secs(second))))
            .filter(|(_, due)| *due != Due::Nothing)
            .collect()
    }

    #[test]
    fn f9_r19_a_process_that_hangs_is_killed_within_25_seconds() {
        assert_eq!(course(17, |_| doing(1)), [(8, Due::Term), (16, Due::Kill)]);
        let stopped = |second| Some(Activity { state: 'T', ticks: second, io: String::new() });
        assert_eq!(course(17, stopped), [(8, Due::Term), (16, Due::Kill)], "SIGSTOP");
        let later = |second: u64| doing(second.min(20));
        assert_eq!(
            course(30, later),
            [
                (8, Due::Term),
                (16, Due::Term),
                (24, Due::Kill),
                (25, Due::Kill),
                (26, Due::Kill),
                (27, Due::Kill),
                (28, Due::Kill),
                (29, Due::Kill)
            ]
        );
    }

    #[test]
    fn f9_a_process_that_saves_is_let_save_but_not_for_ever() {
        let busy = course(610, doing);
        assert!(busy.iter().all(|(at, due)| (*due == Due::Kill) == (*at >= 600)), "{busy:?}");
        let disk = |_| Some(Activity { state: 'D', ticks: 1, io: String::new() });
        assert!(course(599, disk).iter().all(|(_, due)| *due == Due::Term), "an fsync may take long");
    }

    #[test]
    fn another_attempt_is_counted_anew() {
        let stops = Stops::default();
        let run = RunId("r1".to_owned());
        assert_eq!(stops.due(&run, 1, doing(1)), Due::Nothing);
        assert_eq!(stops.due(&run, 2, doing(1)), Due::Nothing);
        assert!(!stops.over(&run), "nobody was killed");
    }
}
