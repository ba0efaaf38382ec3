//! What the worker says about its progress: events, speed and time left.

use std::collections::BTreeMap;
use std::time::Instant;

use contract::event::{Kind, Measure};
use rundir::{Error, EventWriter};

use crate::forecast::{Forecast, Left};
use crate::memory;

/// Writes events of one attempt and remembers what the ending needs.
#[derive(Debug)]
pub struct Reporter {
    events: EventWriter,
    began: Instant,
    forecast: Option<Forecast>,
    /// Last step made, over all attempts.
    pub step: u64,
}

/// One optimizer step, measured.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Step, from 1.
    pub step: u64,
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
        Self { events, began: Instant::now(), forecast: None, step: 0 }
    }

    /// Seconds since the attempt began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Reckons the time left from now on.
    pub fn set_forecast(&mut self, forecast: Forecast) {
        self.forecast = Some(forecast);
    }

    /// Takes note of rows that were measured one after the other, in so many seconds.
    pub fn measured(&mut self, by: Measure, rows: u64, seconds: f64) {
        if let Some(forecast) = &mut self.forecast {
            forecast.measured(by, rows, seconds);
        }
    }

    /// What is left of the run once `step` is made and nothing is measured after it yet.
    pub fn left_after(&self, step: u64) -> Left {
        self.forecast.map(|forecast| forecast.after_step(step)).unwrap_or_default()
    }

    /// Seconds that takes; `None` before anything was seen.
    pub fn seconds_for(&self, left: Left) -> Option<f64> {
        self.forecast.and_then(|forecast| forecast.seconds(left)).and_then(finite)
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

    /// Appends a step with speed and time left, measuring included; returns the seconds left, if they are known.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn step(&mut self, made: &StepReport) -> Result<Option<f64>, Error> {
        if let Some(forecast) = &mut self.forecast {
            forecast.stepped(made.seconds);
        }
        self.step = made.step;
        let remaining_s = self.seconds_for(self.left_after(made.step));
        self.event(Kind::Step {
            step: made.step,
            loss: finite(made.loss),
            learning_rate: made.learning_rate,
            grad_norm: finite(made.grad_norm),
            epoch: made.epoch,
            tokens_per_second: made.tokens as f64 / made.seconds.max(1e-6),
            memory_bytes: memory::resident(),
            remaining_s,
            metrics: finite_only(&made.metrics),
        })?;
        Ok(remaining_s)
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
