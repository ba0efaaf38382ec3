//! Runs: lists, launch, stop, resume, delete, log.

use std::collections::HashMap;

use app::ports::{Answer, Problems, RunsPort};
use contract::Code;
use contract::checkpoint::{CheckpointView, mark};
use contract::event::{Event, Kind as What};
use contract::listed::Listed;
use contract::prediction::{PredictionPage, PredictionQuery};
use contract::run::{RunSummary, RunView};
use contract::spec::Draft;
use contract::trash::Kind;
use contract::{Problem, RunId, RunState};
use rundir::{Checkpoint, RunDir};

use super::{launch, predictions, run_files, tail_of, trash};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::inputs::Lacking;
use crate::store::runs::RunRow;
use crate::store::trash::Outcome;

/// Events a page is drawn with.
const FIRST_EVENTS: u32 = 3000;
/// Bytes of the log that a page shows.
const LOG_BYTES: u64 = 64 << 10;

/// The runs port.
pub struct Runs(pub AppState);

/// One run, or the problem that it is gone.
pub async fn find(state: &AppState, id: &RunId) -> Result<RunRow, Fault> {
    Ok(state.store.run(id).await?.ok_or_else(|| Problem::not_found("run"))?)
}

/// The folders of checkpoints that are there, by run; a folder that cannot be read has none (N2).
pub async fn saved(state: &AppState, runs: Vec<RunId>) -> Result<HashMap<RunId, Vec<Checkpoint>>, Fault> {
    let folder = state.config.folder("runs");
    let read = move || {
        let of = |id: &RunId| RunDir::open(&folder.join(id.as_str()))?.checkpoints();
        runs.into_iter().filter_map(|id| of(&id).ok().map(|found| (id, found))).collect()
    };
    state.lanes.in_turn("every checkpoint".to_owned(), read).await
}

/// The checkpoints that are there, newest first, with the eval loss of the step they hold and how they stand by it.
pub async fn checkpoints(state: &AppState, id: &RunId) -> Result<Vec<CheckpointView>, Fault> {
    let path = state.run_folder(id);
    let list = move || RunDir::open(&path).map_or_else(|_| Ok(Vec::new()), |folder| folder.checkpoints());
    let found = state.lanes.in_turn(format!("checkpoints {id}"), list).await??;
    Ok(seen(&found, &state.store.checkpoint_events(id).await?))
}

/// Checkpoints with what events tell of them.
pub fn seen(found: &[Checkpoint], told: &[Event]) -> Vec<CheckpointView> {
    let kinds = || told.iter().rev().filter_map(|event| event.what.known());
    let loss_at = |wanted: u64| {
        kinds().find_map(|kind| match kind {
            What::Checkpoint { step, eval_loss, .. } if *step == wanted => *eval_loss,
            _ => None,
        })
    };
    let base = kinds().find_map(|kind| match kind {
        What::Eval { step: 0, eval_loss, .. } => *eval_loss,
        _ => None,
    });
    let view = |one: &Checkpoint| {
        let (step, digest) = (one.step(), one.manifest().digest.clone());
        CheckpointView { step, eval_loss: loss_at(step), mark: None, digest }
    };
    let mut views: Vec<_> = found.iter().map(view).collect();
    mark(&mut views, base);
    views
}

fn not_ended() -> Problem {
    Problem::new(Code::RunNotEnded, "Only a stopped or failed run can be resumed.")
}

/// What a run that is to go on lacks.
fn gone(row: &RunRow, lacking: &Lacking) -> Problem {
    match lacking.kind {
        Kind::Model => Problem::new(Code::RunModelGone, "The base model of this run was deleted."),
        Kind::Dataset => {
            let name = row.spec.datasets().find(|one| one.id.as_str() == lacking.id);
            let name = name.map_or("", |one| one.name.as_str());
            let text = format!("The dataset \"{name}\" of this run was deleted.");
            Problem::new(Code::RunDatasetGone, text).with("name", name)
        }
        Kind::Run => {
            let mut all = row.spec.adapters.iter().chain(&row.spec.reward_model);
            let found = all.find(|one| one.run.as_str() == lacking.id);
            let (name, step) = found.map_or(("", 0), |one| (one.name.as_str(), one.step));
            let text = format!("The checkpoint of step {step} of \"{name}\" is not there any more.");
            Problem::new(Code::ChainGone, text).with("step", step).with("name", name)
        }
    }
    .hint("What was deleted can be brought back for a while: see the settings.")
}

impl Runs {
    /// Every run, newest first.
    pub async fn all(&self) -> Result<Vec<Listed<RunSummary>>, Fault> {
        let rows = self.0.store.list_runs().await?;
        Ok(rows.into_iter().map(|row| row.map(|row| row.summary)).collect())
    }

    /// One run with its first events.
    pub async fn view(&self, id: &RunId) -> Result<RunView, Fault> {
        let row = find(&self.0, id).await?;
        let (checkpoints, damage) = match checkpoints(&self.0, id).await {
            Ok(checkpoints) => (checkpoints, None),
            Err(Fault::RunDir(why)) => (Vec::new(), Some(why.into())),
            Err(fault) => return Err(fault),
        };
        Ok(RunView {
            summary: row.summary,
            model: row.model,
            dataset: row.dataset,
            template: row.spec.template,
            system: row.spec.system,
            hyper: row.spec.hyper,
            adapters: row.spec.adapters,
            reward_model: row.spec.reward_model,
            brought: row.spec.brought,
            checkpoints,
            damage,
            problem: row.problem,
            attempt: row.attempt,
            events: self.0.store.events(id, 0, FIRST_EVENTS).await?,
            event_count: self.0.store.event_count(id).await?,
        })
    }

    async fn ask_to_stop(&self, id: &RunId) -> Result<(), Fault> {
        let state = &self.0;
        let now = find(state, id).await?.summary.state;
        let next = match now {
            RunState::Queued => RunState::Stopped,
            RunState::Stopping => return Ok(()),
            now if now.is_live() => RunState::Stopping,
            _ => return Err(Problem::new(Code::RunOver, "This run is not training any more.").into()),
        };
        let moved = state.store.move_run(id, next, None, state.clock.now_ms()).await?;
        // The queue brings it about, however often it has to ask (`stops`).
        if !moved {
            // it moved on between the two looks: look once more
            return Err(Problem::new(Code::Busy, "The run was just changing.").hint("Try again.").into());
        }
        state.hub.changed(id);
        state.wake.notify_one();
        Ok(())
    }

    async fn go_on(&self, id: &RunId) -> Result<(), Fault> {
        let state = &self.0;
        let row = find(state, id).await?;
        if !row.summary.state.may_become(RunState::Queued) {
            return Err(not_ended().into());
        }
        let spec = row.spec.clone();
        // As at the launch: a start that fails at once is no way on (N3).
        let problems = tokio::task::spawn_blocking(move || rundir::chain::problems(&spec)).await?;
        if !problems.is_empty() {
            return Err(Fault::Problems(problems));
        }
        match state.store.requeue(id, state.clock.now_ms()).await? {
            Err(lacking) => return Err(gone(&row, &lacking).into()),
            Ok(true) => {}
            Ok(false) => return Err(not_ended().into()),
        }
        state.hub.changed(id);
        state.wake.notify_one();
        Ok(())
    }

    /// Deletes a run: it can be brought back for a while.
    async fn remove(&self, id: &RunId) -> Result<(), Fault> {
        let state = &self.0;
        let training = || {
            Problem::new(Code::RunTraining, "This run still trains.")
                .hint("Stop it, wait until it has saved, then delete it.")
        };
        let folder = state.run_folder(id);
        let path = folder.clone();
        // The row may not know of a worker that the folder knows of (N6).
        let held = move || RunDir::open(&path).ok().and_then(|run| run.live_attempt().ok().flatten());
        if state.lanes.in_turn(format!("folder {id}"), held).await?.is_some() {
            return Err(training().into());
        }
        match state.store.discard_run(id, state.clock.now_ms()).await? {
            Outcome::Done => {}
            Outcome::Gone => return Err(Problem::not_found("run").into()),
            Outcome::Training => return Err(training().into()),
            Outcome::Used(usage) => return Err(trash::in_use(Code::RunStoodOn, &usage).into()),
        }
        state.pool.forget(&folder);
        state.hub.changed(id);
        Ok(())
    }

    async fn last_log(&self, id: &RunId) -> Result<String, Fault> {
        let row = find(&self.0, id).await?;
        let (path, attempt) = (self.0.run_folder(id), row.attempt);
        let read = move || {
            let folder = RunDir::open(&path).ok()?;
            Some(tail_of(&folder.attempt(attempt).stderr_path(), LOG_BYTES))
        };
        let text = self.0.lanes.in_turn(format!("log {id}"), read).await?.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(200)..].join("\n"))
    }
}

impl RunsPort for Runs {
    fn list(&self) -> Answer<'_, Vec<Listed<RunSummary>>> {
        Box::pin(async move { Ok(self.all().await?) })
    }

    fn get(&self, id: RunId) -> Answer<'_, RunView> {
        Box::pin(async move { Ok(self.view(&id).await?) })
    }

    fn launch(&self, draft: Draft, key: Option<String>) -> Answer<'_, RunId> {
        Box::pin(async move {
            let key = key.map(|key| launch::key(&key, &draft)).transpose()?;
            launch::launch(&self.0, &draft, key).await.map_err(Problems::from)
        })
    }

    fn stop(&self, id: RunId) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.ask_to_stop(&id).await?) })
    }

    fn resume(&self, id: RunId) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.go_on(&id).await?) })
    }

    fn delete(&self, id: RunId) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.remove(&id).await?) })
    }

    fn predictions(&self, id: RunId, query: PredictionQuery) -> Answer<'_, PredictionPage> {
        Box::pin(async move { Ok(predictions::page(&self.0, &id, query).await?) })
    }

    fn files(&self, id: RunId) -> Answer<'_, Vec<String>> {
        Box::pin(async move { Ok(run_files::names(&self.0, &id).await?) })
    }

    fn log(&self, id: RunId) -> Answer<'_, String> {
        Box::pin(async move { Ok(self.last_log(&id).await?) })
    }
}
