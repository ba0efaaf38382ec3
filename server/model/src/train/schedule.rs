//! Learning-rate schedules as transformers computes them.

use std::f64::consts::{PI, TAU};

/// Shape of a schedule after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Down to zero in a straight line.
    Linear,
    /// Down to zero along half a cosine.
    Cosine,
    /// Unchanged; warm-up, if any, is linear.
    Constant,
    /// Several cosines, each from the top.
    CosineWithRestarts {
        /// How many.
        cycles: u32,
    },
    /// `(1 - progress)^power` down to `end`.
    Polynomial {
        /// Exponent.
        power: f64,
        /// Last rate.
        end: f64,
    },
}

/// Learning rate by step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Shape.
    pub kind: ScheduleKind,
    /// Highest rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up; the first of them has rate 0.
    pub warmup_steps: u64,
    /// Optimizer steps in all.
    pub total_steps: u64,
}

impl Schedule {
    /// Rate with which optimizer step `step` (from 0) is made.
    pub fn rate(&self, step: u64) -> f64 {
        let (step, warmup, total) = (step as f64, self.warmup_steps as f64, self.total_steps as f64);
        if step < warmup {
            return self.learning_rate * (step / warmup.max(1.0));
        }
        let span = (total - warmup).max(1.0);
        let progress = (step - warmup) / span;
        match self.kind {
            ScheduleKind::Constant => self.learning_rate,
            ScheduleKind::Linear => self.learning_rate * ((total - step) / span).max(0.0),
            ScheduleKind::Cosine => {
                self.learning_rate * (0.5 * (1.0 + (TAU * 0.5 * progress).cos())).max(0.0)
            }
            ScheduleKind::CosineWithRestarts { .. } if progress >= 1.0 => 0.0,
            ScheduleKind::CosineWithRestarts { cycles } => {
                self.learning_rate
                    * (0.5 * (1.0 + (PI * ((f64::from(cycles) * progress) % 1.0)).cos())).max(0.0)
            }
            ScheduleKind::Polynomial { end, .. } if step > total => end,
            ScheduleKind::Polynomial { power, end } => {
                (self.learning_rate - end) * (1.0 - progress).powf(power) + end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_starts_at_zero_and_the_end_is_zero() {
        let schedule =
            Schedule { kind: ScheduleKind::Linear, learning_rate: 1.0, warmup_steps: 2, total_steps: 4 };
        assert_eq!([0, 1, 2, 3, 4, 9].map(|step| schedule.rate(step)), [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]);
    }
}
