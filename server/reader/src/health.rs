//! Health of a dataset, counted as a run with these settings would read it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contract::dataset::Mixing;
use contract::health::{HealthReport, Progress};
use contract::problem::Problem;
use contract::reading::CheckHealth;
use corpus::job::Job;
use corpus::mix::Part;
use corpus::source::folder::Files;

use crate::encoder;

/// Time between two tellings of progress: often enough for a bar that moves.
const BETWEEN: Duration = Duration::from_millis(100);

/// Counts, and tells how far it is.
///
/// # Errors
/// What reading, the tokenizer or the template finds broken.
pub(crate) fn check(asked: CheckHealth, tell: &mut dyn FnMut(Progress)) -> Result<HealthReport, Problem> {
    let (positions, every, holdout) = (asked.positions, asked.every, asked.request.holdout);
    let mut told: Option<Instant> = None;
    let mut watch = |progress: Progress| {
        if told.is_none_or(|at| at.elapsed() >= BETWEEN) {
            tell(progress);
            told = Some(Instant::now());
        }
        ControlFlow::Continue(())
    };
    corpus::health::health_within(&job(asked)?, Some(positions), holdout, every, &mut watch)
}

/// One dataset, whole.
fn job(asked: CheckHealth) -> Result<Job, Problem> {
    let (request, found) = (asked.request, asked.stored.found);
    let encoder = encoder::of(Path::new(&asked.model), &request.preview(1))?;
    let part = Part {
        name: asked.name,
        files: Files::of_texts(PathBuf::from(asked.stored.file), found.kind, asked.stored.texts),
        mapping: found.mapping,
        prefix: None,
        weight: 1.0,
    };
    let (mixing, total) = (Mixing::Concatenate, found.rows);
    Ok(Job { encoder, parts: vec![part], mixing, max_samples: 0, seed: 0, total })
}
