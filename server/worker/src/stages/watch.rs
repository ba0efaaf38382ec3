//! A measuring on its way: it tells how far it is, and hears a stop.

use std::time::{Duration, Instant};

use contract::event::{Kind, Measure};
use contract::problem::Problem;
use rundir::{Control, Request};

use crate::forecast::Left;
use crate::report::Reporter;
use crate::signals::Signals;

/// Shortest pause between two events of a measuring.
const PAUSE: Duration = Duration::from_secs(1);

/// Part of the time passed that lies between two events, so that a long measuring writes few.
const PART: u32 = 50;

/// Hears whether a stop was asked for: in the control folder, or by SIGTERM.
#[derive(Clone, Debug)]
pub struct Ears {
    control: Control,
    signals: Signals,
}

impl Ears {
    /// Of a run.
    pub fn new(control: Control, signals: Signals) -> Self {
        Self { control, signals }
    }

    /// Whether it was asked for. Cheap enough to be asked at every token.
    pub fn stop_asked(&self) -> bool {
        self.signals.stop_asked() || self.control.is_requested(Request::Stop)
    }

    /// Takes the request, for it is being followed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn take_stop(&self) -> Result<(), Problem> {
        self.control.take(Request::Stop)?;
        Ok(())
    }

    /// Whether a checkpoint was asked for, once for each time.
    pub(super) fn take_checkpoint(&self) -> Result<bool, Problem> {
        Ok(self.control.take(Request::Checkpoint)?)
    }
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Step after which it is.
    pub(super) step: u64,
    /// How.
    pub(super) by: Measure,
    /// Rows.
    pub(super) of: u64,
    /// What is left of the run after it.
    pub(super) then: Left,
}

/// Counts what was measured.
pub(super) struct Watch<'a> {
    pub(super) report: &'a mut Reporter,
    ears: &'a Ears,
    task: Task,
    done: u64,
    began: Instant,
    told: Duration,
}

impl<'a> Watch<'a> {
    /// Tells that it begins.
    pub(super) fn begin(report: &'a mut Reporter, ears: &'a Ears, task: Task) -> Result<Self, Problem> {
        let mut watch = Self { report, ears, task, done: 0, began: Instant::now(), told: Duration::ZERO };
        watch.tell()?;
        Ok(watch)
    }

    /// Whether a stop was asked for: what was measured so far is then given up.
    pub(super) fn stop_asked(&self) -> bool {
        self.ears.stop_asked()
    }

    /// Takes note of rows that were measured, and tells it when it is time.
    pub(super) fn count(&mut self, rows: usize) -> Result<(), Problem> {
        self.done += rows as u64;
        let passed = self.began.elapsed();
        self.report.measured(self.task.by, self.done, passed.as_secs_f64());
        if is_time(passed, self.told) {
            self.told = passed;
            self.tell()?;
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<(), Problem> {
        let Task { step, by, of, mut then } = self.task;
        let here = of.saturating_sub(self.done);
        match by {
            Measure::Loss => then.rows += here,
            Measure::Answers => then.answers += here,
        }
        let remaining_s = self.report.seconds_for(then);
        Ok(self.report.event(Kind::Measuring { step, by, done: self.done, of, remaining_s })?)
    }
}

/// Whether an event is due when so much time has passed since the beginning, the last one having come at `told`.
fn is_time(passed: Duration, told: Duration) -> bool {
    passed.saturating_sub(told) >= PAUSE.max(passed / PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_once_a_second_at_most_and_more_seldom_as_time_goes_by() {
        let events = |seconds: u64| {
            let (mut told, mut events) = (Duration::ZERO, 0);
            for passed in (0..seconds * 10).map(|tenths| Duration::from_millis(100 * tenths)) {
                if is_time(passed, told) {
                    (told, events) = (passed, events + 1);
                }
            }
            events
        };
        assert_eq!((events(1), events(11)), (0, 10));
        assert!((150..300).contains(&events(28 * 60)), "{}", events(28 * 60));
    }
}
