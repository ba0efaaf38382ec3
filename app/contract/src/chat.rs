//! Talking to a model: requests from the browser, deltas back.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Mark;
use crate::generation::GenerationSettings;
use crate::ids::{ModelId, RunId};
use crate::problem::Problem;
use crate::spec::CheckpointKey;
use crate::stage::Stage;

/// Whose weights speak.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChatTarget {
    /// The base model.
    pub model: ModelId,
    /// The run whose checkpoint is applied; `None`: the base alone.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The checkpoint's step; `None` with a run: the one that stands for it, see [`crate::checkpoint::chosen`].
    #[serde(default)]
    pub step: Option<u64>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// First frame a browser sends on `/ws/chat`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// Whose weights speak.
    pub target: ChatTarget,
    /// Template key; see [`crate::templates`]. For a run, the run's own is used whatever stands here.
    #[serde(default)]
    pub template: Option<String>,
    /// The conversation; the last message is the user's.
    pub messages: Vec<ChatMessage>,
    /// Settings.
    #[serde(default)]
    pub settings: GenerationSettings,
}

/// What a worker writes, one JSON line each, and `/ws/chat` forwards as text frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatDelta {
    /// The model is being loaded.
    Loading,
    /// The prompt has been formatted.
    Ready {
        /// Digest of the weights, for example `9f2c41ab…` or `9f2c… + lora 77d0…`.
        digest: String,
        /// Tokens of the prompt.
        prompt_tokens: u32,
    },
    /// More text.
    Text {
        /// The piece; never half a character.
        text: String,
    },
    /// The answer is complete.
    Done {
        /// Tokens generated.
        tokens: u32,
        /// Tokens a second while generating.
        tokens_per_second: f64,
        /// `stop` (end token), `length` or `cancelled`.
        reason: String,
    },
    /// It went wrong.
    Error {
        /// Why.
        problem: Problem,
    },
}

impl ChatDelta {
    /// Why an answer ended that was broken off.
    pub const CANCELLED: &str = "cancelled";

    /// The end of an answer that was taken back before a word of it was said.
    pub fn taken_back() -> Self {
        Self::Done { tokens: 0, tokens_per_second: 0.0, reason: Self::CANCELLED.to_owned() }
    }
}

/// A checkpoint one can talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Whose weights.
    pub target: ChatTarget,
    /// Label of the model or the run.
    pub name: String,
    /// `base` or `run`.
    pub kind: String,
    /// Template key used.
    pub template: String,
    /// System texts that its rows were trained with: what it is asked with is the first, unless a question brings its
    /// own. Empty: the template's.
    #[serde(default)]
    pub systems: Vec<String>,
    /// A question from the run's dataset, to start with.
    pub suggestion: Option<String>,
    /// Stage of the run; `None`: the base.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Whether it stands for its run, see [`crate::checkpoint::chosen`].
    #[serde(default)]
    pub chosen: bool,
    /// Whether it may judge the answers of a ppo run.
    #[serde(default)]
    pub judges: bool,
    /// How it stands by its eval loss, see [`crate::checkpoint::mark`].
    #[serde(default)]
    pub mark: Option<Mark>,
}

impl Voice {
    /// The checkpoint it speaks by; `None`: the model itself.
    pub fn checkpoint(&self) -> Option<CheckpointKey> {
        Some(CheckpointKey { run: self.target.run.clone()?, step: self.target.step? })
    }
}
