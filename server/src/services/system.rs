//! The machine, whom one can talk to, and the tour.

use std::time::Duration;

use app::ports::{Answer, SystemPort};
use contract::carry::PageSize;
use contract::chat::{ChatTarget, Voice};
use contract::checkpoint::chosen;
use contract::limits::LimitView;
use contract::system::{SystemView, TourView};
use contract::templates::suggest;
use contract::{RunId, Stage};
use serde::de::DeserializeOwned;

use super::{runs, takeaway, tour};
use crate::error::Fault;
use crate::executor;
use crate::proc;
use crate::state::AppState;

/// File in the data folder that keeps the machine's speed.
const SPEED: &str = "speed.json";

/// Everything else.
pub struct System(pub AppState);

/// Names of the worker's devices; asked once. `CPU` when the worker cannot say.
pub async fn devices(state: &AppState) -> Vec<String> {
    state.devices.get_or_init(|| async { said(state, "devices").await.unwrap_or_default() }).await.clone()
}

/// Floating-point operations a second of this machine, timed by the worker once. The best of all times is kept in the
/// data folder: a machine that was busy while it was timed is no slower for that.
pub async fn speed(state: &AppState) -> Option<f64> {
    let time = || async {
        let path = state.config.data_dir.join(SPEED);
        let kept =
            tokio::fs::read(&path).await.ok().and_then(|text| serde_json::from_slice::<f64>(&text).ok());
        let timed = said::<f64>(state, "speed").await;
        let best = [kept, timed].into_iter().flatten().filter(|speed| *speed > 0.0).reduce(f64::max)?;
        if kept != Some(best) {
            // Kept or not, it is known until the server ends.
            let _ = tokio::fs::write(&path, best.to_string()).await;
        }
        Some(best)
    };
    *state.speed.get_or_init(time).await
}

/// What a command of the worker prints; `None` when it cannot say.
async fn said<T: DeserializeOwned>(state: &AppState, command: &str) -> Option<T> {
    let output = executor::command(&state.config).arg(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(20), output).await.ok()?.ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

impl System {
    async fn reading(&self) -> Result<SystemView, Fault> {
        let state = &self.0;
        // never waits for the worker: until it answered, the machine is its CPU
        let device = state.devices.get().and_then(|names| {
            let gpu = names.iter().find(|name| !name.to_ascii_lowercase().starts_with("cpu"));
            gpu.or_else(|| names.first()).cloned()
        });
        let (memory_used, memory_total) = proc::memory();
        let starter = state.store.starter_model().await?.is_some_and(|model| model.state == "ready");
        Ok(SystemView {
            device: device.unwrap_or_else(|| "CPU".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            cpu: state.cpu.read(),
            memory_used,
            memory_total,
            disk_free: proc::disk_free(&state.config.data_dir),
            speed: state.speed.get().copied().flatten(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            starter,
        })
    }

    async fn all_voices(&self) -> Result<Vec<Voice>, Fault> {
        let state = &self.0;
        let mut voices = Vec::new();
        let (models, mut runs) = (state.store.models().await?, state.store.runs().await?);
        runs.retain(|run| models.iter().any(|model| model.id == run.model));
        // However many runs there are: one query, one walk through their folders (g).
        let told = state.store.all_checkpoint_events().await?;
        let saved = runs::saved(state, runs.iter().map(|run| run.summary.id.clone()).collect()).await?;
        for run in runs {
            let Some(found) = saved.get(&run.summary.id) else { continue };
            let checkpoints = runs::seen(found, told.get(&run.summary.id).map_or(&[], Vec::as_slice));
            // Of an adapter from elsewhere it is not known what its value head was made for.
            let judges = match &run.spec.brought {
                Some(adapter) => adapter.value_head.is_some(),
                None => run.summary.stage == Stage::Rm,
            };
            let chosen = chosen(&checkpoints, run.spec.hyper.load_best_model_at_end).map(|one| one.step);
            for checkpoint in checkpoints {
                voices.push(Voice {
                    target: ChatTarget {
                        model: run.model.clone(),
                        run: Some(run.summary.id.clone()),
                        step: Some(checkpoint.step),
                    },
                    name: run.summary.name.clone(),
                    kind: "run".to_owned(),
                    template: run.spec.template.clone(),
                    systems: run.spec.system_texts(),
                    suggestion: run.suggestion.clone(),
                    stage: Some(run.summary.stage),
                    judges,
                    chosen: chosen == Some(checkpoint.step),
                    mark: checkpoint.mark,
                });
            }
        }
        for model in models {
            let Some(facts) = model.facts.filter(|_| model.state == "ready") else { continue };
            let template = suggest(&model.name, &facts.architecture, facts.has_chat_template);
            voices.push(Voice {
                target: ChatTarget { model: model.id, run: None, step: None },
                name: model.name,
                kind: "base".to_owned(),
                template: template.to_owned(),
                systems: Vec::new(),
                suggestion: None,
                stage: None,
                judges: false,
                chosen: false,
                mark: None,
            });
        }
        Ok(voices)
    }
}

impl SystemPort for System {
    fn system(&self) -> Answer<'_, SystemView> {
        Box::pin(async move { Ok(self.reading().await?) })
    }

    fn limits(&self) -> Answer<'_, Vec<LimitView>> {
        Box::pin(async { Ok(self.0.config.limits()) })
    }

    fn voices(&self) -> Answer<'_, Vec<Voice>> {
        Box::pin(async move { Ok(self.all_voices().await?) })
    }

    fn handed_over_size(&self, target: ChatTarget) -> Answer<'_, PageSize> {
        Box::pin(async move { Ok(takeaway::size(&self.0, target).await?) })
    }

    fn start_tour(&self) -> Answer<'_, TourView> {
        Box::pin(async move { Ok(tour::start(&self.0).await?) })
    }

    fn tour(&self, run: RunId) -> Answer<'_, Option<TourView>> {
        Box::pin(async move { Ok(tour::of(&self.0, &run).await?) })
    }
}
