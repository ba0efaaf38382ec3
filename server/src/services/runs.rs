//! Runs: lists, launch, stop, resume, delete, log.

use app::ports::{Answer, Problems, RunsPort};
use contract::Code;
use contract::checkpoint::{CheckpointView, mark};
use contract::event::Kind;
use contract::prediction::{PredictionPage, PredictionQuery};
use contract::run::{RunSummary, RunView};
use contract::spec::Draft;
use contract::{Problem, RunId, RunState};
use rundir::RunDir;

use super::{launch, predictions, remove_folder, run_files, tail_of};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::runs::RunRow;

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

/// The checkpoints that are there, newest first, with the eval loss of the step they hold and how they stand by it.
pub async fn checkpoints(state: &AppState, id: &RunId) -> Result<Vec<CheckpointView>, Fault> {
    let path = state.run_folder(id);
    let list = move || RunDir::open(&path).map_or_else(|_| Ok(Vec::new()), |folder| folder.checkpoints());
    let found = state.lanes.in_turn(format!("checkpoints {id}"), list).await??;
    let told = state.store.checkpoint_events(id).await?;
    let kinds = || told.iter().rev().filter_map(|event| event.what.known());
    let loss_at = |wanted: u64| {
        kinds().find_map(|kind| match kind {
            Kind::Checkpoint { step, eval_loss, .. } if *step == wanted => *eval_loss,
            _ => None,
        })
    };
    let base = kinds().find_map(|kind| match kind {
        Kind::Eval { step: 0, eval_loss, .. } => *eval_loss,
        _ => None,
    });
    let view = |one: &rundir::Checkpoint| {
        let (step, digest) = (one.step(), one.manifest().digest.clone());
        CheckpointView { step, eval_loss: loss_at(step), mark: None, digest }
    };
    let mut views: Vec<_> = found.iter().map(view).collect();
    mark(&mut views, base);
    Ok(views)
}

impl Runs {
    /// Every run, newest first.
    pub async fn all(&self) -> Result<Vec<RunSummary>, Fault> {
        Ok(self.0.store.runs().await?.into_iter().map(|row| row.summary).collect())
    }

    /// One run with its first events.
    pub async fn view(&self, id: &RunId) -> Result<RunView, Fault> {
        let row = find(&self.0, id).await?;
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
            checkpoints: checkpoints(&self.0, id).await?,
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
        if state.store.model(&row.model).await?.is_none() {
            return Err(Problem::new(Code::RunModelGone, "The base model of this run was deleted.").into());
        }
        for dataset in row.spec.datasets() {
            if state.store.dataset(&dataset.id).await?.is_none() {
                let text = format!("The dataset \"{}\" of this run was deleted.", dataset.name);
                return Err(Problem::new(Code::RunDatasetGone, text).with("name", &dataset.name).into());
            }
        }
        if !state.store.move_run(id, RunState::Queued, None, state.clock.now_ms()).await? {
            return Err(
                Problem::new(Code::RunNotEnded, "Only a stopped or failed run can be resumed.").into()
            );
        }
        state.hub.changed(id);
        state.wake.notify_one();
        Ok(())
    }

    async fn remove(&self, id: &RunId) -> Result<(), Fault> {
        find(&self.0, id).await?;
        if !self.0.store.delete_run(id).await? {
            return Err(Problem::new(Code::RunTraining, "This run still trains.")
                .hint("Stop it, wait until it has saved, then delete it.")
                .into());
        }
        let folder = self.0.run_folder(id);
        self.0.pool.forget(&folder);
        remove_folder(&folder);
        self.0.hub.changed(id);
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
    fn list(&self) -> Answer<'_, Vec<RunSummary>> {
        Box::pin(async move { Ok(self.all().await?) })
    }

    fn get(&self, id: RunId) -> Answer<'_, RunView> {
        Box::pin(async move { Ok(self.view(&id).await?) })
    }

    fn launch(&self, draft: Draft) -> Answer<'_, RunId> {
        Box::pin(async move { launch::launch(&self.0, &draft, false).await.map_err(Problems::from) })
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
