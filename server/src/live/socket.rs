//! `/ws`: events of runs as they come. Any number of runs over one socket.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Extensions;
use axum::response::Response;
use contract::Code;
use contract::event::Kind;
use contract::wire::{ClientFrame, ServerFrame};
use contract::{Problem, RunId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::line::{self, Line, RESTART};
use crate::error::Fault;
use crate::services::runs;
use crate::state::AppState;

/// Events a frame holds at most.
const BATCH: u32 = 1000;
/// Pause between two frames of a run.
const PACE: Duration = Duration::from_millis(200);
/// Runs one socket may watch.
const MOST_RUNS: usize = 64;
/// Pause after a fault of the server.
const AFTER_FAULT: Duration = Duration::from_secs(1);
/// Frames that wait for a page to read them.
const WAITING: usize = 8;
/// Longest message of a page, bytes.
const LONGEST: usize = 64 << 10;

/// Upgrades to the live websocket.
pub async fn upgrade(
    State(state): State<AppState>,
    extensions: Extensions,
    upgrade: WebSocketUpgrade,
) -> Response {
    line::open(state, &extensions, upgrade, LONGEST, serve)
}

struct Subscriptions(HashMap<RunId, JoinHandle<()>>);

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

async fn serve(state: AppState, mut line: Line) {
    let (frames, mut outgoing) = mpsc::channel::<ServerFrame>(WAITING);
    let mut subscriptions = Subscriptions(HashMap::new());
    loop {
        let goes_on = tokio::select! {
            () = state.shutdown.cancelled() => return line.close(RESTART, "the server restarts").await,
            Some(frame) = outgoing.recv() => line.say(text(&frame)).await,
            heard = line.hear() => {
                let Some(heard) = heard else { return };
                match subscribe(&state, &frames, &mut subscriptions, &heard) {
                    Ok(()) => true,
                    Err(problem) => line.say(text_of_refusal(problem)).await,
                }
            }
        };
        if !goes_on {
            return;
        }
    }
}

fn text(frame: &ServerFrame) -> Message {
    Message::Text(serde_json::to_string(frame).unwrap_or_default().into())
}

fn text_of_refusal(problem: Problem) -> Message {
    text(&ServerFrame::Refused { problem })
}

fn subscribe(
    state: &AppState,
    frames: &mpsc::Sender<ServerFrame>,
    subscriptions: &mut Subscriptions,
    text: &str,
) -> Result<(), Problem> {
    let frame = serde_json::from_str::<ClientFrame>(text).map_err(|why| {
        Problem::new(Code::WireUnknownFrame, format!("The server does not understand this message: {why}."))
            .hint("Reload the page.")
    })?;
    let ClientFrame::Subscribe { run, from } = frame;
    let run = RunId::parse(run.as_str()).ok_or_else(|| Problem::not_found("run"))?;
    subscriptions.0.retain(|_, task| !task.is_finished());
    if subscriptions.0.len() >= MOST_RUNS && !subscriptions.0.contains_key(&run) {
        return Err(Problem::new(Code::WireTooMany, format!("One page can watch {MOST_RUNS} runs at most."))
            .with("most", MOST_RUNS));
    }
    let task = tokio::spawn(follow(state.clone(), frames.clone(), run.clone(), from));
    if let Some(former) = subscriptions.0.insert(run, task) {
        former.abort();
    }
    Ok(())
}

/// Sends every event of a run from `from` on and each change of its state, until nobody listens. A fault of the
/// server passes: it is logged and tried again from the same place, so that no page stays behind for ever.
async fn follow(state: AppState, frames: mpsc::Sender<ServerFrame>, run: RunId, from: u64) {
    let mut next = from;
    while let Err(fault) = send_all(&state, &frames, &run, &mut next).await {
        match fault {
            Fault::Problems(problems) => {
                for problem in problems {
                    let _ = frames.send(ServerFrame::Refused { problem }).await;
                }
                return;
            }
            passing => tracing::warn!(%run, "following a run: {passing}"),
        }
        tokio::time::sleep(AFTER_FAULT).await;
    }
}

async fn send_all(
    state: &AppState,
    frames: &mpsc::Sender<ServerFrame>,
    run: &RunId,
    next: &mut u64,
) -> Result<(), Fault> {
    let mut watch = state.hub.watch(run);
    let mut told = None;
    let mut listed = None;
    loop {
        let now = state.store.run_state(run).await?.ok_or_else(|| Problem::not_found("run"))?;
        let events = state.store.events(run, *next, BATCH).await?;
        let full = events.len() == BATCH as usize;
        if events.iter().any(|one| matches!(one.event.what.known(), Some(Kind::Checkpoint { .. }))) {
            listed = None;
        }
        if let Some(last) = events.last() {
            *next = last.ord + 1;
            if frames.send(ServerFrame::Events { run: run.clone(), events }).await.is_err() {
                return Ok(());
            }
        }
        if full {
            continue;
        }
        // After a checkpoint was told of, and once more when the state changes: a run that died may have left one untold.
        if listed.is_none() || told.as_ref() != Some(&now) {
            // A folder that cannot be read shows none; the run's page says why.
            let checkpoints = match runs::checkpoints(state, run).await {
                Err(Fault::RunDir(_)) => Vec::new(),
                checkpoints => checkpoints?,
            };
            if listed.as_ref() != Some(&checkpoints) {
                listed = Some(checkpoints.clone());
                let frame = ServerFrame::Checkpoints { run: run.clone(), checkpoints };
                if frames.send(frame).await.is_err() {
                    return Ok(());
                }
            }
        }
        // read before the events: a state never comes before the events that led to it
        if told.as_ref() != Some(&now) {
            let (state, problem) = now.clone();
            told = Some(now);
            if frames.send(ServerFrame::State { run: run.clone(), state, problem }).await.is_err() {
                return Ok(());
            }
        }
        tokio::time::sleep(PACE).await;
        watch.changed().await;
    }
}
