//! Checkpoints a run starts from: from the names in a form to folders, and whether they fit.

use contract::check::Checked;
use contract::problem::Problem;
use contract::spec::{CheckpointKey, CheckpointRef};
use rundir::RunDir;

use crate::error::Fault;
use crate::state::AppState;

/// Checkpoints found.
#[derive(Debug, Default)]
pub struct Chain {
    /// In merge order.
    pub adapters: Vec<CheckpointRef>,
    /// The reward model.
    pub reward_model: Option<CheckpointRef>,
}

/// Finds the checkpoints a draft names. A single one brings along what its own run had started from.
pub async fn resolve(state: &AppState, checked: &Checked) -> Result<Chain, Fault> {
    let mut chain = Chain::default();
    for key in &checked.adapters {
        let found = find(state, key, "adapters").await?;
        match checked.adapters.len() {
            1 => chain.adapters = with_ancestors(state, key, found).await?,
            _ => chain.adapters.push(found),
        }
    }
    if let Some(key) = &checked.reward_model {
        chain.reward_model = Some(find(state, key, "reward_model").await?);
    }
    Ok(chain)
}

/// The checkpoint a key names; `field` is where a form asks for it.
pub(super) async fn find(state: &AppState, key: &CheckpointKey, field: &str) -> Result<CheckpointRef, Fault> {
    let gone = || Problem::not_found("checkpoint").field(field).hint("Choose another checkpoint.");
    let row = state.store.run(&key.run).await?.ok_or_else(gone)?;
    let (folder, step) = (state.run_folder(&key.run), key.step);
    let found = tokio::task::spawn_blocking(move || RunDir::open(&folder)?.checkpoint(step)).await?;
    let checkpoint = found.ok().flatten().ok_or_else(gone)?;
    Ok(CheckpointRef {
        run: key.run.clone(),
        name: row.summary.name,
        step,
        folder: checkpoint.path().to_string_lossy().into_owned(),
        digest: checkpoint.manifest().digest.clone(),
        whole: rundir::chain::is_whole(checkpoint.path()),
    })
}

async fn with_ancestors(
    state: &AppState,
    key: &CheckpointKey,
    found: CheckpointRef,
) -> Result<Vec<CheckpointRef>, Fault> {
    Ok(match state.store.run(&key.run).await? {
        Some(row) => row.spec.chain_to(found),
        None => vec![found],
    })
}
