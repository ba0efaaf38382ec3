//! The training loop, the same for every stage: evaluate, save, step, report. What differs stands in a [`Recipe`].

mod answers;
mod dpo;
mod pairs;
mod ppo;
mod predict;
pub mod pt;
mod rm;
mod rows;
pub mod sft;
mod text;
mod training;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use corpus::{Encoder, ModelTokenizer, Template};
use model::kernels::Kernels;
use rundir::RunDir;

use crate::data::{TrainData, TrainRow};
use crate::learner::{self, Learner, Made, Measured};
use crate::report::Reporter;
use crate::signals::Signals;
use crate::trainer_files::TrainerLog;
use crate::{checkpoint, device, facts};
use training::Loop;

pub use predict::FILE as PREDICTIONS;

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

/// Numbers of rows, for the log.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    train: usize,
    eval: usize,
    dropped: u64,
    cut: u64,
    /// Tokens of the longest row.
    longest: usize,
}

impl Facts {
    fn of<T: TrainRow>(data: &TrainData<T>) -> Self {
        Self {
            train: data.train.len(),
            eval: data.eval.len(),
            dropped: data.dropped_rows,
            cut: data.cut_rows,
            longest: data.longest(),
        }
    }
}

/// What a stage may say after the last step.
struct Finish<'a> {
    run: &'a RunDir,
    spec: &'a RunSpec,
    report: &'a mut Reporter,
    step: u64,
}

/// What one stage does differently.
trait Recipe<B: Kernels> {
    /// Numbers of its rows.
    fn facts(&self) -> Facts;

    /// Loads what it needs beside the model in training.
    fn load(&mut self, _learner: &mut Learner<B>) -> Result<(), Problem> {
        Ok(())
    }

    /// Makes optimizer step `step` (from 1) over micro-batches of row numbers.
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem>;

    /// Measures the held-out rows.
    fn evaluate(&self, learner: &Learner<B>) -> Result<Measured, Problem>;

    /// Adds numbers that follow from the measured loss.
    fn extend(&self, _loss: Option<f64>, _metrics: &mut BTreeMap<String, f64>) {}

    /// What is measured once, after the last step.
    fn finish(
        &mut self,
        _learner: &Learner<B>,
        _end: &mut Finish<'_>,
    ) -> Result<BTreeMap<String, f64>, Problem> {
        Ok(BTreeMap::new())
    }

    /// Puts what a checkpoint has to keep into its loop state.
    fn state(&self, _state: &mut LoopState) {}

    /// Takes it back.
    fn restore(&mut self, _state: &LoopState) {}
}

/// Trains from the newest checkpoint, or from the start, to the end.
///
/// # Errors
/// One clear problem; the last checkpoint stays.
pub fn run(job: Job<'_>) -> Result<Ending, Problem> {
    let device = device::choose(&job.spec.hyper.device)?;
    if let Some(notice) = device.notice {
        job.report.log("info", notice)?;
    }
    device::on(device.kind, Training { job, device: device.name })
}

/// A job on a device of this name.
struct Training<'a> {
    job: Job<'a>,
    device: &'static str,
}

impl device::Work for Training<'_> {
    type Out = Result<Ending, Problem>;

    fn run<B: Kernels>(self, device: B::Device) -> Self::Out {
        train::<B>(self.job, self.device, &device)
    }
}

fn train<B: Kernels>(job: Job<'_>, name: &str, device: &B::Device) -> Result<Ending, Problem> {
    let Job { run, spec, signals, report } = job;
    if let Some(problem) = rundir::chain::problems(spec).into_iter().next() {
        return Err(problem);
    }
    report.preparing("tokenizing")?;
    let newest = checkpoint::newest_sound(run, report)?;
    let mut state = newest.as_ref().map(|newest| newest.manifest().loop_state.clone()).unwrap_or_default();
    check_dataset(spec, &mut state)?;
    let mut recipe = recipe::<B>(spec)?;
    let rows = recipe.facts();
    learner::check_memory(spec, rows.longest)?;
    let total = spec.hyper.total_steps(rows.train as u64);

    report.preparing("loading_model")?;
    let mut learner = Learner::<B>::load(spec, total, device)?;
    recipe.load(&mut learner)?;
    let mut from_step = 0;
    if let Some(newest) = &newest {
        learner.restore(newest)?;
        recipe.restore(&state);
        from_step = newest.step();
    }
    report.step = from_step;
    let (total_params, trainable_params) = learner.counts();
    report.event(Kind::Started {
        from_step,
        total_steps: total,
        device: name.to_owned(),
        trainable_params,
        total_params,
        train_rows: rows.train as u64,
        eval_rows: rows.eval as u64,
        dropped_rows: rows.dropped,
        cut_rows: rows.cut,
        worker: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    report.log("info", trainable_line(trainable_params, total_params))?;
    merged_line(spec, report)?;
    let log = TrainerLog::open(run.path(), from_step, total)?;
    let elapsed_before = state.elapsed_s;
    Loop { run, spec, signals, report, recipe, learner, state, log, rows, total, elapsed_before }
        .go(from_step)
}

/// How many weights learn, in the original's words (S-107).
fn trainable_line(trainable: u64, all: u64) -> String {
    let share = 100.0 * trainable as f64 / all.max(1) as f64;
    format!("trainable params: {trainable} || all params: {all} || trainable%: {share:.4}")
}

/// Says what was merged, and that a chain goes on (S-124).
fn merged_line(spec: &RunSpec, report: &mut Reporter) -> Result<(), Problem> {
    match spec.merged_adapters() {
        0 => {}
        count => report.log("info", format!("Merged {count} model checkpoint(s)."))?,
    }
    Ok(())
}

/// A run reads the rows it was launched on, or says that they have changed.
fn check_dataset(spec: &RunSpec, state: &mut LoopState) -> Result<(), Problem> {
    let found = facts::file_digest(Path::new(&spec.dataset.file))?;
    let known = [spec.dataset.sha256.as_str(), state.dataset_sha256.as_str()];
    if known.iter().any(|known| !known.is_empty() && *known != found) {
        return Err(Problem::new(
            "dataset.changed",
            format!(
                "The file of dataset \"{}\" is not the one this run was started with.",
                spec.dataset.name
            ),
        )
        .field("dataset")
        .hint("Put the former file back, or launch a new run on the new one."));
    }
    state.dataset_sha256 = found;
    Ok(())
}

fn encoder(spec: &RunSpec) -> Result<Encoder, Problem> {
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&spec.model.folder))?);
    Ok(Encoder {
        template: Template::resolve(&spec.template, &tokenizer)?,
        stage: spec.stage,
        behaviour: contract::dataset::Behaviour::Corrected,
        max_source_length: spec.hyper.max_source_length,
        max_target_length: spec.hyper.max_target_length,
        system: Some(spec.system.clone()).filter(|system| !system.is_empty()),
        tokenizer,
    })
}

fn recipe<B: Kernels>(spec: &RunSpec) -> Result<Box<dyn Recipe<B>>, Problem> {
    let encoder = encoder(spec)?;
    Ok(match spec.stage {
        Stage::Pt | Stage::Sft => Box::new(text::encode(spec, encoder)?),
        Stage::Rm => Box::new(rm::encode(spec, &encoder)?),
        Stage::Dpo => Box::new(dpo::encode(spec, &encoder)?),
        Stage::Ppo => Box::new(ppo::encode(spec, encoder)?),
    })
}

/// Rows of pt or sft as the trainer sees them, split, in the order of the file.
///
/// # Errors
/// A broken file, template or tokenizer; or no row that can teach.
pub fn encode(spec: &RunSpec) -> Result<TrainData, Problem> {
    Ok(text::encode(spec, encoder(spec)?)?.into_data())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_107_the_share_that_learns_has_four_digits() {
        assert_eq!(
            trainable_line(4_194_304, 6_742_609_920),
            "trainable params: 4194304 || all params: 6742609920 || trainable%: 0.0622"
        );
        assert!(trainable_line(0, 0).ends_with("0.0000"));
    }
}
