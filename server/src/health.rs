//! Whether a run could be launched now: the database takes what is written, every loop turns, and work that blocks finds a
//! thread.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::Fault;
use crate::state::AppState;

/// How long each part may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer holds: however often one asks, the parts are asked once in this time.
const HOLDS: Duration = Duration::from_millis(500);

/// The last look.
#[derive(Debug, Default)]
pub struct Health(Mutex<Look>);

#[derive(Debug, Default)]
struct Look {
    last: Option<(Instant, Vec<&'static str>)>,
    thread: Option<JoinHandle<()>>,
}

/// The parts that fail, none when all is well.
pub async fn failing(state: &AppState) -> Vec<&'static str> {
    let mut look = state.health.0.lock().await;
    if let Some((at, failing)) = &look.last
        && at.elapsed() < HOLDS
    {
        return failing.clone();
    }
    let (reads, writes) = (answers(state.store.ping()), answers(state.store.ping_write()));
    let (reads, writes, thread) = tokio::join!(reads, writes, finds_a_thread(&mut look.thread));
    let mut failing = state.loops.late();
    failing.extend(
        [("database", reads && writes), ("threads", thread)].iter().filter(|part| !part.1).map(|part| part.0),
    );
    look.last = Some((Instant::now(), failing.clone()));
    failing
}

async fn answers(asked: impl Future<Output = Result<(), Fault>>) -> bool {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => true,
        Ok(Err(fault)) => {
            tracing::warn!("health: {fault}");
            false
        }
        Err(_) => false,
    }
}

/// One probe waits for a thread at a time.
async fn finds_a_thread(waiting: &mut Option<JoinHandle<()>>) -> bool {
    let probe = waiting.get_or_insert_with(|| tokio::task::spawn_blocking(|| ()));
    let found = tokio::time::timeout(PATIENCE, probe).await.is_ok();
    if found {
        *waiting = None;
    }
    found
}
