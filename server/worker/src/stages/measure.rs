//! Measuring held-out rows: a fixed draw of them on the way, all of them once at the end where that is asked for.

use std::collections::BTreeMap;
use std::time::Instant;

use contract::checkpoint::LoopState;
use contract::event::{Kind, Measure};
use contract::measuring::Measuring;
use contract::params::Hyper;
use contract::problem::Problem;
use contract::results::{Numbers, speed};
use model::kernels::Kernels;

use super::training::Loop;
use super::watch::{Task, Watch};
use crate::data::Plan;
use crate::forecast::Left;
use crate::learner::Measured;
use crate::report::{finite, finite_only};

/// What became of a measuring.
enum Outcome {
    /// The mean loss, where it is a number.
    Measured(Option<f64>),
    /// A stop was asked for first; nothing is recorded.
    Stopped,
}

/// What is told of the last measuring: `eval_` before every number, as the log has them, and how long it took.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// After which step.
    step: u64,
    numbers: Numbers,
    speed: Numbers,
}

/// Which rows are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// Those of the draw.
    Draw,
    /// All that are held out.
    All,
}

impl<B: Kernels> Loop<'_, B> {
    /// Measures the draw after `step` and reports.
    fn evaluate(&mut self, step: u64) -> Result<Outcome, Problem> {
        let mut then = self.report.left_after(step);
        then.rows -= self.measuring.rows.min(then.rows);
        let Some((measured, speed)) = self.measure(step, Which::Draw, then)? else {
            return Ok(Outcome::Stopped);
        };
        self.state.owes_measuring = false;
        let (eval_loss, metrics) = self.numbers(&measured);
        self.told = Told { step, numbers: told(eval_loss, &metrics), speed };
        if step == 0 {
            self.state.base_eval_loss = eval_loss;
        }
        self.log.eval(step, eval_loss, &metrics)?;
        self.report.event(Kind::Eval { step, eval_loss, metrics: finite_only(&metrics) })?;
        Ok(Outcome::Measured(eval_loss))
    }

    /// Measures all held-out rows, where that is asked for and more than the draw; `None` when a stop was asked for
    /// first. Its numbers have names of their own, for they do not compare with those of the draw.
    pub(super) fn measure_all(&mut self, step: u64) -> Result<Option<BTreeMap<String, f64>>, Problem> {
        if self.measuring.all == 0 {
            return Ok(Some(BTreeMap::new()));
        }
        let then = Left { answers: self.measuring.answers, ..Left::default() };
        let Some((measured, speed)) = self.measure(step, Which::All, then)? else { return Ok(None) };
        let (loss, mut metrics) = self.numbers(&measured);
        self.told = Told { step, numbers: told(loss, &metrics), speed };
        metrics.extend(loss.map(|loss| ("loss".to_owned(), loss)));
        let metrics: BTreeMap<_, _> =
            metrics.into_iter().map(|(name, value)| (format!("{name}_all_rows"), value)).collect();
        self.report.event(Kind::Eval { step, eval_loss: None, metrics: finite_only(&metrics) })?;
        Ok(Some(metrics))
    }

    fn numbers(&self, measured: &Measured) -> (Option<f64>, BTreeMap<String, f64>) {
        let loss = measured.loss().and_then(finite);
        let mut metrics = measured.metrics();
        self.recipe.extend(loss, &mut metrics);
        (loss, metrics)
    }

    /// The numbers of `eval_results.json` for the weights of `step`: of all held-out rows where they were measured, else
    /// of the draw (S-161, S-162).
    pub(super) fn eval_results(&self, step: u64) -> Numbers {
        let mut numbers = if self.told.step == step && !self.told.numbers.is_empty() {
            self.told.numbers.clone()
        } else {
            self.log.evaluated(step)
        };
        if let Some(perplexity) = numbers.remove("eval_perplexity") {
            numbers.insert("perplexity".to_owned(), perplexity);
        }
        if !numbers.is_empty() {
            numbers.extend(self.told.speed.clone());
        }
        numbers
    }

    /// Measures rows; gives what came of it and how fast that was. `None` when a stop was asked for first.
    fn measure(
        &mut self,
        step: u64,
        which: Which,
        then: Left,
    ) -> Result<Option<(Measured, Numbers)>, Problem> {
        let rows = match which {
            Which::Draw => self.held_out.draw(),
            Which::All => self.held_out.all(),
        };
        let task = Task { step, by: Measure::Loss, of: rows.len() as u64, then };
        let mut watch = Watch::begin(&mut *self.report, &self.ears, task)?;
        let stopped = || self.ears.stop_asked();
        let (mut measured, began) = (Measured::default(), Instant::now());
        let batch = self.spec.hyper.per_device_train_batch_size.max(1);
        for places in rows.chunks(batch) {
            if stopped() || !self.held_out.wait_for(places, &stopped)? {
                return Ok(None);
            }
            self.recipe.measure(&self.learner, places, &mut measured)?;
            watch.count(places.len())?;
        }
        let steps = rows.len().div_ceil(batch) as f64;
        let speed = speed("eval", rows.len() as f64, steps, began.elapsed().as_secs_f64());
        Ok(Some((measured, speed)))
    }

    /// Makes the measuring that is due after `step`, unless a stop is asked for first, and counts whether it is any
    /// progress. `None`: nothing was measured.
    pub(super) fn evaluate_if_due(&mut self, step: u64) -> Result<Option<f64>, Problem> {
        if !self.state.owes_measuring || self.ears.stop_asked() {
            return Ok(None);
        }
        let Outcome::Measured(Some(loss)) = self.evaluate(step)? else { return Ok(None) };
        if (1..self.measuring.total_steps).contains(&step) {
            self.note_progress(loss);
        }
        Ok(Some(loss))
    }

    /// What a stop had kept from being measured is measured now, like the base before its first step; the checkpoint
    /// gets its loss.
    pub(super) fn catch_up(&mut self, from_step: u64, plan: &Plan) -> Result<(), Problem> {
        let eval_loss = self.evaluate_if_due(from_step)?;
        if from_step > 0 && eval_loss.is_some() {
            self.save(from_step, eval_loss, plan)?;
        }
        Ok(())
    }

    /// Counts measurements without progress.
    fn note_progress(&mut self, loss: f64) {
        if self.state.lowest_eval_loss.is_none_or(|lowest| loss < lowest) {
            self.state.lowest_eval_loss = Some(loss);
            self.state.without_progress = 0;
        } else {
            self.state.without_progress += 1;
        }
    }

    /// Whether the loss has stopped falling for as long as the run was told to wait.
    pub(super) fn progress_is_over(&self) -> bool {
        let patience = self.spec.hyper.early_stopping_patience;
        patience > 0 && self.state.without_progress >= patience
    }
}

/// Numbers of a measuring under the names of the log.
fn told(loss: Option<f64>, metrics: &Numbers) -> Numbers {
    let loss = loss.map(|loss| ("loss".to_owned(), loss));
    let all = metrics.iter().map(|(name, value)| (name.clone(), *value)).chain(loss);
    all.map(|(name, value)| (format!("eval_{name}"), value)).collect()
}

/// Begins the state of a run, or goes on with it: losses over other rows than those of this plan do not compare, and an
/// older build measured all that are held out.
pub(super) fn forget_other_rows(state: &mut LoopState, plan: &Measuring, resumed: bool, held_out: u64) {
    if !resumed {
        state.owes_measuring = plan.at(0);
    } else if state.eval_rows.unwrap_or(held_out) != plan.rows {
        (state.best_eval_loss, state.best_step, state.lowest_eval_loss) = (None, None, None);
        state.base_eval_loss = None;
        state.without_progress = 0;
    }
    state.eval_rows = Some(plan.rows);
}

/// What is measured, where it is less than was wished.
pub(super) fn plan_line(plan: &Measuring, hyper: &Hyper, held_out: u64) -> Option<String> {
    let wished = (hyper.eval_every(plan.total_steps), hyper.save_every(plan.total_steps));
    if plan.rows == held_out && wished == (plan.every, plan.saves) {
        return None;
    }
    let (rows, times) = (plan.rows, plan.times());
    let more = if plan.all > 0 { " All of them are measured once more at the end." } else { "" };
    Some(format!(
        "A fixed draw of {rows} of {held_out} held-out rows is measured, {times} times in this run.{more}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_over_other_rows_are_forgotten() {
        let plan = Measuring {
            total_steps: 4,
            rows: 8,
            first: true,
            every: 2,
            saves: 2,
            all: 0,
            answers: 0,
            step_passes: 8.0,
            row_passes: 1.0,
            answer_passes: 16.0,
        };
        let known = LoopState { best_eval_loss: Some(1.0), best_step: Some(2), ..LoopState::default() };
        let best = |eval_rows, held_out| {
            let mut state = LoopState { eval_rows, ..known.clone() };
            forget_other_rows(&mut state, &plan, true, held_out);
            assert_eq!(state.eval_rows, Some(8));
            state.best_step
        };
        assert_eq!((best(Some(8), 500), best(None, 8)), (Some(2), Some(2)), "the same rows");
        assert_eq!((best(None, 500), best(Some(9), 500)), (None, None));
        let mut fresh = LoopState::default();
        forget_other_rows(&mut fresh, &plan, false, 500);
        assert!(fresh.owes_measuring);
    }
}
