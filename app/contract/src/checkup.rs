//! Asking for a dataset's health before a run: what is asked, and how far the answer is.

use serde::{Deserialize, Serialize};

use crate::dataset::{Behaviour, PreviewRequest};
use crate::health::{HealthReport, Progress};
use crate::ids::{DatasetId, ModelId};
use crate::problem::Problem;
use crate::stage::Stage;

/// What a checkup depends on; two equal requests have one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckupRequest {
    /// Dataset (a version of it).
    pub dataset: DatasetId,
    /// Model whose tokenizer and chat template are used.
    pub model: ModelId,
    /// Stage.
    pub stage: Stage,
    /// Template key.
    pub template: String,
    /// Longest question, tokens (S-028).
    pub max_source_length: usize,
    /// Longest answer, tokens (S-028).
    pub max_target_length: usize,
    /// Corrected, or as the original did it.
    #[serde(default)]
    pub behaviour: Behaviour,
}

impl CheckupRequest {
    /// The same for one row.
    pub fn preview(&self, row: u64) -> PreviewRequest {
        PreviewRequest {
            dataset: self.dataset.clone(),
            model: self.model.clone(),
            stage: self.stage,
            template: self.template.clone(),
            system: String::new(),
            max_source_length: self.max_source_length,
            max_target_length: self.max_target_length,
            behaviour: self.behaviour,
            row,
        }
    }
}

/// How far a checkup is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Checkup {
    /// Rows are being read.
    Running {
        /// How far.
        progress: Progress,
    },
    /// The answer.
    Done {
        /// What was found.
        report: Box<HealthReport>,
    },
    /// It could not be made.
    Failed {
        /// Why.
        problem: Problem,
    },
}
