//! Runs as people see them.

use serde::{Deserialize, Serialize};

use crate::adapter::AdapterFacts;
use crate::checkpoint::CheckpointView;
use crate::ids::{DatasetId, ModelId, RunId};
use crate::params::Hyper;
use crate::problem::Problem;
use crate::run_state::RunState;
use crate::spec::CheckpointRef;
use crate::stage::{Stage, Tuning};

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Identifier.
    pub id: RunId,
    /// Label.
    pub name: String,
    /// State.
    pub state: RunState,
    /// Stage.
    pub stage: Stage,
    /// Tuning method.
    pub tuning: Tuning,
    /// Label of the base model.
    pub model_name: String,
    /// Label of the dataset.
    pub dataset_name: String,
    /// Steps made.
    pub step: u64,
    /// Steps of the whole run; 0 until known.
    pub total_steps: u64,
    /// Seconds left, estimated.
    pub remaining_s: Option<f64>,
    /// Last train loss.
    pub loss: Option<f64>,
    /// Last eval loss.
    pub eval_loss: Option<f64>,
    /// When it was launched, milliseconds since 1970.
    pub created_ms: i64,
    /// When it last changed.
    pub updated_ms: i64,
    /// Whether it was not trained here: an adapter that was brought in.
    #[serde(default)]
    pub brought: bool,
}

/// A run's page, as the server draws it before the websocket takes over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// What the list shows too.
    pub summary: RunSummary,
    /// Base model.
    pub model: ModelId,
    /// Dataset.
    pub dataset: DatasetId,
    /// Template key.
    pub template: String,
    /// System text.
    pub system: String,
    /// Hyperparameters.
    pub hyper: Hyper,
    /// Checkpoints it started from, in merge order.
    #[serde(default)]
    pub adapters: Vec<CheckpointRef>,
    /// The reward model of a ppo run.
    #[serde(default)]
    pub reward_model: Option<CheckpointRef>,
    /// The adapter that was brought in, where nothing was trained here.
    #[serde(default)]
    pub brought: Option<AdapterFacts>,
    /// Checkpoints, newest first.
    pub checkpoints: Vec<CheckpointView>,
    /// Why its folder cannot be read; none of its checkpoints is known then.
    #[serde(default)]
    pub damage: Option<Problem>,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// Number of the newest attempt, from 1; 0 while queued.
    pub attempt: u32,
    /// The first events, so that the chart is drawn before any script runs; ordinals from 0.
    pub events: Vec<crate::wire::Numbered>,
    /// How many events there are: more than [`Self::events`] for a long run.
    #[serde(default)]
    pub event_count: u64,
}
