//! The machine, as the navigation's foot shows it.

use serde::{Deserialize, Serialize};

/// A reading of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemView {
    /// `CPU`, or the GPU's name.
    pub device: String,
    /// Cores.
    pub cores: u32,
    /// Share of all cores busy, 0 to 1.
    pub cpu: f64,
    /// Memory in use, bytes.
    pub memory_used: u64,
    /// Memory of the machine, bytes.
    pub memory_total: u64,
    /// Free bytes where the data directory is.
    pub disk_free: u64,
    /// Floating-point operations a second in products of matrices; `None` until they were timed.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Version of the server.
    pub version: String,
    /// Whether the starter model is at hand.
    pub starter: bool,
}

/// What a model answered before it was trained: made once for a run and kept with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeAnswer {
    /// The question.
    pub question: String,
    /// The answer, always the likeliest token.
    pub answer: String,
    /// Why it ended: `stop` or `length`, see [`crate::chat::ChatDelta::Done`].
    pub reason: String,
    /// Whose weights spoke, see [`crate::chat::ChatDelta::Ready`].
    pub digest: String,
}

/// Where the tour stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TourView {
    /// The run that was started.
    pub run: crate::ids::RunId,
    /// The question both models are asked.
    pub question: String,
    /// Whether the starter model is used (else a from-scratch one).
    pub starter: bool,
    /// What the model answered before training; `None`: it was not asked yet.
    #[serde(default)]
    pub before: Option<BeforeAnswer>,
    /// Why it could not be asked; it is asked again at the next look.
    #[serde(default)]
    pub problem: Option<crate::problem::Problem>,
}
