//! The training loop, the same for every stage: evaluate, save, step, report.

pub mod pt;
pub mod sft;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use corpus::{Encoded, Encoder, ModelTokenizer, Template};
use model::train::Batch;
use rundir::{Request, RunDir};

use crate::data::{Plan, TrainData};
use crate::learner::{self, Learner};
use crate::report::{Reporter, StepReport, finite};
use crate::signals::Signals;
use crate::{checkpoint, device};

/// How a run ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last step was made and saved.
    Finished,
    /// It was asked to stop, and saved.
    Stopped,
}

/// What a stage works with.
pub struct Job<'a> {
    /// The run directory.
    pub run: &'a RunDir,
    /// What is to be trained.
    pub spec: &'a RunSpec,
    /// Signals of the process.
    pub signals: &'a Signals,
    /// Events.
    pub report: &'a mut Reporter,
}

/// Trains from the newest checkpoint, or from the start, to the end.
///
/// # Errors
/// One clear problem; the last checkpoint stays.
pub fn run(job: Job<'_>) -> Result<Ending, Problem> {
    let Job { run, spec, signals, report } = job;
    let device = device::choose(&spec.hyper.device)?;
    if let Some(notice) = device.notice {
        report.log("info", notice)?;
    }
    report.preparing("tokenizing")?;
    let data = encode(spec)?;
    let longest = data.train.iter().map(|row| row.input_ids.len()).max().unwrap_or(0);
    learner::check_memory(spec, longest)?;
    let total = spec.hyper.total_steps(data.train.len() as u64);

    report.preparing("loading_model")?;
    let mut learner = Learner::load(spec, total)?;
    let mut state = LoopState::default();
    let mut from_step = 0;
    if let Some(newest) = checkpoint::newest_sound(run, report)? {
        learner.restore(&newest)?;
        (from_step, state) = (newest.step(), newest.manifest().loop_state.clone());
    }
    report.step = from_step;
    let (total_params, trainable_params) = learner.counts();
    report.event(Kind::Started {
        from_step,
        total_steps: total,
        device: device.name.to_owned(),
        trainable_params,
        total_params,
        train_rows: data.train.len() as u64,
        eval_rows: data.eval.len() as u64,
        dropped_rows: data.dropped_rows,
        cut_rows: data.cut_rows,
        worker: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    let elapsed_before = state.elapsed_s;
    Loop { run, spec, signals, report, data, learner, state, total, elapsed_before }.go(from_step)
}

/// Rows as the trainer sees them, split, in the order of the file.
///
/// # Errors
/// A broken file, template or tokenizer; or no row that can teach.
pub fn encode(spec: &RunSpec) -> Result<TrainData, Problem> {
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&spec.model.folder))?);
    let encoder = Encoder {
        template: Template::resolve(&spec.template, &tokenizer)?,
        stage: spec.stage,
        behaviour: contract::dataset::Behaviour::Corrected,
        max_source_length: spec.hyper.max_source_length,
        max_target_length: spec.hyper.max_target_length,
        system: Some(spec.system.clone()).filter(|system| !system.is_empty()),
        tokenizer: Arc::clone(&tokenizer),
    };
    let data = match spec.stage {
        Stage::Sft => sft::data(spec, &encoder)?,
        Stage::Pt => pt::data(spec, &encoder)?,
        Stage::Rm | Stage::Ppo | Stage::Dpo => {
            return Err(Problem::new(
                "train.unknown_stage",
                format!("This worker cannot run the stage {}.", spec.stage.key()),
            )
            .hint("Choose fine-tuning (sft) or pre-training (pt)."));
        }
    };
    Ok(TrainData { pad_id: tokenizer.pad_id(), ..data })
}

fn no_usable_rows(first: Option<(u64, String)>) -> Problem {
    let (row, reason) = first.unwrap_or((1, "it holds too little text".to_owned()));
    Problem::new(
        "dataset.no_usable_rows",
        format!("No row of the dataset can teach; the first is left out because {reason}."),
    )
    .row(row)
    .hint("Choose which columns hold the question and the answer.")
}

struct Loop<'a> {
    run: &'a RunDir,
    spec: &'a RunSpec,
    signals: &'a Signals,
    report: &'a mut Reporter,
    data: TrainData,
    learner: Learner,
    state: LoopState,
    total: u64,
    elapsed_before: f64,
}

impl Loop<'_> {
    fn go(mut self, from_step: u64) -> Result<Ending, Problem> {
        let hyper = &self.spec.hyper;
        let (eval_every, save_every) = (hyper.eval_every(self.total), hyper.save_every(self.total));
        let control = self.run.control();
        let mut plan = Plan::new(self.data.train.len(), hyper);
        if from_step == 0 {
            self.evaluate(0)?;
        }
        if self.stop_asked()? {
            if self.run.checkpoint(from_step)?.is_none() {
                self.save(from_step, None, &plan)?;
            }
            return Ok(Ending::Stopped);
        }
        for step in from_step + 1..=self.total {
            self.step(step, &mut plan)?;
            let (last, stop) = (step == self.total, self.stop_asked()?);
            let wished = control.take(Request::Checkpoint)?;
            let save = last || stop || wished || step.is_multiple_of(save_every);
            // A checkpoint is worth measuring, but somebody who asked for a stop is not kept waiting.
            let measure = last || step.is_multiple_of(eval_every) || (save && !stop);
            let eval_loss = if measure { self.evaluate(step)? } else { None };
            if save {
                self.save(step, eval_loss, &plan)?;
            }
            if stop && !last {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Finished)
    }

    fn step(&mut self, step: u64, plan: &mut Plan) -> Result<(), Problem> {
        let began = Instant::now();
        let batches: Vec<Batch> =
            plan.micro_batches(step).iter().map(|rows| self.train_batch(rows)).collect();
        let made = self.learner.step(step, &batches)?;
        self.report.step(&StepReport {
            step,
            total: self.total,
            loss: made.loss,
            learning_rate: made.learning_rate,
            grad_norm: made.grad_norm,
            epoch: plan.epoch_after(step),
            tokens: made.tokens,
            seconds: began.elapsed().as_secs_f64(),
        })?;
        if made.loss.is_finite() && made.grad_norm.is_finite() {
            return Ok(());
        }
        Err(Problem::new(
            "train.not_finite",
            format!("At step {step} the loss became infinite or no number at all."),
        )
        .field("learning_rate")
        .hint("Lower the learning rate or clip gradients, and launch again; the last checkpoint is kept."))
    }

    fn train_batch(&self, rows: &[u32]) -> Batch {
        let rows: Vec<Encoded> = rows.iter().map(|row| self.data.train[*row as usize].clone()).collect();
        learner::batch(&rows, self.data.pad_id)
    }

    /// Measures the held-out rows, if there are any, and reports.
    fn evaluate(&mut self, step: u64) -> Result<Option<f64>, Problem> {
        if self.data.eval.is_empty() {
            return Ok(None);
        }
        let size = self.spec.hyper.per_device_train_batch_size.max(1);
        let batches = self.data.eval.chunks(size).map(|rows| learner::batch(rows, self.data.pad_id));
        let eval_loss = finite(self.learner.evaluate(batches)?);
        self.report.event(Kind::Eval { step, eval_loss })?;
        Ok(eval_loss)
    }

    fn save(&mut self, step: u64, eval_loss: Option<f64>, plan: &Plan) -> Result<(), Problem> {
        self.state.micro_batches = plan.micro_batches_after(step);
        self.state.elapsed_s = self.elapsed_before + self.report.seconds();
        checkpoint::save(self.run, self.spec, &self.learner, &mut self.state, self.report, (step, eval_loss))
    }

    fn stop_asked(&self) -> Result<bool, Problem> {
        Ok(self.run.control().take(Request::Stop)? || self.signals.stop_asked())
    }
}
