//! What was deleted: the list of it with the space it takes, the way back, and the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use app::ports::{Answer, TrashPort};
use contract::trash::{Deleted, KEPT_MS, Kind, Usage};
use contract::{Code, Problem, RunId};

use super::{pins, remove_folder};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::inputs::{Pin, Users};
use crate::store::trash::Outcome;

/// How often it is looked whether the time of something is over.
const EVERY: Duration = Duration::from_secs(3600);
/// How long a turn may be overdue.
pub const LATE: Duration = Duration::from_secs(2 * 3600);

/// The trash port.
pub struct Trash(pub AppState);

/// The problem of something that others use.
pub fn in_use(code: Code, usage: &Usage) -> Problem {
    let names = usage.line();
    let (what, hint) = match code {
        Code::RunStoodOn => ("Other runs stand on its checkpoints", "Delete them first."),
        Code::ModelInUse => ("A run that waits or trains needs this model", "Stop the run first."),
        _ => ("A run that waits or trains needs this dataset", "Stop the run first."),
    };
    Problem::new(code, format!("{what}: {names}.")).with("names", names).hint(hint)
}

/// Where something lies on the disk.
async fn folders(state: &AppState, kind: Kind, id: &str) -> Result<Vec<PathBuf>, Fault> {
    // An id is a part of a path: ids of every kind are spelt alike.
    RunId::parse(id).ok_or_else(|| Problem::not_found(kind.key()))?;
    Ok(match kind {
        Kind::Run => vec![state.config.folder("runs").join(id)],
        Kind::Model => vec![state.config.folder("models").join(id)],
        Kind::Dataset => {
            let folder = state.config.folder("datasets");
            state.store.version_ids(id).await?.into_iter().map(|id| folder.join(id)).collect()
        }
    })
}

/// Space that a folder takes, bytes; what cannot be read counts nothing.
fn size(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// Everything that was deleted, newest deletion first.
async fn list(state: &AppState) -> Result<Vec<Deleted>, Fault> {
    let mut all = state.store.deleted().await?;
    for one in &mut all {
        let folders = folders(state, one.kind, &one.id).await?;
        one.bytes = tokio::task::spawn_blocking(move || folders.iter().map(|path| size(path)).sum()).await?;
    }
    Ok(all)
}

/// Brings something back.
async fn restore(state: &AppState, kind: Kind, id: &str) -> Result<(), Fault> {
    if !state.store.restore(kind, id).await? {
        return Err(Problem::not_found(kind.key()).into());
    }
    Ok(())
}

/// Deletes something for good.
///
/// # Errors
/// `run.stood_on`; `not_found`.
async fn purge(state: &AppState, kind: Kind, id: &str) -> Result<(), Fault> {
    let folders = folders(state, kind, id).await?;
    let stood_on: Vec<Pin> = match kind {
        Kind::Run => state.store.all_pins().await?.into_iter().filter(|pin| pin.by.as_str() == id).collect(),
        _ => Vec::new(),
    };
    match state.store.purge(kind, id).await? {
        Outcome::Used(usage) => return Err(in_use(Code::RunStoodOn, &usage).into()),
        Outcome::Gone | Outcome::Training => return Err(Problem::not_found(kind.key()).into()),
        Outcome::Done => {}
    }
    pins::release(state, &stood_on).await;
    tokio::task::spawn_blocking(move || folders.iter().for_each(|path| remove_folder(path))).await?;
    Ok(())
}

/// Deletes for good what was deleted long enough ago, until the server shuts down. What others stand on waits for them.
pub async fn tidy(state: AppState) {
    loop {
        state.loops.turns("trash");
        if let Err(fault) = turn(&state).await {
            tracing::error!("trash: {fault}");
        }
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One look at all that was deleted.
///
/// # Errors
/// When the store fails.
pub async fn turn(state: &AppState) -> Result<(), Fault> {
    let old = state.clock.now_ms() - KEPT_MS;
    for one in state.store.deleted().await?.into_iter().rev().filter(|one| one.deleted_ms <= old) {
        match purge(state, one.kind, &one.id).await {
            Ok(()) => tracing::info!("{} {} was deleted for good", one.kind.key(), one.id),
            Err(Fault::Problems(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

impl TrashPort for Trash {
    fn list(&self) -> Answer<'_, Vec<Deleted>> {
        Box::pin(async move { Ok(list(&self.0).await?) })
    }

    fn restore(&self, kind: Kind, id: String) -> Answer<'_, ()> {
        Box::pin(async move { Ok(restore(&self.0, kind, &id).await?) })
    }

    fn purge(&self, kind: Kind, id: String) -> Answer<'_, ()> {
        Box::pin(async move { Ok(purge(&self.0, kind, &id).await?) })
    }

    fn usage(&self, kind: Kind, id: String) -> Answer<'_, Usage> {
        Box::pin(async move { Ok(self.0.store.used(kind, &id, Users::Here).await?) })
    }
}
