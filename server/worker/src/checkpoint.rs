//! Saving and finding checkpoints of a run.

use std::path::Path;

use contract::Code;
use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::problem::Problem;
use contract::spec::RunSpec;
use model::kernels::Kernels;
use rundir::{Checkpoint, RunDir};

use crate::learner::Learner;
use crate::report::{Reporter, finite};
use crate::trainer_files::{self, TrainerLog};

/// File with the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// A checkpoint to be written.
pub struct Saving<'a, B: Kernels> {
    /// The run.
    pub run: &'a RunDir,
    /// What is trained.
    pub spec: &'a RunSpec,
    /// The weights.
    pub learner: &'a Learner<B>,
    /// The log, for `trainer_state.json`.
    pub log: &'a TrainerLog,
    /// Step it holds.
    pub step: u64,
    /// Eval loss at that step, when measured.
    pub eval_loss: Option<f64>,
}

/// Writes a checkpoint, removes those not worth keeping, and says so.
///
/// # Errors
/// When the disk refuses; earlier checkpoints stay.
pub fn save<B: Kernels>(
    saving: &Saving<'_, B>,
    state: &mut LoopState,
    report: &mut Reporter,
) -> Result<(), Problem> {
    let Saving { run, spec, learner, log, step, .. } = *saving;
    let writer = run.begin_checkpoint(step)?;
    let (weights, lineage) = learner.save(&writer, Path::new(&spec.model.folder))?;
    let eval_loss = saving.eval_loss.and_then(finite);
    let lowest = eval_loss.is_some_and(|loss| state.best_eval_loss.is_none_or(|lowest| loss < lowest));
    if lowest {
        state.best_eval_loss = eval_loss;
        state.best_step = Some(step);
    }
    let best = lowest && !state.no_better_than_base();
    writer.write(trainer_files::ARGS, &trainer_files::args(spec)?)?;
    let trainer_state = log.state(spec, step, state.best_step.zip(state.best_eval_loss));
    let text = trainer_files::pretty(&trainer_state)
        .map_err(|why| Problem::new(Code::CheckpointState, format!("{why}.")).with("why", why))?;
    writer.write(trainer_files::STATE, &text)?;
    rundir::write_atomically(&run.path().join(trainer_files::STATE), &text)?;
    let saved = writer.commit_with(weights, state.clone(), Some(lineage))?;
    let digest = saved.manifest().digest.clone();
    // Whoever hears of the new checkpoint looks which ones are there.
    run.keep(spec.hyper.save_total_limit.max(1), state.best_step)?;
    report.event(Kind::Checkpoint { step, folder: saved.folder(), eval_loss, best, digest })?;
    Ok(())
}

/// The newest checkpoint whose every byte is as it was written; damaged ones are mentioned and passed over.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest_sound(run: &RunDir, report: &mut Reporter) -> Result<Option<Checkpoint>, Problem> {
    for checkpoint in run.checkpoints()? {
        match checkpoint.verify() {
            Ok(()) => return Ok(Some(checkpoint)),
            Err(why) => {
                report.log(
                    "warn",
                    format!("The checkpoint of step {} is passed over: {why}.", checkpoint.step()),
                )?;
            }
        }
    }
    Ok(None)
}
