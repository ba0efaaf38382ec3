//! Checkpoints that runs stand on are pinned in the folders of the runs that made them, so that no worker removes them
//! (F13). The store is the truth; what a killed server left unpinned, or pinned for nobody, is put right at the start.

use std::collections::{BTreeMap, HashSet};

use contract::{Code, Problem, RunId};
use rundir::RunDir;

use crate::error::Fault;
use crate::state::AppState;
use crate::store::inputs::Pin;

/// Pins every checkpoint, or none.
///
/// # Errors
/// `chain.gone` where one is not there any more.
pub async fn hold(state: &AppState, pins: &[Pin]) -> Result<(), Fault> {
    for (at, pin) in pins.iter().enumerate() {
        let held = set(state, pin, true).await;
        if matches!(held, Ok(true)) {
            continue;
        }
        release(state, &pins[..at]).await;
        held?;
        let text = format!("The checkpoint of step {} is not there any more.", pin.step);
        return Err(Problem::new(Code::ChainGone, text)
            .with("step", pin.step)
            .with("name", &pin.of)
            .hint("Choose another checkpoint.")
            .into());
    }
    Ok(())
}

/// Takes pins away. One that cannot be taken away now goes at the next start.
pub async fn release(state: &AppState, pins: &[Pin]) {
    for pin in pins {
        if let Err(fault) = set(state, pin, false).await {
            tracing::warn!("a pin of {} stays: {fault}", pin.of);
        }
    }
}

/// Sets a pin or takes it away; whether the checkpoint is there.
async fn set(state: &AppState, pin: &Pin, held: bool) -> Result<bool, Fault> {
    let (folder, pin) = (state.run_folder(&pin.of), pin.clone());
    let work = move || match RunDir::open(&folder) {
        Ok(run) if held => run.pin(pin.step, &pin.by),
        Ok(run) => run.unpin(pin.step, &pin.by).map(|()| true),
        Err(_) => Ok(false),
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Brings the pins of every run into line with the store.
///
/// # Errors
/// When the store fails. A folder that cannot be read is passed over.
pub async fn settle(state: &AppState) -> Result<(), Fault> {
    let mut wanted: BTreeMap<RunId, HashSet<rundir::Pin>> = BTreeMap::new();
    for pin in state.store.all_pins().await? {
        wanted.entry(pin.of).or_default().insert((pin.step, pin.by));
    }
    let folder = state.config.folder("runs");
    let mut wanted = wanted;
    let work = move || {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let Some(id) = entry.file_name().to_str().and_then(RunId::parse) else { continue };
            let Ok(run) = RunDir::open(&entry.path()) else { continue };
            if let Err(why) = bring_into_line(&run, &wanted.remove(&id).unwrap_or_default()) {
                tracing::warn!(run = %id, "pins: {why}");
            }
        }
    };
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn bring_into_line(run: &RunDir, wanted: &HashSet<rundir::Pin>) -> Result<(), rundir::Error> {
    let there: HashSet<rundir::Pin> = run.pins()?.into_iter().collect();
    for (step, by) in there.difference(wanted) {
        run.unpin(*step, by)?;
    }
    for (step, by) in wanted.difference(&there) {
        run.pin(*step, by)?;
    }
    Ok(())
}
