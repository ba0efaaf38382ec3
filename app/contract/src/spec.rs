//! A draft is what a person typed; a specification is what was checked and will be trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::{FileKind, Mapping};
use crate::ids::{DatasetId, ModelId, RunId};
use crate::params::Hyper;
use crate::stage::{Stage, Tuning};

/// Version of [`RunSpec`] this build writes.
pub const FORMAT: u32 = 1;

/// The new-run form as typed: every value is text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Label of the run.
    #[serde(default)]
    pub name: String,
    /// Dataset id.
    #[serde(default)]
    pub dataset: String,
    /// Model id.
    #[serde(default)]
    pub model: String,
    /// Template key.
    #[serde(default)]
    pub template: String,
    /// System text; empty: none given.
    #[serde(default)]
    pub system: String,
    /// Stage key.
    #[serde(default)]
    pub stage: String,
    /// Tuning key.
    #[serde(default)]
    pub tuning: String,
    /// Hyperparameters by [`crate::param::Param::key`]; a missing one takes its default.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// `spec.json` of a run directory: everything the worker needs, paths absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Format version.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// Label.
    pub name: String,
    /// Stage.
    pub stage: Stage,
    /// Tuning method.
    pub tuning: Tuning,
    /// Base model.
    pub model: ModelRef,
    /// Dataset.
    pub dataset: DatasetRef,
    /// Template key, see [`crate::templates`].
    pub template: String,
    /// System text; empty: the template's own.
    pub system: String,
    /// Hyperparameters.
    pub hyper: Hyper,
}

/// The base model of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    /// Identifier.
    pub id: ModelId,
    /// Label at the time.
    pub name: String,
    /// Folder in Hugging Face layout.
    pub folder: String,
    /// SHA-256 of the weights.
    pub digest: String,
}

/// The dataset of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRef {
    /// Identifier.
    pub id: DatasetId,
    /// Label at the time.
    pub name: String,
    /// The file.
    pub file: String,
    /// Its kind.
    pub kind: FileKind,
    /// How rows are read.
    pub mapping: Mapping,
    /// SHA-256 of the file.
    pub sha256: String,
}
