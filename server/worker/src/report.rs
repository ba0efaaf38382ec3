//! What the worker says about its progress: events, speed and time left.

use std::collections::BTreeMap;
use std::time::Instant;

use contract::event::Kind;
use rundir::{Error, EventWriter};

use crate::memory;

/// Weight of the newest step in the running mean of step times.
const NEWEST: f64 = 0.1;

/// Writes events of one attempt and remembers what the ending needs.
#[derive(Debug)]
pub struct Reporter {
    events: EventWriter,
    began: Instant,
    mean_seconds: Option<f64>,
    /// Last step made, over all attempts.
    pub step: u64,
}

/// One optimizer step, measured.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Step, from 1.
    pub step: u64,
    /// Steps of the whole run.
    pub total: u64,
    /// Mean loss.
    pub loss: f64,
    /// Learning rate it was made with.
    pub learning_rate: f64,
    /// L2 norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Rounds through the data so far.
    pub epoch: f64,
    /// Tokens read, padding not counted.
    pub tokens: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Numbers of the stage.
    pub metrics: BTreeMap<String, f64>,
}

impl Reporter {
    /// Begins an attempt's report.
    pub fn new(events: EventWriter) -> Self {
        Self { events, began: Instant::now(), mean_seconds: None, step: 0 }
    }

    /// Seconds since the attempt began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Appends any event.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn event(&mut self, kind: Kind) -> Result<(), Error> {
        self.events.append(kind)
    }

    /// Appends a line for the log pane.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn log(&mut self, level: &str, text: impl Into<String>) -> Result<(), Error> {
        self.event(Kind::Log { level: level.to_owned(), text: text.into() })
    }

    /// Appends the phase before the first step.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn preparing(&mut self, phase: &str) -> Result<(), Error> {
        self.event(Kind::Preparing { phase: phase.to_owned() })
    }

    /// Appends a step with speed and time left; returns the seconds left.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn step(&mut self, made: &StepReport) -> Result<f64, Error> {
        let mean = self.mean_seconds.map_or(made.seconds, |mean| mean + NEWEST * (made.seconds - mean));
        self.mean_seconds = Some(mean);
        self.step = made.step;
        let left = made.total.saturating_sub(made.step) as f64 * mean;
        self.event(Kind::Step {
            step: made.step,
            loss: finite(made.loss),
            learning_rate: made.learning_rate,
            grad_norm: finite(made.grad_norm),
            epoch: made.epoch,
            tokens_per_second: made.tokens as f64 / made.seconds.max(1e-6),
            memory_bytes: memory::resident(),
            remaining_s: finite(left),
            metrics: finite_only(&made.metrics),
        })?;
        Ok(left)
    }
}

/// Numbers that JSON can say.
pub fn finite_only(metrics: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    metrics
        .iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

/// `None` for NaN and infinity, which JSON cannot say.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
