//! A dataset's health for a run, counted in the background: one at a time, kept by what it depends on, given up when
//! nobody asks for it any more.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Code;
use contract::Problem;
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::DatasetView;
use contract::health::{HealthReport, Progress};
use contract::model::ModelFacts;
use contract::reading::CheckHealth;
use sha2::{Digest, Sha256};

use super::{datasets, models};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// How long the first answer may wait for a small dataset, so that no bar flashes up.
const PATIENCE: Duration = Duration::from_millis(700);
/// A checkup that nobody asked for so long is given up.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Reports kept on disk at most.
const KEPT: usize = 200;
/// Version of the report on disk; rises when its shape or meaning changes.
const FORMAT: u32 = 6;
/// Rows read where some are enough: their sizes tell a mean within a few hundredths.
const SAMPLE: u64 = 2_000;

/// Checkups under way, by key.
#[derive(Debug, Default)]
pub struct Checkups(Mutex<HashMap<String, Running>>);

#[derive(Debug)]
struct Running {
    progress: Progress,
    asked: Instant,
    failed: Option<Problem>,
}

impl Checkups {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody asked; says whether the checkup must be begun.
    fn ask(&self, key: &str) -> bool {
        let mut all = self.lock();
        let fresh = || Running { progress: Progress::default(), asked: Instant::now(), failed: None };
        let known = all.contains_key(key);
        all.entry(key.to_owned()).or_insert_with(fresh).asked = Instant::now();
        !known
    }

    /// Keeps how far a checkup is; false when nobody wants it any more.
    fn tell(&self, key: &str, progress: Progress) -> bool {
        let mut all = self.lock();
        let Some(running) = all.get_mut(key) else { return false };
        running.progress = progress;
        running.asked.elapsed() < FORGOTTEN
    }

    /// How it stands; a failure is told once and then forgotten, so that asking again tries again.
    fn look(&self, key: &str) -> Option<Checkup> {
        let mut all = self.lock();
        let running = all.get(key)?;
        match running.failed.clone() {
            None => Some(Checkup::Running { progress: running.progress }),
            Some(problem) => {
                all.remove(key);
                Some(Checkup::Failed { problem })
            }
        }
    }

    fn end(&self, key: &str, failed: Option<Problem>) {
        let mut all = self.lock();
        match (failed, all.get_mut(key)) {
            (Some(problem), Some(running)) => running.failed = Some(problem),
            _ => drop(all.remove(key)),
        }
    }
}

/// Where the report of a request lies once it is made: named by everything it depends on.
fn place(
    state: &AppState,
    dataset: &DatasetView,
    facts: &ModelFacts,
    request: &CheckupRequest,
) -> (String, PathBuf) {
    let key = serde_json::json!([
        FORMAT,
        dataset.sha256,
        dataset.inspection,
        facts.digest,
        request.model,
        request.stage,
        request.template,
        request.max_source_length,
        request.max_target_length,
        request.behaviour,
        request.control_tokens_in_text,
        request.system,
        request.holdout,
        every(dataset, request)
    ]);
    let key = format!("{:x}", Sha256::digest(key.to_string()));
    let path = state.config.folder("health").join(format!("{key}.json"));
    (key, path)
}

/// One of how many rows is read.
fn every(dataset: &DatasetView, request: &CheckupRequest) -> u64 {
    if request.sample { dataset.inspection.rows.div_ceil(SAMPLE).max(1) } else { 1 }
}

/// The report of a request, if it was made before.
pub fn made(
    state: &AppState,
    dataset: &DatasetView,
    facts: &ModelFacts,
    request: &CheckupRequest,
) -> Option<Box<HealthReport>> {
    kept(&place(state, dataset, facts, request).1)
}

/// The answer, or how far it is.
pub async fn ask(state: &AppState, request: CheckupRequest) -> Result<Checkup, Fault> {
    let dataset = datasets::find(state, &request.dataset).await?;
    let model = models::find(state, &request.model).await?;
    let Some(facts) = model.facts.filter(|_| model.state == "ready") else {
        return Err(Problem::new(Code::ModelNotReady, format!("{} is not ready.", model.name))
            .with("name", &model.name)
            .field("model")
            .into());
    };
    let (key, path) = place(state, &dataset.view, &facts, &request);
    if let Some(report) = kept(&path) {
        return Ok(Checkup::Done { report });
    }
    if state.checkups.ask(&key) {
        let work = CheckHealth {
            stored: datasets::stored(state, &dataset),
            name: dataset.view.name.clone(),
            model: state.model_folder(&request.model).to_string_lossy().into_owned(),
            positions: facts.context_length,
            every: every(&dataset.view, &request),
            request,
        };
        let (state, key, path) = (state.clone(), key.clone(), path.clone());
        state.clone().tasks.spawn(async move { run(&state, &key, work, path).await });
    }
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(report) = kept(&path) {
            return Ok(Checkup::Done { report });
        }
        match state.checkups.look(&key) {
            Some(Checkup::Running { progress }) if Instant::now() >= until => {
                return Ok(Checkup::Running { progress });
            }
            Some(Checkup::Running { .. }) | None if Instant::now() < until => {}
            None => return Ok(Checkup::Running { progress: Progress::default() }),
            Some(other) => return Ok(other),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn kept(path: &std::path::Path) -> Option<Box<HealthReport>> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn run(state: &AppState, key: &str, work: CheckHealth, path: PathBuf) {
    let total = work.stored.found.rows;
    let mut watch = |progress: Progress| {
        let known = Progress { total: progress.total.max(total), ..progress };
        let wanted = !state.shutdown.is_cancelled() && state.checkups.tell(key, known);
        if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let failed = match state.readers.ask_watched(Lane::Health, work, &mut watch).await {
        Ok(report) => {
            keep(state, &path, &report).err().and_then(|fault| fault.into_problems().into_iter().next())
        }
        Err(problem) => Some(problem).filter(|problem| problem.code != Code::DataCancelled),
    };
    state.checkups.end(key, failed);
}

/// Writes a report whole or not at all, and removes the oldest beyond [`KEPT`].
fn keep(state: &AppState, path: &std::path::Path, report: &HealthReport) -> Result<(), Fault> {
    let half = path.with_extension("new");
    std::fs::write(&half, serde_json::to_vec(report)?).map_err(Fault::disk("write", &half))?;
    std::fs::rename(&half, path).map_err(Fault::disk("move", &half))?;
    let folder = state.config.folder("health");
    let mut all: Vec<_> =
        std::fs::read_dir(&folder).map_err(Fault::disk("read", &folder))?.flatten().collect();
    if all.len() > KEPT {
        all.sort_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
        for entry in all.iter().take(all.len() - KEPT) {
            // gone already is as good
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_asking_again_begins_again() {
        let all = Checkups::default();
        assert!(all.ask("k") && !all.ask("k"), "begun once");
        assert!(all.tell("k", Progress { rows: 3, ..Progress::default() }));
        assert!(matches!(all.look("k"), Some(Checkup::Running { progress }) if progress.rows == 3));
        all.end("k", Some(Problem::new(Code::ServerFault, "y")));
        assert!(matches!(all.look("k"), Some(Checkup::Failed { .. })));
        assert!(all.look("k").is_none() && all.ask("k"));
        all.end("k", None);
        assert!(!all.tell("k", Progress::default()), "nobody waits for what has ended");
    }
}
