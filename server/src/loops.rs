//! Loops in the background. Each says at every turn that it turns; one that panics is begun again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::state::AppState;

/// Pause before a loop that panicked is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// When each loop turned last, by the clock that never jumps.
#[derive(Debug, Default)]
pub struct Loops(Mutex<BTreeMap<&'static str, Turn>>);

#[derive(Debug)]
struct Turn {
    last: Instant,
    limit: Duration,
}

impl Loops {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names a loop that is to turn at least once in `limit`.
    pub fn expect(&self, name: &'static str, limit: Duration) {
        self.lock().insert(name, Turn { last: Instant::now(), limit });
    }

    /// A loop turns.
    pub fn turns(&self, name: &str) {
        if let Some(turn) = self.lock().get_mut(name) {
            turn.last = Instant::now();
        }
    }

    /// Loops that have not turned for too long.
    pub fn late(&self) -> Vec<&'static str> {
        let all = self.lock();
        all.iter().filter(|(_, turn)| turn.last.elapsed() > turn.limit).map(|(name, _)| *name).collect()
    }
}

/// Runs a loop until the server shuts down, whatever it meets.
pub async fn keep<F: Future<Output = ()> + Send + 'static>(
    state: AppState,
    name: &'static str,
    limit: Duration,
    make: fn(AppState) -> F,
) {
    state.loops.expect(name, limit);
    loop {
        let ended = tokio::spawn(make(state.clone())).await;
        if state.shutdown.is_cancelled() {
            return;
        }
        match ended {
            Ok(()) => tracing::error!("{name} ended; it is begun again"),
            Err(why) => tracing::error!("{name} died and is begun again: {why}"),
        }
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
