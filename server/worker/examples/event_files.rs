//! Writes the log and the event files of a run that was killed twice and resumed, for `make interop` to read with
//! TensorBoard: `event_files FOLDER`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contract::problem::Problem;
use contract::results::Results;
use worker::report::StepReport;
use worker::trainer_files::{self, TrainerLog};

/// Steps of the run.
const TOTAL: u64 = 12;

/// What step `step` of attempt `attempt` says; attempts differ, so that steps made twice can be told apart.
fn made(step: u64, attempt: u64) -> StepReport {
    let (at, loss) = (step as f64, 3.0 / step as f64 + 0.01 * attempt as f64);
    StepReport {
        step,
        loss,
        learning_rate: 1e-4 * (1.0 - at / TOTAL as f64),
        grad_norm: if step == 5 { f64::NAN } else { 1.0 / at },
        epoch: at / 4.0,
        tokens: 100 + step,
        seconds: 0.5,
        metrics: BTreeMap::from([("rewards/margins".to_owned(), -loss)]),
    }
}

fn main() -> Result<(), Problem> {
    let run = PathBuf::from(std::env::args().nth(1).unwrap_or_default());
    // The first attempt dies before anything is saved, the second with a checkpoint of step 4.
    let attempts = [(None, 3), (None, 6), (Some(4), TOTAL)];
    for (attempt, (after, last)) in (1..).zip(attempts) {
        let mut log = TrainerLog::open(&run, after, TOTAL)?;
        if after.is_none() {
            log.eval(0, Some(4.0), &BTreeMap::new())?;
        }
        for step in after.unwrap_or(0) + 1..=last {
            log.step(&made(step, attempt), step as f64, (TOTAL - step) as f64)?;
            if step.is_multiple_of(2) {
                let metrics = BTreeMap::from([("accuracy".to_owned(), 0.5)]);
                log.eval(step, Some(3.5 / step as f64 + 0.01 * attempt as f64), &metrics)?;
            }
        }
        if last == TOTAL {
            let mean = log.mean_loss(TOTAL).unwrap_or_default();
            let results =
                BTreeMap::from([("train_loss".to_owned(), mean), ("train_runtime".to_owned(), 12.0)]);
            log.end(TOTAL, &results)?;
            let results = Results { train: results, ..Results::default() };
            trainer_files::results(&run, &results)?;
        }
    }
    Ok(())
}
