//! The loop itself.

use std::collections::BTreeMap;
use std::time::Instant;

use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::problem::Problem;
use contract::spec::RunSpec;
use model::kernels::Kernels;
use rundir::{Request, RunDir};

use super::source::Preparation;
use super::{Ending, Facts, Finish, Recipe};
use crate::checkpoint::{self, Saving};
use crate::data::Plan;
use crate::learner::Learner;
use crate::report::{Reporter, StepReport, finite, finite_only};
use crate::signals::Signals;
use crate::trainer_files::{self, TrainerLog};

/// Steps in a row that may be left out before a run ends.
const MOST_SKIPPED: u64 = 10;

pub(super) struct Loop<'a, B: Kernels> {
    pub(super) run: &'a RunDir,
    pub(super) spec: &'a RunSpec,
    pub(super) signals: &'a Signals,
    pub(super) report: &'a mut Reporter,
    pub(super) recipe: Box<dyn Recipe<B>>,
    pub(super) learner: Learner<B>,
    pub(super) state: LoopState,
    pub(super) log: TrainerLog,
    pub(super) rows: Facts,
    pub(super) preparation: Preparation,
    pub(super) total: u64,
    pub(super) elapsed_before: f64,
}

impl<B: Kernels> Loop<'_, B> {
    pub(super) fn go(mut self, from_step: u64) -> Result<Ending, Problem> {
        let hyper = &self.spec.hyper;
        let (eval_every, save_every) = (hyper.eval_every(self.total), hyper.save_every(self.total));
        let control = self.run.control();
        let mut plan = Plan::new(self.rows.train, self.rows.window, hyper);
        // The held-out rows of a large set are still prepared, and measuring them would keep the first step waiting.
        if from_step == 0 && self.rows.window.is_none() {
            self.evaluate(0)?;
        }
        if self.stop_asked()? {
            if self.run.checkpoint(from_step)?.is_none() {
                self.save(from_step, None, &plan)?;
            }
            return Ok(Ending::Stopped);
        }
        let mut final_step = from_step;
        for step in from_step + 1..=self.total {
            self.step(step, &mut plan)?;
            final_step = step;
            let stop = self.stop_asked()?;
            let wished = control.take(Request::Checkpoint)?;
            let mut last = step == self.total;
            let save = last || stop || wished || step.is_multiple_of(save_every);
            // A checkpoint is worth measuring, but somebody who asked for a stop is not kept waiting.
            let measure = last || step.is_multiple_of(eval_every) || (save && !stop);
            let eval_loss = if measure { self.evaluate(step)? } else { None };
            if measure && !last && self.progress_is_over(eval_loss) {
                let text = format!("The eval loss no longer falls; the run ends early at step {step}.");
                self.report.log("info", text)?;
                last = true;
            }
            if save || last {
                self.save(step, eval_loss, &plan)?;
            }
            if last {
                break;
            }
            if stop {
                return Ok(Ending::Stopped);
            }
        }
        self.take_best(final_step)?;
        self.finish(final_step)?;
        Ok(Ending::Finished)
    }

    /// Goes back to the best checkpoint, so that what is measured at the end is what stands for the run (S-182).
    fn take_best(&mut self, last: u64) -> Result<(), Problem> {
        let best = self.state.best_step.filter(|best| *best != last);
        let Some(best) = best.filter(|_| self.spec.hyper.load_best_model_at_end) else { return Ok(()) };
        if let Some(checkpoint) = self.run.checkpoint(best)? {
            self.learner.load_weights(&checkpoint)?;
            let text =
                format!("The checkpoint of step {best} has the lowest eval loss and stands for this run.");
            self.report.log("info", text)?;
        }
        Ok(())
    }

    /// Counts measurements without progress.
    fn progress_is_over(&mut self, eval_loss: Option<f64>) -> bool {
        let Some(loss) = eval_loss else { return false };
        if self.state.lowest_eval_loss.is_none_or(|lowest| loss < lowest) {
            self.state.lowest_eval_loss = Some(loss);
            self.state.without_progress = 0;
        } else {
            self.state.without_progress += 1;
        }
        let patience = self.spec.hyper.early_stopping_patience;
        patience > 0 && self.state.without_progress >= patience
    }

    fn step(&mut self, step: u64, plan: &mut Plan) -> Result<(), Problem> {
        let began = Instant::now();
        let made = self.recipe.step(&mut self.learner, step, &plan.micro_batches(step))?;
        let done = StepReport {
            step,
            total: self.total,
            loss: made.loss,
            learning_rate: made.learning_rate,
            grad_norm: made.grad_norm,
            epoch: plan.epoch_after(step),
            tokens: made.tokens,
            seconds: began.elapsed().as_secs_f64(),
            metrics: made.metrics,
        };
        let left = self.report.step(&done)?;
        self.log.step(&done, self.elapsed_before + self.report.seconds(), left)?;
        for sample in made.samples {
            self.report.event(sample)?;
        }
        if let Some(line) = self.preparation.news() {
            self.report.log("info", line)?;
        }
        if made.loss.is_finite() && made.grad_norm.is_finite() {
            self.state.skipped_in_a_row = 0;
            return Ok(());
        }
        self.not_finite(step)
    }

    /// A step whose loss or gradient is no number changed nothing; it is left out, or it ends the run.
    fn not_finite(&mut self, step: u64) -> Result<(), Problem> {
        self.state.skipped_in_a_row += 1;
        if self.spec.hyper.nan_policy == "skip" && self.state.skipped_in_a_row <= MOST_SKIPPED {
            let text = format!("Step {step} gave no finite loss and was left out.");
            self.report.log("warn", text)?;
            return Ok(());
        }
        Err(Problem::new(
            "train.not_finite",
            format!("At step {step} the loss became infinite or no number at all."),
        )
        .field("learning_rate")
        .hint("Lower the learning rate or clip gradients, and launch again; the last checkpoint is kept."))
    }

    /// Measures the held-out rows, if there are any, and reports.
    fn evaluate(&mut self, step: u64) -> Result<Option<f64>, Problem> {
        if self.rows.eval == 0 {
            return Ok(None);
        }
        let measured = self.recipe.evaluate(&self.learner)?;
        let eval_loss = measured.loss().and_then(finite);
        let mut metrics = measured.metrics();
        self.recipe.extend(eval_loss, &mut metrics);
        self.log.eval(step, eval_loss, &metrics)?;
        self.report.event(Kind::Eval { step, eval_loss, metrics: finite_only(&metrics) })?;
        Ok(eval_loss)
    }

    fn save(&mut self, step: u64, eval_loss: Option<f64>, plan: &Plan) -> Result<(), Problem> {
        self.state.micro_batches = plan.micro_batches_after(step);
        self.state.elapsed_s = self.elapsed_before + self.report.seconds();
        self.state.updates = Some(self.learner.updates());
        self.recipe.state(&mut self.state);
        let saving = Saving {
            run: self.run,
            spec: self.spec,
            learner: &self.learner,
            log: &self.log,
            step,
            eval_loss,
        };
        checkpoint::save(&saving, &mut self.state, self.report)
    }

    /// Measures what is measured once, and writes the results.
    fn finish(&mut self, step: u64) -> Result<(), Problem> {
        let mut end = Finish { run: self.run, spec: self.spec, report: self.report, step };
        let measured = self.recipe.finish(&self.learner, &mut end)?;
        if !measured.is_empty() {
            self.log.eval(step, None, &measured)?;
            self.report.event(Kind::Eval { step, eval_loss: None, metrics: finite_only(&measured) })?;
        }
        let mut results: BTreeMap<String, f64> = measured;
        results.insert("train_runtime".to_owned(), self.elapsed_before + self.report.seconds());
        results.insert("global_step".to_owned(), step as f64);
        if let Some(loss) = self.state.best_eval_loss {
            results.insert("best_eval_loss".to_owned(), loss);
        }
        trainer_files::results(self.run.path(), &results)
    }

    fn stop_asked(&self) -> Result<bool, Problem> {
        Ok(self.run.control().take(Request::Stop)? || self.signals.stop_asked())
    }
}
