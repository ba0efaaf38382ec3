//! A checkpoint is a folder with a manifest: complete, or invisible.

use serde::{Deserialize, Serialize};

/// Version of [`Manifest`] this build writes.
pub const FORMAT: u32 = 1;

/// `manifest.json` of a checkpoint: written last, before the folder gets its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub format: u32,
    /// Optimizer steps made.
    pub step: u64,
    /// Every file of the folder but this one.
    pub files: Vec<FileEntry>,
    /// What the training loop needs to go on exactly.
    pub loop_state: LoopState,
    /// SHA-256 of the trained weights file, hex.
    pub digest: String,
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// State of the training loop beside weights and optimizer moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Micro-batches consumed since the start of the run.
    pub micro_batches: u64,
    /// Lowest eval loss so far.
    #[serde(default)]
    pub best_eval_loss: Option<f64>,
    /// Step of the lowest eval loss.
    #[serde(default)]
    pub best_step: Option<u64>,
    /// Seconds of training before this checkpoint, all attempts together.
    #[serde(default)]
    pub elapsed_s: f64,
}

/// A checkpoint as the run page lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// Step it holds.
    pub step: u64,
    /// Eval loss, when measured.
    pub eval_loss: Option<f64>,
    /// Whether it is the best of the run.
    pub best: bool,
    /// SHA-256 of the trained weights, hex.
    pub digest: String,
}
