//! How the server talks to worker processes beside the run directory.
//!
//! * `burnish-worker train <run folder> --attempt N`: trains; see the run directory.
//! * `burnish-worker generate`: reads [`GenerateCommand`] lines on stdin, writes [`GenerateLine`] lines on stdout.
//! * `burnish-worker import <file or folder> <new folder>`: writes a Hugging Face folder with `burnish.json`, or the files
//!   of an adapter; prints [`crate::adapter::Imported`] or, with exit code 2, a [`Problem`], as one JSON line on stdout.
//! * `burnish-worker import-adapter <adapter folder> <run folder>`: writes the adapter as the run's checkpoint of step 0;
//!   prints [`crate::adapter::AdapterFacts`] or a problem in the same way.
//! * `burnish-worker create <new folder> --size 5m --dataset <file> --mapping <json>`: the same, from scratch.
//! * `burnish-worker read`: reads [`crate::reading::ReadRequest`] lines, writes [`crate::reading::ReadLine`] lines, within
//!   limits of memory and time.
//! * `burnish-worker devices`: prints a JSON list of device names.
//! * `burnish-worker speed`: times products of matrices; prints floating-point operations a second, a number.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::chat::{ChatDelta, ChatMessage};
use crate::generation::GenerationSettings;

/// Where a worker keeps the model folder `target` while it makes it: beside it. Who ends a worker removes both.
pub fn half_made(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    target.with_file_name(name)
}

/// Exit code of a worker that printed a [`crate::problem::Problem`].
pub const EXIT_PROBLEM: i32 = 2;

/// Exit code of a training worker that was asked to stop before there was anything to save.
pub const EXIT_STOPPED: i32 = 3;

/// A line on a generating worker's stdin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum GenerateCommand {
    /// Load a model; answered by a [`GenerateLine`] with request 0: `Loading`, then `Ready` or `Error`.
    Load {
        /// Base model folder.
        model: String,
        /// Folders of the checkpoints on top of it in the order they were trained, see
        /// [`crate::spec::RunSpec::chain_to`]; adapters are merged but for the last, a whole model stands in place of
        /// the base. Empty: the base alone.
        #[serde(default)]
        chain: Vec<String>,
    },
    /// Answer.
    Generate {
        /// Number of the request, from 1.
        request: u64,
        /// Template key.
        template: String,
        /// The conversation.
        messages: Vec<ChatMessage>,
        /// Settings.
        settings: GenerationSettings,
    },
    /// Stop answering a request.
    Cancel {
        /// Number of the request.
        request: u64,
    },
}

/// A line on a generating worker's stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateLine {
    /// Number of the request; 0 for loading.
    pub request: u64,
    /// What happened.
    pub delta: ChatDelta,
}
