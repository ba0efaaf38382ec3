//! The rows of a run: prepared beside training, or found as an earlier run left them.
//!
//! A set is prepared whole before the first step, so that its rows are counted, split and shuffled exactly. From
//! [`LARGE`] rows on that would take too long: then rows are only counted, which takes seconds, the first round is
//! shuffled within windows of [`WINDOW`] rows, and training waits for no more than the rows a step needs. Which of the
//! two it is follows from the specification alone, so a resumed run reads what it would have read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::dataset::{Behaviour, Mixing, mixing_weights, source_prefixes};
use contract::event::DatasetRows;
use contract::health::Progress;
use contract::model::{beyond_positions, learned_positions};
pub use contract::plan::LARGE;
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::sizes::Sizes;
use contract::spec::{DatasetRef, RunSpec};
use contract::stage::Stage;
use corpus::health::{endless, written};
use corpus::job::{Job, PartRows};
use corpus::mix::Part;
use corpus::prepared::{Prepared, Summary};
use corpus::sampler::draw;
use corpus::source::folder::Files;
use corpus::{Encoder, ModelTokenizer, Template};

use super::Facts;
use super::questions::{Questions, wait};
use crate::data::{Split, TrainData, TrainRow};

/// Rows shuffled together in the first round over a large set.
const WINDOW: u32 = 16_384;

/// Rows whose sizes are looked at before a run begins, at most.
const MEASURED: u64 = 4096;

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(2);

/// Says a sentence about the data.
pub(super) type Say<'s> = &'s mut dyn FnMut(String) -> Result<(), Problem>;

/// Rows of a run and everything that made them.
pub(super) struct Source {
    job: Job,
    store: Arc<Prepared>,
    split: Arc<Split>,
    /// Their numbers.
    pub(super) facts: Facts,
    /// Whether the end of preparation was told.
    told: bool,
}

/// Opens the rows of a specification, prepared in `folder`; `digests` are those of its datasets.
pub(super) fn open(
    spec: &RunSpec,
    folder: &Path,
    digests: &[String],
    say: Say<'_>,
) -> Result<Source, Problem> {
    let job = job(spec)?;
    let window = is_large(spec).then_some(WINDOW);
    let key = job.fingerprint(digests);
    let kept = Prepared::open(folder, &key);
    let found = kept.is_some();
    // Before preparation begins, for the two would take turns on the same cores.
    let count = window.filter(|_| !found).map(|_| job.count()).transpose()?;
    let store = Arc::new(kept.map_or_else(|| Prepared::start(folder, &key, job.clone()), Ok)?);
    let counted = count.as_ref().map(|count| count.parts.clone());
    let (rows, dropped, first) = match (window, count, store.summary()) {
        (Some(window), Some(count), _) => {
            say(format!(
                "{} of {} rows can teach; they are prepared beside training.",
                count.usable, count.rows
            ))?;
            store.wait_for(u64::from(window).min(count.usable).saturating_sub(1))?;
            (count.usable, count.rows - count.usable, count.first_dropped)
        }
        // What the template refused counts here as well, for so it does while that is not known yet.
        (Some(_), None, Some(all)) => (all.examples + all.refused_rows, all.dropped_rows, all.first_dropped),
        _ => {
            let told = &mut |progress| say(progress_line(progress));
            let all = store.wait_telling(EVERY, told)?;
            (all.examples, all.dropped_rows, all.first_dropped)
        }
    };
    if rows == 0 {
        let (row, reason) = first.unwrap_or((1, RowReason::TooShort));
        return Err(reason.none_usable(Some(row)));
    }
    let all = store.summary();
    if let Some(all) = &all {
        say(summary_line(all, found))?;
    }
    fits_positions(spec, &job.encoder, &store)?;
    if endless(&job.encoder) {
        say("The model's files name no end token: what learns from these rows never stops.".to_owned())?;
    }
    let split = Arc::new(Split::of(rows, &spec.hyper));
    let facts = Facts {
        train: split.train.len(),
        eval: split.eval.len(),
        dropped,
        cut: all.as_ref().map_or(0, |all| all.cut_rows),
        datasets: given(&job, all.as_ref().map(|all| all.parts.clone()).or(counted).unwrap_or_default()),
        window,
    };
    Ok(Source { job, store, split, facts, told: all.is_some() })
}

/// Refuses rows beyond the positions a model has learned, as far as they are prepared.
fn fits_positions(spec: &RunSpec, encoder: &Encoder, store: &Prepared) -> Result<(), Problem> {
    // What cannot be read here is told when the model is loaded.
    let Ok(config) = crate::facts::read_config(Path::new(&spec.model.folder)) else { return Ok(()) };
    let name = config.architecture.name();
    match learned_positions(name, config.max_position_embeddings as u64) {
        Some(positions) if store.longest() + written(encoder) > positions => Err(beyond_positions(positions)),
        _ => Ok(()),
    }
}

impl Source {
    /// The rows in the form a stage wants.
    pub(super) fn data<T: TrainRow>(&self) -> TrainData<T> {
        let pad_id = self.job.encoder.tokenizer.pad_id();
        TrainData::new(Arc::clone(&self.store), Arc::clone(&self.split), pad_id)
    }

    /// Tokenizer and template.
    pub(super) fn encoder(&self) -> &Encoder {
        &self.job.encoder
    }

    /// Sizes of the rows prepared so far, of some of them where they are many.
    ///
    /// # Errors
    /// What preparation found, or a store that cannot be read.
    pub(super) fn sizes(&self) -> Result<Sizes, Problem> {
        let there = self.store.ready();
        let every = there.div_ceil(MEASURED).max(1);
        let mut sizes = Sizes::default();
        for index in (0..there).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
            if let Some(example) = self.store.get(index)? {
                let (tokens, learned) = example.size();
                sizes.add(tokens, learned);
            }
        }
        // Passed over or not, the longest one will come.
        let sequences = if self.job.encoder.stage.wants_pairs() { 2 } else { 1 };
        let longest = sequences * self.store.longest();
        if every > 1 && sizes.longest.first().is_some_and(|known| *known < longest) {
            sizes.add(longest, (longest as f64 * sizes.learned_share()) as u64);
        }
        Ok(sizes)
    }

    /// A fixed draw of at most `most` held-out rows, by their places among the prepared ones.
    pub(super) fn draw(&self, most: usize, seed: u64) -> Vec<u32> {
        draw(&self.split.eval, most, seed)
    }

    /// Held-out rows as questions with their answers.
    pub(super) fn questions(&self, places: Vec<u32>) -> Questions {
        Questions::new(self.job.clone(), Arc::clone(&self.store), places)
    }

    /// What is measured: a draw of at most `most` rows, and all of them.
    pub(super) fn held_out(&self, most: u64, seed: u64) -> HeldOut {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        HeldOut {
            store: Arc::clone(&self.store),
            split: Arc::clone(&self.split),
            draw: self.draw(most, seed),
        }
    }

    /// What is to be told about preparation while training goes on.
    pub(super) fn watch(&self) -> Preparation {
        let store = (!self.told).then(|| Arc::clone(&self.store));
        Preparation { store, told: Instant::now() }
    }
}

/// Held-out rows, by their places among the prepared ones.
pub(super) struct HeldOut {
    store: Arc<Prepared>,
    split: Arc<Split>,
    draw: Vec<u32>,
}

impl HeldOut {
    /// Those of the draw.
    pub(super) fn draw(&self) -> &[u32] {
        &self.draw
    }

    /// All.
    pub(super) fn all(&self) -> &[u32] {
        &self.split.eval
    }

    /// Waits until these rows are prepared; `false` when `stopped` says so first.
    pub(super) fn wait_for(&self, places: &[u32], stopped: &dyn Fn() -> bool) -> Result<bool, Problem> {
        match places.iter().max() {
            Some(last) => wait(&self.store, u64::from(*last), stopped),
            None => Ok(true),
        }
    }
}

/// Preparation that goes on beside training.
pub(super) struct Preparation {
    store: Option<Arc<Prepared>>,
    told: Instant,
}

impl Preparation {
    /// The next sentence about it, when it is time for one.
    pub(super) fn news(&mut self) -> Option<String> {
        let store = self.store.as_ref()?;
        if let Some(all) = store.summary() {
            self.store = None;
            return Some(summary_line(&all, false));
        }
        if self.told.elapsed() < EVERY {
            return None;
        }
        self.told = Instant::now();
        Some(progress_line(store.progress()))
    }
}

/// The rows of each dataset by its label.
fn given(job: &Job, parts: Vec<PartRows>) -> Vec<DatasetRows> {
    let named = |(part, rows): (&Part, PartRows)| DatasetRows {
        name: part.name.clone(),
        rows: rows.rows,
        dropped: rows.dropped,
        cut: rows.cut,
    };
    job.parts.iter().zip(parts).map(named).collect()
}

fn progress_line(progress: Progress) -> String {
    let of = if progress.total > 0 { format!(" of {}", progress.total) } else { String::new() };
    format!("Preparing rows: {}{of} read, {} tokens.", progress.rows, progress.tokens)
}

fn summary_line(all: &Summary, found: bool) -> String {
    let how = if found { "found prepared" } else { "prepared" };
    let mut line = format!("Rows are {how}: {} examples, {} tokens.", all.examples, all.tokens);
    if let Some((row, reason)) = &all.first_dropped {
        let (rows, refused) = (all.dropped_rows, all.refused_rows);
        line += &format!(
            " {rows} rows are left out ({refused} of them refused by the template), the first is row {row}: {reason}."
        );
    }
    if all.dropped_tokens > 0 {
        line += &format!(" {} tokens filled no block and are dropped.", all.dropped_tokens);
    }
    line
}

/// Whether training begins before every row is prepared. The number of pre-training blocks is known only at the end.
fn is_large(spec: &RunSpec) -> bool {
    let most = if spec.hyper.max_samples == 0 { u64::MAX } else { spec.hyper.max_samples };
    let rows: u64 = spec.datasets().map(|dataset| dataset.rows.min(most)).sum();
    spec.stage != Stage::Pt && rows >= LARGE
}

/// Where the rows of a run are prepared.
pub(super) fn folder(spec: &RunSpec, run: &Path) -> PathBuf {
    if spec.prepared.is_empty() { run.join("prepared") } else { PathBuf::from(&spec.prepared) }
}

fn job(spec: &RunSpec) -> Result<Job, Problem> {
    let hyper = &spec.hyper;
    let count = 1 + spec.more_datasets.len();
    let prefixes = source_prefixes(&hyper.source_prefix, count)?;
    let weights = mixing_weights(&hyper.mixing_weights, count)?;
    let part = |((dataset, prefix), weight): ((&DatasetRef, Option<String>), f64)| Part {
        name: dataset.name.clone(),
        files: Files::of_texts(PathBuf::from(&dataset.file), dataset.kind, dataset.texts.clone()),
        mapping: dataset.mapping.clone(),
        prefix,
        weight,
    };
    let most = if hyper.max_samples == 0 { u64::MAX } else { hyper.max_samples };
    Ok(Job {
        encoder: encoder(spec)?,
        parts: spec.datasets().zip(prefixes).zip(weights).map(part).collect(),
        mixing: Mixing::parse(&hyper.mixing).unwrap_or_default(),
        max_samples: hyper.max_samples,
        seed: hyper.seed,
        total: spec.datasets().map(|dataset| dataset.rows.min(most)).sum(),
    })
}

fn encoder(spec: &RunSpec) -> Result<Encoder, Problem> {
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&spec.model.folder))?);
    Ok(Encoder {
        template: Template::resolve(&spec.template, &tokenizer)?,
        stage: spec.stage,
        behaviour: Behaviour::parse(&spec.hyper.behaviour).unwrap_or_default(),
        control_tokens_in_text: spec.hyper.control_tokens_in_text,
        max_source_length: spec.hyper.max_source_length,
        max_target_length: spec.hyper.max_target_length,
        system: Some(spec.system.clone()).filter(|system| !system.is_empty()),
        tokenizer,
    })
}
