//! Asking for a dataset's health before a run: what is asked, and how far the answer is.

use serde::{Deserialize, Serialize};

use crate::dataset::{Behaviour, PreviewRequest, source_prefixes};
use crate::health::{HealthReport, Progress};
use crate::ids::{DatasetId, ModelId};
use crate::params::Hyper;
use crate::problem::Problem;
use crate::stage::Stage;

/// Which rows a run holds out for measuring (S-160): a share of them, drawn by the run's seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holdout {
    /// Share of rows, 0 to 1.
    pub dev_ratio: f64,
    /// Seed of the run.
    pub seed: u64,
}

/// What a checkup depends on; two equal requests have one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Words of control tokens in texts become the tokens; else they are plain text.
    #[serde(default)]
    pub control_tokens_in_text: bool,
    /// System text of the run; empty: the template's own.
    #[serde(default)]
    pub system: String,
    /// Whether some rows of a large dataset are enough, as they are for what a run takes.
    #[serde(default)]
    pub sample: bool,
    /// Which rows the run holds out, where they are to be looked for among the others.
    #[serde(default)]
    pub holdout: Option<Holdout>,
}

impl CheckupRequest {
    /// What tells the sizes of a run's rows: one request for each dataset, of some rows where it is large; `None` when
    /// the texts before the datasets are not theirs in number. `texts`: template and system text.
    pub fn sampling(
        datasets: &[DatasetId],
        model: &ModelId,
        stage: Stage,
        (template, system): (&str, &str),
        hyper: &Hyper,
    ) -> Option<Vec<Self>> {
        let prefixes = source_prefixes(&hyper.source_prefix, datasets.len()).ok()?;
        let one = |(dataset, prefix): (&DatasetId, Option<String>)| Self {
            dataset: dataset.clone(),
            model: model.clone(),
            stage,
            template: template.to_owned(),
            max_source_length: hyper.max_source_length,
            max_target_length: hyper.max_target_length,
            behaviour: Behaviour::parse(&hyper.behaviour).unwrap_or_default(),
            control_tokens_in_text: hyper.control_tokens_in_text,
            // The dataset's own system text goes before that of the run, as in training.
            system: prefix.filter(|text| !text.is_empty()).unwrap_or_else(|| system.to_owned()),
            sample: true,
            holdout: None,
        };
        Some(datasets.iter().zip(prefixes).map(one).collect())
    }

    /// The same for one row.
    pub fn preview(&self, row: u64) -> PreviewRequest {
        PreviewRequest {
            dataset: self.dataset.clone(),
            model: self.model.clone(),
            stage: self.stage,
            template: self.template.clone(),
            system: self.system.clone(),
            max_source_length: self.max_source_length,
            max_target_length: self.max_target_length,
            behaviour: self.behaviour,
            control_tokens_in_text: self.control_tokens_in_text,
            row,
            in_block: true,
            block: None,
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
