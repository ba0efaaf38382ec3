//! The training loop, the same for every stage: evaluate, save, step, report. What differs stands in a [`Recipe`].

mod answers;
mod dpo;
mod measure;
mod pairs;
mod ppo;
mod predict;
mod questions;
mod rm;
mod source;
mod text;
mod training;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;

use contract::Code;
use contract::checkpoint::LoopState;
use contract::event::{DatasetRows, Kind};
use contract::measuring::{Measuring, Rows};
use contract::problem::Problem;
use contract::spec::{CheckpointRef, DatasetRef, RunSpec};
use contract::stage::Stage;
use model::kernels::Kernels;
use rundir::chain::VALUE_HEAD;
use rundir::{Checkpoint, RunDir};

use crate::data::TrainData;
use crate::forecast::Forecast;
use crate::learner::{self, Learner, Made, Measured};
use crate::preparing::Preparing;
use crate::report::Reporter;
use crate::signals::Signals;
use crate::trainer_files::TrainerLog;
use crate::{checkpoint, device, facts};
use measure::Told;
use predict::Scored;
use source::Source;
use training::Loop;

pub use source::LARGE;
pub use watch::Ears;

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
    /// Hears a stop until there is something to save.
    pub preparing: Preparing,
}

/// Numbers of rows, for the log.
#[derive(Clone, Debug, Default)]
struct Facts {
    train: usize,
    eval: usize,
    dropped: u64,
    cut: u64,
    /// What each dataset gave.
    datasets: Vec<DatasetRows>,
    /// Rows shuffled together in the first round; `None`: all of them.
    window: Option<u32>,
}

/// What a stage may say after the last step.
struct Finish<'a> {
    run: &'a RunDir,
    spec: &'a RunSpec,
    report: &'a mut Reporter,
    ears: &'a Ears,
    step: u64,
}

/// What became of measuring by answering.
enum Answers {
    /// It was not asked for.
    NotAsked,
    /// A stop was asked for first.
    Stopped,
    /// How they scored.
    Scored(Scored),
}

/// What one stage does differently.
trait Recipe<B: Kernels> {
    /// Loads what it needs beside the model in training.
    fn load(&mut self, _learner: &mut Learner<B>) -> Result<(), Problem> {
        Ok(())
    }

    /// Makes optimizer step `step` (from 1) over micro-batches of row numbers.
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem>;

    /// Measures a batch of rows, by their places among the prepared ones, and adds them up.
    fn measure(&self, learner: &Learner<B>, places: &[u32], measured: &mut Measured) -> Result<(), Problem>;

    /// Adds numbers that follow from the measured loss.
    fn extend(&self, _loss: Option<f64>, _metrics: &mut BTreeMap<String, f64>) {}

    /// What is measured once by answering, after the last step.
    fn finish(&mut self, _learner: &Learner<B>, _end: &mut Finish<'_>) -> Result<Answers, Problem> {
        Ok(Answers::NotAsked)
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
    let Job { run, spec, signals, report, preparing } = job;
    if let Some(problem) = rundir::chain::problems(spec).into_iter().next() {
        return Err(problem);
    }
    report.preparing("tokenizing")?;
    let newest = checkpoint::newest_sound(run, report)?;
    let mut state = newest.as_ref().map(|newest| newest.manifest().loop_state.clone()).unwrap_or_default();
    let digests = check_datasets(spec, &mut state)?;
    let folder = source::folder(spec, run.path());
    let source = source::open(spec, &folder, &digests, &mut |line| Ok(report.log("info", line)?))?;
    let rows = source.facts.clone();
    let measuring = measuring(spec, &rows);
    measure::forget_other_rows(&mut state, &measuring, newest.is_some(), rows.eval as u64);
    let mut recipe = recipe::<B>(spec, &source, measuring.answers);
    learner::check_memory(spec, &source.sizes()?, rows.train as u64, rows.eval as u64)?;
    let total = measuring.total_steps;

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
        datasets: rows.datasets.clone(),
        worker: env!("CARGO_PKG_VERSION").to_owned(),
    })?;
    if spec.tuning.learns() {
        report.log("info", trainable_line(trainable_params, total_params))?;
    }
    merged_line(spec, report)?;
    if let Some(warning) = quantised_measuring(spec, rows.eval) {
        report.log("warn", warning)?;
    }
    if let Some(line) = measure::plan_line(&measuring, &spec.hyper, rows.eval as u64) {
        report.log("info", line)?;
    }
    report.set_forecast(Forecast::new(measuring));
    let held_out = source.held_out(measuring.rows, spec.hyper.seed);
    let ears = Ears::new(run.control(), signals.clone());
    let log = TrainerLog::open(run.path(), newest.as_ref().map(Checkpoint::step), total)?;
    let elapsed_before = state.elapsed_s;
    let preparation = source.watch();
    let training = Loop {
        run,
        spec,
        ears,
        report,
        recipe,
        learner,
        state,
        log,
        rows,
        measuring,
        held_out,
        preparation,
        elapsed_before,
        told: Told::default(),
    };
    preparing.over();
    if spec.tuning.learns() { training.go(from_step) } else { training.measure_only() }
}

fn measuring(spec: &RunSpec, rows: &Facts) -> Measuring {
    let rows = Rows { train: rows.train as u64, eval: rows.eval as u64, streamed: rows.window.is_some() };
    Measuring::plan(&spec.hyper, spec.stage, spec.tuning, rows)
}

/// How many weights learn, in the original's words (S-107).
fn trainable_line(trainable: u64, all: u64) -> String {
    let share = 100.0 * trainable as f64 / all.max(1) as f64;
    format!("trainable params: {trainable} || all params: {all} || trainable%: {share:.4}")
}

/// Says what was merged, and that a chain goes on (S-124).
fn merged_line(spec: &RunSpec, report: &mut Reporter) -> Result<(), Problem> {
    match spec.adapters.iter().take(spec.merged_adapters()).filter(|link| !link.whole).count() {
        0 => {}
        count => report.log("info", format!("Merged {count} model checkpoint(s)."))?,
    }
    if spec.refers_to_base() {
        let text = "The adapter goes on, so the reference is the model without it, not the checkpoint it comes from.";
        report.log("warn", text)?;
    }
    if let Some(last) = spec.adapters.last().filter(|_| spec.stage == Stage::Rm && spec.tuning.learns()) {
        report.log("info", head_line(last))?;
    }
    Ok(())
}

/// Where the value head of a reward model comes from (S-104, S-132).
fn head_line(last: &CheckpointRef) -> String {
    let (name, step) = (&last.name, last.step);
    match Path::new(&last.folder).join(VALUE_HEAD).is_file() {
        true => {
            format!("Only the last checkpoint's value head is loaded: that of step {step} of \"{name}\".")
        }
        false => format!("Step {step} of \"{name}\" has no value head; a new one begins."),
    }
}

/// What measuring a base in few bits means, in the original's words (S-059).
fn quantised_measuring(spec: &RunSpec, eval_rows: usize) -> Option<&'static str> {
    let measured = eval_rows > 0 && spec.hyper.quantised();
    measured.then_some("Evaluating model in 4/8-bit mode may cause lower scores.")
}

/// A run reads the rows it was launched on, or says that they have changed. Gives the digests of the files.
fn check_datasets(spec: &RunSpec, state: &mut LoopState) -> Result<Vec<String>, Problem> {
    let mut found = Vec::new();
    for dataset in spec.datasets() {
        let digest = facts::file_digest(Path::new(&dataset.file))?;
        if !dataset.sha256.is_empty() && dataset.sha256 != digest {
            return Err(changed(dataset));
        }
        found.push(digest);
    }
    let all = found.join(",");
    if !state.dataset_sha256.is_empty() && state.dataset_sha256 != all {
        let former: Vec<_> = state.dataset_sha256.split(',').collect();
        let one = spec.datasets().zip(&found).zip(former).find(|((_, now), former)| now != former);
        return Err(changed(one.map_or(&spec.dataset, |((dataset, _), _)| dataset)));
    }
    state.dataset_sha256 = all;
    Ok(found)
}

fn changed(dataset: &DatasetRef) -> Problem {
    Problem::new(
        Code::DatasetChanged,
        format!("The file of dataset \"{}\" is not the one this run was started with.", dataset.name),
    )
    .with("name", &dataset.name)
    .field("dataset")
    .hint("Put the former file back, or launch a new run on the new one.")
}

fn recipe<B: Kernels>(spec: &RunSpec, source: &Source, answers: u64) -> Box<dyn Recipe<B>> {
    match spec.stage {
        Stage::Pt | Stage::Sft => Box::new(text::Text::new(spec, source, answers)),
        Stage::Rm => Box::new(rm::Rm::new(source)),
        Stage::Dpo => Box::new(dpo::DpoRun::new(spec, source)),
        Stage::Ppo => Box::new(ppo::Ppo::new(spec, source)),
    }
}

/// Rows of pt or sft as the trainer sees them, prepared in `folder`, in the order of the file.
///
/// # Errors
/// A broken file, template or tokenizer; or no row that can teach.
pub fn encode(spec: &RunSpec, folder: &Path) -> Result<TrainData, Problem> {
    let digests = check_datasets(spec, &mut LoopState::default())?;
    Ok(source::open(spec, folder, &digests, &mut |_| Ok(()))?.data())
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
