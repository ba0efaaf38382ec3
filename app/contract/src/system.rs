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

/// Where the tour stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TourView {
    /// The run that was started.
    pub run: crate::ids::RunId,
    /// The question both models are asked.
    pub question: String,
    /// Whether the starter model is used (else a from-scratch one).
    pub starter: bool,
}
