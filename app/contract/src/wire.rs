//! Frames of the live websocket `/ws`.
//!
//! A browser subscribes to a run with the next ordinal it lacks and gets every event from there on, in
//! order, without gap or duplicate. Ordinals count a run's events from 0 over all its attempts.

use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointView;
use crate::event::Event;
use crate::ids::RunId;
use crate::run_state::RunState;

/// An event with its run-wide ordinal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Dense from 0 over all attempts.
    pub ord: u64,
    /// Attempt it belongs to, from 1.
    pub attempt: u32,
    /// The event.
    pub event: Event,
}

/// Browser to server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Send every event of `run` from ordinal `from` on, then keep sending.
    Subscribe {
        /// The run.
        run: RunId,
        /// First ordinal wanted.
        from: u64,
    },
}

/// Server to browser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// Events in order; each follows the one before without a gap.
    Events {
        /// The run.
        run: RunId,
        /// The events.
        events: Vec<Numbered>,
    },
    /// The run's state changed (also sent once after subscribing).
    State {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
        /// Why it failed.
        problem: Option<crate::problem::Problem>,
    },
    /// The checkpoints that are there changed (also sent once after subscribing).
    Checkpoints {
        /// The run.
        run: RunId,
        /// All of them, newest first.
        checkpoints: Vec<CheckpointView>,
    },
    /// The subscription was refused.
    Refused {
        /// Why.
        problem: crate::problem::Problem,
    },
}
