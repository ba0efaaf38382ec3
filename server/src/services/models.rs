//! Base models: imports and from-scratch models, made by the worker in a folder of their own that gets its
//! name only when it is complete.

mod importing;

use std::path::{Path, PathBuf};

use app::ports::{Answer, ModelsPort, Problems};
use contract::Code;
use contract::adapter::Imported;
use contract::listed::Listed;
use contract::model::{ModelView, NewModel, ScratchSize};
use contract::worker::{EXIT_PROBLEM, half_made};
use contract::{ModelId, Problem, RunId, label};
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{adapters, datasets, remove_folder, trash};
use crate::error::Fault;
use crate::executor;
use crate::state::AppState;
use crate::store::trash::Outcome;
pub use importing::Importing;

/// Label of the starter model.
pub const STARTER: &str = "SmolLM2-135M-Instruct";

/// The models port.
pub struct Models(pub AppState);

/// One model, or the problem that it is gone.
pub async fn find(state: &AppState, id: &ModelId) -> Result<ModelView, Fault> {
    Ok(state.store.model(id).await?.ok_or_else(|| Problem::not_found("model"))?)
}

/// What the worker is to do.
enum Job {
    Import { source: PathBuf, remove_source: bool, license: Option<String> },
    Create { size: ScratchSize, file: PathBuf, mapping: String },
}

/// The problem of an import that a server left when it ended.
pub(super) fn interrupted() -> Problem {
    Problem::new(Code::ModelInterrupted, "The import was interrupted.").hint("Import it again.")
}

/// Ends what a former server left half-made and imports the starter model when there is none yet.
pub async fn recover(state: &AppState) -> Result<(), Fault> {
    state.store.interrupted_imports(&interrupted()).await?;
    let known: Vec<String> = state.store.models().await?.into_iter().map(|model| model.id.0).collect();
    let folder = state.config.folder("models");
    for entry in std::fs::read_dir(&folder).map_err(Fault::disk("read", &folder))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("new-") && !known.contains(&name) {
            remove_folder(&entry.path());
        }
    }
    let Some(file) = state.config.starter.clone() else { return Ok(()) };
    if state.store.starter_model().await?.is_some() {
        return Ok(());
    }
    if !file.is_file() {
        tracing::warn!("the starter model {} is not there", file.display());
        return Ok(());
    }
    begin(state, STARTER.to_owned(), true, Job::Import { source: file, remove_source: false, license: None })
        .await?;
    Ok(())
}

async fn begin(state: &AppState, name: String, starter: bool, job: Job) -> Result<ModelView, Fault> {
    let id = ModelId(state.ids.next());
    state.store.add_model(&id, &name, starter, state.clock.now_ms()).await?;
    let model = find(state, &id).await?;
    let (state_of_task, stop) = (state.clone(), state.importing.begin(&id, &state.shutdown));
    state.tasks.spawn(async move {
        make(&state_of_task, &id, &job, &stop).await;
        state_of_task.importing.ended(&id);
    });
    Ok(model)
}

/// Imports a folder that is removed when the import has ended; `license` stands where the files name none.
pub async fn import_folder(
    state: &AppState,
    name: &str,
    source: PathBuf,
    license: Option<String>,
) -> Result<ModelView, Fault> {
    begin(state, name.to_owned(), false, Job::Import { source, remove_source: true, license }).await
}

fn half(state: &AppState, id: &ModelId) -> PathBuf {
    state.config.folder("models").join(format!("new-{id}"))
}

/// Makes a model, or nothing where `stop` ends it.
async fn make(state: &AppState, id: &ModelId, job: &Job, stop: &CancellationToken) {
    let half = half(state, id);
    let made = in_turn(state, id, job, &half, stop).await;
    if let Job::Import { source, remove_source: true, .. } = job {
        remove_folder(source);
    }
    let ended = match &made {
        None => Ok(true),
        Some(Ok(Imported::Model(facts))) => state.store.end_import(id, Ok(facts)).await,
        Some(Ok(Imported::Adapter { adapter })) => state.store.end_with_adapter(id, adapter).await,
        Some(Err(problem)) => state.store.end_import(id, Err(problem)).await,
    };
    match ended {
        Ok(true) => {}
        // deleted while it was being made
        Ok(false) => remove_folder(&state.model_folder(id)),
        Err(fault) => tracing::error!(model = %id, "{fault}"),
    }
    remove_folder(&half);
    remove_folder(&half_made(&half));
}

/// Waits for its turn, has the worker make the model and gives the model its folder.
async fn in_turn(
    state: &AppState,
    id: &ModelId,
    job: &Job,
    half: &Path,
    stop: &CancellationToken,
) -> Option<Result<Imported, Problem>> {
    let permit = tokio::select! {
        permit = state.imports.acquire() => permit.ok(),
        () = stop.cancelled() => None,
    };
    let _permit = permit?;
    let made = work(state, job, half, stop).await.transpose()?;
    Some(made.and_then(|mut imported| {
        if let (Imported::Model(facts), Job::Import { license: Some(license), .. }) = (&mut imported, job) {
            facts.license.get_or_insert_with(|| license.clone());
        }
        if let Imported::Model(facts) = &mut imported {
            // The words of whoever made the file.
            facts.license = facts.license.take().map(|license| label::cleaned(&license, label::MAX_NAME));
        }
        std::fs::rename(half, state.model_folder(id)).map_err(|why| {
            tracing::error!("{} could not be given its name: {why}", half.display());
            Problem::new(Code::DiskIo, format!("The model's folder could not be given its name: {why}."))
                .with("path", id)
                .with("why", &why)
        })?;
        Ok(imported)
    }))
}

/// What the worker made; nothing where `stop` ended it.
async fn work(
    state: &AppState,
    job: &Job,
    target: &Path,
    stop: &CancellationToken,
) -> Result<Option<Imported>, Problem> {
    let what = |command: &mut Command| {
        match job {
            Job::Import { source, .. } => command.arg("import").arg(source).arg(target),
            Job::Create { size, file, mapping } => command
                .arg("create")
                .arg(target)
                .args(["--size", size.key()])
                .arg("--dataset")
                .arg(file)
                .args(["--mapping", mapping]),
        };
    };
    ask_worker(state, stop, what).await
}

/// What the worker answers to a command; nothing where `stop` ended it.
pub(super) async fn ask_worker<T: DeserializeOwned>(
    state: &AppState,
    stop: &CancellationToken,
    what: impl FnOnce(&mut Command),
) -> Result<Option<T>, Problem> {
    let mut command = executor::command(&state.config);
    what(&mut command);
    let output = importing::output(&mut command, stop).await;
    let output = output.map_err(|why| executor::missing(&state.config, &why))?;
    let Some(output) = output else { return Ok(None) };
    let text = String::from_utf8_lossy(&output.stdout);
    let line = executor::last_line(&text);
    if output.status.success() {
        return serde_json::from_str(line).map(Some).map_err(|why| {
            Problem::new(Code::WorkerOddAnswer, format!("The worker's answer is not what was agreed: {why}."))
                .with("why", why)
                .hint("Use a worker of the same version as the server.")
        });
    }
    if output.status.code() == Some(EXIT_PROBLEM)
        && let Ok(problem) = serde_json::from_str(line)
    {
        return Err(problem);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    tracing::warn!(
        "an import ended early ({}); its last words: {}",
        output.status,
        executor::last_line(&words)
    );
    Err(Problem::new(Code::WorkerEnded, format!("The import ended early ({}).", output.status))
        .with("code", output.status)
        .hint("The machine may be short of memory or disk space."))
}

impl Models {
    async fn begin_new(&self, new: NewModel) -> Result<ModelView, Fault> {
        let state = &self.0;
        let (name, job) = match new {
            NewModel::Path { name, path } => {
                let source = tokio::task::spawn_blocking(move || importing::source(&path)).await??;
                (name, Job::Import { source, remove_source: false, license: None })
            }
            NewModel::Upload { name, upload } => {
                let source = super::uploads::folder(state, &upload)?;
                if !source.is_dir() {
                    return Err(Problem::not_found("upload").field("upload").into());
                }
                (name, Job::Import { source, remove_source: true, license: None })
            }
            NewModel::Scratch { name, size, dataset } => {
                let size = ScratchSize::parse(&size).ok_or_else(|| {
                    Problem::new(Code::FormUnknownChoice, "Choose a size: 1m, 5m or 20m.").field("size")
                })?;
                let row = datasets::find(state, &dataset).await?;
                let mapping = serde_json::to_string(&row.view.inspection.mapping)?;
                (name, Job::Create { size, file: datasets::file(state, &row), mapping })
            }
        };
        begin(state, label::required(&name)?, false, job).await
    }

    /// Deletes a model: it can be brought back for a while. Of one that never became a model nothing is kept.
    async fn remove(&self, id: &ModelId) -> Result<(), Fault> {
        let state = &self.0;
        match state.store.discard_model(id, state.clock.now_ms()).await? {
            Outcome::Done => {}
            Outcome::Used(usage) => return Err(trash::in_use(Code::ModelInUse, &usage).into()),
            Outcome::Gone | Outcome::Training => return Err(Problem::not_found("model").into()),
        }
        state.importing.stop(id);
        let folder = state.model_folder(id);
        state.pool.forget(&folder);
        if state.store.forget_unfinished(id).await? {
            remove_folder(&folder);
        }
        Ok(())
    }
}

impl ModelsPort for Models {
    fn list(&self) -> Answer<'_, Vec<Listed<ModelView>>> {
        Box::pin(async move { self.0.store.list_models().await.map_err(Problems::from) })
    }

    fn get(&self, id: ModelId) -> Answer<'_, ModelView> {
        Box::pin(async move { Ok(find(&self.0, &id).await?) })
    }

    fn create(&self, new: NewModel) -> Answer<'_, ModelView> {
        Box::pin(async move { Ok(self.begin_new(new).await?) })
    }

    fn adopt(&self, id: ModelId, base: ModelId, template: String) -> Answer<'_, RunId> {
        Box::pin(async move { Ok(adapters::adopt(&self.0, id, base, template).await?) })
    }

    fn delete(&self, id: ModelId) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.remove(&id).await?) })
    }
}
