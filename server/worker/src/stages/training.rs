//! The loop itself.

use std::time::Instant;

use contract::Code;
use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::measuring::Measuring;
use contract::problem::Problem;
use contract::results::{Numbers, Results, speed};
use contract::spec::RunSpec;
use model::kernels::Kernels;
use rundir::RunDir;

use super::measure::Told;
use super::source::{HeldOut, Preparation};
use super::watch::Ears;
use super::{Answers, Ending, Facts, Finish, Recipe};
use crate::checkpoint::{self, Saving};
use crate::data::Plan;
use crate::learner::Learner;
use crate::report::{Reporter, StepReport, finite_only};
use crate::trainer_files::{self, TrainerLog};

/// Steps in a row that may be left out before a run ends.
const MOST_SKIPPED: u64 = 10;

pub(super) struct Loop<'a, B: Kernels> {
    pub(super) run: &'a RunDir,
    pub(super) spec: &'a RunSpec,
    pub(super) ears: Ears,
    pub(super) report: &'a mut Reporter,
    pub(super) recipe: Box<dyn Recipe<B>>,
    pub(super) learner: Learner<B>,
    pub(super) state: LoopState,
    pub(super) log: TrainerLog,
    pub(super) rows: Facts,
    pub(super) measuring: Measuring,
    pub(super) held_out: HeldOut,
    pub(super) preparation: Preparation,
    pub(super) elapsed_before: f64,
    pub(super) told: Told,
}

impl<B: Kernels> Loop<'_, B> {
    pub(super) fn go(mut self, from_step: u64) -> Result<Ending, Problem> {
        let (total, save_every) =
            (self.measuring.total_steps, self.spec.hyper.save_every(self.measuring.total_steps));
        let mut plan = Plan::new(self.rows.train, self.rows.window, &self.spec.hyper);
        self.catch_up(from_step, &plan)?;
        if self.ears.stop_asked() && (from_step < total || self.state.owes_measuring) {
            if self.run.checkpoint(from_step)?.is_none() {
                self.save(from_step, None, &plan)?;
            }
            return self.stopped();
        }
        let mut step = from_step;
        while step < total && !self.progress_is_over() {
            step += 1;
            self.step(step, &mut plan)?;
            self.state.owes_measuring = self.measuring.at(step);
            let eval_loss = self.evaluate_if_due(step)?;
            let (wished, stop) = (self.ears.take_checkpoint()?, self.ears.stop_asked());
            let last = step == total || self.progress_is_over();
            if last || stop || wished || step.is_multiple_of(save_every) {
                self.save(step, eval_loss, &plan)?;
            }
            if stop && (!last || self.state.owes_measuring) {
                return self.stopped();
            }
        }
        if step < total {
            let text = format!("The eval loss no longer falls; the run ends early at step {step}.");
            self.report.log("info", text)?;
        }
        let stands = self.take_best(step)?;
        self.say_if_worse()?;
        if self.finish(step, stands, &plan)? { Ok(Ending::Finished) } else { self.stopped() }
    }

    /// Measures what is there and changes nothing (S-160); no checkpoint is made of it.
    pub(super) fn measure_only(mut self) -> Result<Ending, Problem> {
        self.evaluate_if_due(0)?;
        let plan = Plan::new(0, None, &self.spec.hyper);
        if self.state.owes_measuring || !self.finish(0, 0, &plan)? {
            self.stopped()
        } else {
            Ok(Ending::Finished)
        }
    }

    /// Ends as it was asked to; everything is saved.
    fn stopped(&self) -> Result<Ending, Problem> {
        self.ears.take_stop()?;
        Ok(Ending::Stopped)
    }

    /// Goes back to the best checkpoint, so that what is measured at the end is what stands for the run (S-182). Gives
    /// the step that stands.
    fn take_best(&mut self, last: u64) -> Result<u64, Problem> {
        let best = self.state.best_step.filter(|best| *best != last);
        let Some(best) = best.filter(|_| self.spec.hyper.load_best_model_at_end) else { return Ok(last) };
        if let Some(checkpoint) = self.run.checkpoint(best)? {
            self.learner.load_weights(&checkpoint)?;
            let text =
                format!("The checkpoint of step {best} has the lowest eval loss and stands for this run.");
            self.report.log("info", text)?;
            return Ok(best);
        }
        Ok(last)
    }

    /// Says so when no checkpoint is better than the model was before.
    fn say_if_worse(&mut self) -> Result<(), Problem> {
        let LoopState { best_eval_loss, base_eval_loss, .. } = self.state;
        let Some((lowest, base)) =
            best_eval_loss.zip(base_eval_loss).filter(|_| self.state.no_better_than_base())
        else {
            return Ok(());
        };
        let text = format!(
            "No checkpoint is better than the model before training: the lowest eval loss is {lowest:.3}, and it was \
             {base:.3} before."
        );
        Ok(self.report.log("warn", text)?)
    }

    fn step(&mut self, step: u64, plan: &mut Plan) -> Result<(), Problem> {
        let began = Instant::now();
        let made = self.recipe.step(&mut self.learner, step, &plan.micro_batches(step))?;
        let done = StepReport {
            step,
            loss: made.loss,
            learning_rate: made.learning_rate,
            grad_norm: made.grad_norm,
            epoch: plan.epoch_after(step),
            tokens: made.tokens,
            seconds: began.elapsed().as_secs_f64(),
            metrics: made.metrics,
        };
        let left = self.report.step(&done)?;
        self.log.step(&done, self.elapsed_before + self.report.seconds(), left.unwrap_or_default())?;
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
            Code::TrainNotFinite,
            format!("At step {step} the loss became infinite or no number at all."),
        )
        .with("step", step)
        .field("learning_rate")
        .hint("Lower the learning rate or clip gradients, and launch again; the last checkpoint is kept."))
    }

    pub(super) fn save(&mut self, step: u64, eval_loss: Option<f64>, plan: &Plan) -> Result<(), Problem> {
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

    /// Measures what is measured once, and writes the results; the weights are those of step `stands`. `false`: a stop was
    /// asked for first.
    fn finish(&mut self, step: u64, stands: u64, plan: &Plan) -> Result<bool, Problem> {
        let Some(mut measured) = self.measure_all(step)? else { return Ok(false) };
        let over_all = !measured.is_empty();
        let mut end = Finish { run: self.run, spec: self.spec, report: self.report, ears: &self.ears, step };
        let scored = match self.recipe.finish(&self.learner, &mut end)? {
            Answers::Stopped => return Ok(false),
            Answers::Scored(scored) => Some(scored),
            Answers::NotAsked => None,
        };
        let mut results = Results::default();
        if let Some(scored) = scored {
            let metrics = finite_only(&scored.means);
            self.report.event(Kind::Eval { step, eval_loss: None, metrics })?;
            let named = scored.means.iter().map(|(name, value)| (format!("predict_{name}"), *value));
            results.predict = named.chain(scored.speed).collect();
            measured.extend(scored.means);
        }
        if !measured.is_empty() {
            self.log.eval(step, None, &measured)?;
        }
        results.eval = self.eval_results(if over_all { step } else { stands });
        if self.spec.tuning.learns() {
            results.train = self.train_results(step, plan);
        }
        self.log.end(step, &results.train)?;
        trainer_files::results(self.run.path(), &results)?;
        let [train, eval, predict] = [&results.train, &results.eval, &results.predict].map(finite_only);
        self.report.event(Kind::Results { results: Results { train, eval, predict } })?;
        Ok(true)
    }

    /// The numbers of `train_results.json` (S-161).
    fn train_results(&self, step: u64, plan: &Plan) -> Numbers {
        let (epoch, seconds) = (plan.epoch_after(step), self.elapsed_before + self.report.seconds());
        let mut results = speed("train", epoch * self.rows.train as f64, step as f64, seconds);
        results.insert("epoch".to_owned(), epoch);
        results.insert("global_step".to_owned(), step as f64);
        if let Some(loss) = self.state.best_eval_loss {
            results.insert("best_eval_loss".to_owned(), loss);
        }
        if let Some(loss) = self.log.mean_loss(step) {
            results.insert("train_loss".to_owned(), loss);
        }
        results
    }
}
