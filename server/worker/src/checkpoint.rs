//! Saving and finding checkpoints of a run.

use std::path::Path;

use contract::checkpoint::LoopState;
use contract::event::Kind;
use contract::problem::Problem;
use contract::spec::RunSpec;
use rundir::{Checkpoint, RunDir};

use crate::learner::Learner;
use crate::report::{Reporter, finite};

/// File with the optimizer's moments.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Newest checkpoints kept, beside the best one.
const KEEP_LAST: usize = 2;

/// Writes the checkpoint of `step`, says so, and removes those not worth keeping.
///
/// # Errors
/// When the disk refuses; earlier checkpoints stay.
pub fn save(
    run: &RunDir,
    spec: &RunSpec,
    learner: &Learner,
    state: &mut LoopState,
    report: &mut Reporter,
    (step, eval_loss): (u64, Option<f64>),
) -> Result<(), Problem> {
    let writer = run.begin_checkpoint(step)?;
    let weights = learner.save(&writer, Path::new(&spec.model.folder))?;
    let eval_loss = eval_loss.and_then(finite);
    let best = eval_loss.is_some_and(|loss| state.best_eval_loss.is_none_or(|best| loss < best));
    if best {
        state.best_eval_loss = eval_loss;
        state.best_step = Some(step);
    }
    let saved = writer.commit(weights, state.clone())?;
    let digest = saved.manifest().digest.clone();
    report.event(Kind::Checkpoint { step, folder: saved.folder(), eval_loss, best, digest })?;
    run.keep(KEEP_LAST, state.best_step)?;
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
