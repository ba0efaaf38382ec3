//! How long a run still takes, its measuring included.

use contract::event::Measure;
use contract::measuring::Measuring;

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Optimizer steps.
    pub steps: u64,
    /// Held-out rows to be measured, each as often as it is.
    pub rows: u64,
    /// Held-out questions to be answered.
    pub answers: u64,
}

/// Seconds that steps, measured rows and answers take. Where one of them was not seen yet, it follows from the others
/// by the work that [`Measuring`] counts.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    plan: Measuring,
    step_s: Option<f64>,
    row_s: Option<f64>,
    answer_s: Option<f64>,
}

/// Weight of the newest step in the running mean of step times.
const NEWEST: f64 = 0.1;

impl Forecast {
    /// Of a run that measures so much.
    pub fn new(plan: Measuring) -> Self {
        Self { plan, step_s: None, row_s: None, answer_s: None }
    }

    /// Takes note of a step.
    pub fn stepped(&mut self, seconds: f64) {
        self.step_s = Some(self.step_s.map_or(seconds, |mean| mean + NEWEST * (seconds - mean)));
    }

    /// Takes note of rows that were measured one after the other.
    pub fn measured(&mut self, by: Measure, rows: u64, seconds: f64) {
        if rows == 0 {
            return;
        }
        let each = Some(seconds / rows as f64);
        match by {
            Measure::Loss => self.row_s = each,
            Measure::Answers => self.answer_s = each,
        }
    }

    /// What is left once `step` is made and nothing is measured after it yet.
    pub fn after_step(&self, step: u64) -> Left {
        let Measuring { total_steps, answers, .. } = self.plan;
        Left { steps: total_steps.saturating_sub(step), rows: self.plan.rows_from(step), answers }
    }

    /// Seconds for what is left; `None` before anything was seen.
    pub fn seconds(&self, left: Left) -> Option<f64> {
        let Measuring { step_passes, row_passes, answer_passes, .. } = self.plan;
        let pass_s = match (self.step_s, self.row_s) {
            (Some(step_s), _) => step_s / step_passes,
            (None, row_s) => row_s? / row_passes,
        };
        let of = |count: u64, seen: Option<f64>, passes: f64| match count {
            0 => 0.0,
            _ => count as f64 * seen.unwrap_or(pass_s * passes),
        };
        Some(
            of(left.steps, self.step_s, step_passes)
                + of(left.rows, self.row_s, row_passes)
                + of(left.answers, self.answer_s, answer_passes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 steps of 8 forward passes each; 2 rows measured before, after step 2 and at the end; one answer.
    fn forecast() -> Forecast {
        Forecast::new(Measuring {
            total_steps: 4,
            rows: 2,
            first: true,
            every: 2,
            saves: 4,
            all: 10,
            answers: 1,
            step_passes: 8.0,
            row_passes: 1.0,
            answer_passes: 16.0,
        })
    }

    #[test]
    fn the_time_left_includes_the_measuring_to_come() {
        let mut forecast = forecast();
        assert_eq!(forecast.seconds(forecast.after_step(0)), None, "nothing was seen");
        forecast.stepped(8.0);
        // 3 steps of 8 s, 2 + 2 + 10 rows of 1 s, an answer of 16 s.
        assert_eq!(forecast.after_step(1), Left { steps: 3, rows: 14, answers: 1 });
        assert_eq!(forecast.seconds(forecast.after_step(1)), Some(24.0 + 14.0 + 16.0));
        assert_eq!(forecast.seconds(forecast.after_step(4)), Some(12.0 + 16.0), "it ends with measuring");
    }

    #[test]
    fn what_was_seen_takes_the_place_of_what_was_reckoned() {
        let mut forecast = forecast();
        forecast.measured(Measure::Loss, 0, 5.0);
        assert_eq!(forecast.seconds(Left { steps: 1, ..Left::default() }), None);
        forecast.measured(Measure::Loss, 2, 1.0);
        assert_eq!(forecast.seconds(Left { steps: 1, rows: 2, answers: 0 }), Some(4.0 + 1.0));
        forecast.stepped(8.0);
        forecast.stepped(18.0);
        assert_eq!(forecast.seconds(Left { steps: 1, rows: 2, answers: 0 }), Some(9.0 + 1.0));
        forecast.measured(Measure::Answers, 2, 6.0);
        assert_eq!(forecast.seconds(Left { steps: 0, rows: 0, answers: 3 }), Some(9.0));
    }
}
