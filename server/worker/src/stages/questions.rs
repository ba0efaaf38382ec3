//! Held-out questions with their answers, read once more from the data: the prepared rows hold no text.

use std::sync::Arc;
use std::time::Duration;

use contract::problem::Problem;
use corpus::Encoder;
use corpus::encode::Taken;
use corpus::health::is_refusal;
use corpus::job::Job;
use corpus::mix::mixed;
use corpus::prepared::Prepared;

/// How long a stop may go unheard while rows are prepared.
const LISTEN: Duration = Duration::from_millis(200);

/// A held-out question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) prompt: Vec<u32>,
    /// The last question as the data has it.
    pub(super) text: String,
    pub(super) answer: String,
    /// Label of its dataset.
    pub(super) dataset: String,
    /// Its row there, from 1.
    pub(super) row: u64,
}

/// Which rows are asked.
pub(super) struct Questions {
    job: Job,
    store: Arc<Prepared>,
    /// Places among the prepared rows, ascending.
    places: Vec<u32>,
}

impl Questions {
    pub(super) fn new(job: Job, store: Arc<Prepared>, places: Vec<u32>) -> Self {
        Self { job, store, places }
    }

    /// How many are asked.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Tokenizer and template.
    pub(super) fn encoder(&self) -> &Encoder {
        &self.job.encoder
    }

    /// Reads them (S-143); `None` when `stopped` says so first.
    pub(super) fn read(&self, stopped: &dyn Fn() -> bool) -> Result<Option<Vec<Question>>, Problem> {
        let (job, encoder) = (&self.job, &self.job.encoder);
        if !wait(&self.store, u64::MAX, stopped)? {
            return Ok(None);
        }
        // A row that the template refuses has no place; without any, no row needs to be encoded again.
        let refuses = self.store.wait()?.refused_rows > 0;
        let mut wanted = self.places.iter().map(|place| u64::from(*place)).peekable();
        let (mut questions, mut place) = (Vec::new(), 0);
        for mixed in mixed(&job.parts, job.mixing, job.max_samples, job.seed)? {
            if wanted.peek().is_none() {
                break;
            }
            if stopped() {
                return Ok(None);
            }
            let mixed = mixed?;
            let part = &job.parts[mixed.part];
            let taken = Taken::from_row(&mixed.row, &part.mapping, encoder.stage, encoder.behaviour);
            let Ok(taken) = taken.map(|taken| taken.with_prefix(part.prefix.as_deref())) else { continue };
            if refuses {
                match encoder.encode_taken(&taken) {
                    Err(problem) if is_refusal(&problem) => continue,
                    encoded => drop(encoded?),
                }
            }
            if let (Taken::Talk(talk), Some(_)) = (&taken, wanted.next_if_eq(&place)) {
                let prompt = encoder.encode_prompt(talk)?.input_ids;
                let (text, answer) = talk.turns.last().cloned().unwrap_or_default();
                questions.push(Question {
                    prompt,
                    text,
                    answer,
                    dataset: part.name.clone(),
                    row: mixed.number,
                });
            }
            place += 1;
        }
        Ok(Some(questions))
    }
}

/// Waits until the row at `place` is prepared, or all are; `false` when `stopped` says so first.
pub(super) fn wait(store: &Prepared, place: u64, stopped: &dyn Fn() -> bool) -> Result<bool, Problem> {
    while !store.wait_within(place, LISTEN)? {
        if stopped() {
            return Ok(false);
        }
    }
    Ok(true)
}
