//! Models that talk: one worker process for each model and chain of checkpoints, kept while it is used.

mod process;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::chat::ChatMessage;
use contract::generation::GenerationSettings;
use contract::{Code, Problem};

pub use process::{Answer, Refused, Speaker};

use crate::config::Config;
use crate::state::AppState;

/// Whose weights: the folders a process loads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Weights {
    /// Base model folder.
    pub model: PathBuf,
    /// Checkpoint folders on top of it, in the order they were trained; empty: the base alone.
    pub chain: Vec<PathBuf>,
}

struct Seat {
    speaker: Arc<Speaker>,
    used: Instant,
}

/// The processes that are up.
pub struct Pool {
    config: Config,
    seats: Mutex<HashMap<Weights, Seat>>,
}

impl Pool {
    /// An empty pool.
    pub fn new(config: Config) -> Self {
        Self { config, seats: Mutex::default() }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<Weights, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process that speaks with these weights; starts it when there is none. When all seats are taken,
    /// the one silent for longest goes.
    pub fn speaker(&self, weights: &Weights) -> Result<Arc<Speaker>, Problem> {
        let mut seats = self.seats();
        seats.retain(|_, seat| !seat.speaker.is_gone());
        if let Some(seat) = seats.get_mut(weights) {
            seat.used = Instant::now();
            return Ok(seat.speaker.clone());
        }
        while seats.len() >= self.config.chat_models {
            let silent = seats.iter().filter(|(_, seat)| !seat.speaker.is_busy());
            let Some(longest) = silent.min_by_key(|(_, seat)| seat.used).map(|(key, _)| key.clone()) else {
                return Err(Problem::new(Code::ChatSeatsBusy, "Every model seat is busy answering.")
                    .hint("Wait until an answer is complete, or stop one."));
            };
            seats.remove(&longest);
        }
        let speaker = Arc::new(Speaker::start(&self.config, weights)?);
        seats.insert(weights.clone(), Seat { speaker: speaker.clone(), used: Instant::now() });
        Ok(speaker)
    }

    /// Asks the process that speaks with these weights; see [`Pool::speaker`] and [`Speaker::ask`].
    ///
    /// # Errors
    /// Every seat is busy, too many questions wait, or the process is gone.
    pub fn ask(
        &self,
        weights: &Weights,
        template: &str,
        messages: &[ChatMessage],
        settings: &GenerationSettings,
    ) -> Result<Answer, Problem> {
        loop {
            let speaker = self.speaker(weights)?;
            match speaker.ask(template.to_owned(), messages.to_vec(), settings.clone()) {
                Ok(answer) => return Ok(answer),
                Err(Refused::Problem(problem)) => return Err(problem),
                // everybody else left between the two calls; the next turn starts a new process
                Err(Refused::Left) => {}
            }
        }
    }

    /// Ends processes that were silent for too long.
    pub fn rest(&self) {
        let idle = self.config.chat_idle;
        self.seats().retain(|_, seat| {
            let silent = !seat.speaker.is_busy() && seat.used.elapsed() > idle;
            !silent && !seat.speaker.is_gone()
        });
    }

    /// Ends every process.
    pub fn clear(&self) {
        self.seats().clear();
    }

    /// Ends the processes that use files under `folder`.
    pub fn forget(&self, folder: &std::path::Path) {
        self.seats().retain(|weights, _| {
            !weights.model.starts_with(folder) && !weights.chain.iter().any(|path| path.starts_with(folder))
        });
    }
}

/// How often idle processes are looked for.
const EVERY: Duration = Duration::from_secs(15);
/// How long the look may be overdue.
pub const LATE: Duration = Duration::from_secs(60);

/// Ends idle processes, and removes uploads that nobody goes on with, until the server shuts down.
pub async fn tend(state: AppState) {
    loop {
        state.loops.turns("models");
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {
                state.pool.rest();
                state.readers.rest();
                state.resumable.expire();
            }
        }
    }
}
