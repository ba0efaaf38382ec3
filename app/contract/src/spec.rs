//! A draft is what a person typed; a specification is what was checked and will be trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapter::AdapterFacts;
use crate::dataset::{DataFormat, FileKind, Mapping};
use crate::ids::{DatasetId, ModelId, RunId};
use crate::mixing::source_prefixes;
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
    /// Ids of further datasets, separated by commas, in the order they are read; empty: none.
    #[serde(default)]
    pub more_datasets: String,
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
    /// Checkpoints to start from, `RUN:STEP` separated by commas, in the order they were trained; empty: the model.
    #[serde(default)]
    pub adapters: String,
    /// Checkpoint of a reward model, `RUN:STEP`; ppo only.
    #[serde(default)]
    pub reward_model: String,
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
    /// Further datasets, mixed with the first as [`Hyper::mixing`] says (S-023).
    #[serde(default)]
    pub more_datasets: Vec<DatasetRef>,
    /// Folder of prepared rows, shared by all runs; empty: one within the run directory.
    #[serde(default)]
    pub prepared: String,
    /// Template key, see [`crate::templates`].
    pub template: String,
    /// System text; empty: the template's own.
    pub system: String,
    /// Hyperparameters.
    pub hyper: Hyper,
    /// Checkpoints to start from, in merge order (S-019, S-124).
    #[serde(default)]
    pub adapters: Vec<CheckpointRef>,
    /// The reward model of a ppo run (S-020).
    #[serde(default)]
    pub reward_model: Option<CheckpointRef>,
    /// The adapter that was brought in, where nothing was trained here: the run holds its one checkpoint, of step 0, and
    /// has no dataset.
    #[serde(default)]
    pub brought: Option<AdapterFacts>,
}

impl CheckpointRef {
    /// How a form names it.
    pub fn key(&self) -> CheckpointKey {
        CheckpointKey { run: self.run.clone(), step: self.step }
    }
}

impl RunSpec {
    /// Reads a stored specification.
    ///
    /// # Errors
    /// In words: what is no specification, one of a format that is newer than this build's, and a choice that this build
    /// does not know.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(|why| why.to_string())?;
        if head.format > FORMAT {
            return Err(format!("format {} is newer than this build's {FORMAT}", head.format));
        }
        let spec: Self = serde_json::from_str(text).map_err(|why| why.to_string())?;
        match spec.hyper.unknown_choice() {
            Some(odd) => Err(format!("{odd}, which this build does not know")),
            None => Ok(spec),
        }
    }

    /// Every dataset, in the order they are read.
    pub fn datasets(&self) -> impl Iterator<Item = &DatasetRef> {
        std::iter::once(&self.dataset).filter(|_| self.brought.is_none()).chain(&self.more_datasets)
    }

    /// The system texts that its rows were trained with, each once, in the order of the datasets (S-032). A question to
    /// the run is asked with the first, unless it brings its own (S-222). Empty: the template's own.
    pub fn system_texts(&self) -> Vec<String> {
        let count = self.datasets().count();
        let prefixes =
            source_prefixes(&self.hyper.source_prefix, count).unwrap_or_else(|_| vec![None; count.max(1)]);
        let mut texts: Vec<String> = Vec::new();
        for text in prefixes.into_iter().map(|prefix| prefix.unwrap_or_else(|| self.system.clone())) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        if texts == [""] { Vec::new() } else { texts }
    }

    /// How many of [`RunSpec::adapters`] are part of the base before training: adapters merged into it, or a whole
    /// model in its place; the one after them, if any, is trained further or measured (S-124).
    pub fn merged_adapters(&self) -> usize {
        let last = self.adapters.last().is_some_and(|last| !last.whole);
        let continues = match self.tuning {
            Tuning::Lora => last && self.hyper.resume_lora_training,
            // It is measured as it is asked: on the model, not within it.
            Tuning::None => last,
            Tuning::Full | Tuning::Freeze => false,
        };
        self.adapters.len() - usize::from(continues)
    }

    /// Whether training the last adapter further makes the model without it the reference (S-021): dpo and ppo hold to
    /// the model with its adapter left out, and that is the base, not what the checkpoint was.
    pub fn refers_to_base(&self) -> bool {
        let last = self.adapters.last().is_some_and(|last| !last.whole);
        last && refers_to_base(self.stage, self.tuning, self.hyper.resume_lora_training)
    }

    /// What another run has to start from to go on after a checkpoint of this run: what was merged here, then the
    /// checkpoint. A checkpoint of a full or freeze run is a whole model and stands alone.
    pub fn chain_to(&self, checkpoint: CheckpointRef) -> Vec<CheckpointRef> {
        let merged = if self.tuning == Tuning::Lora { self.merged_adapters() } else { 0 };
        self.adapters.iter().take(merged).cloned().chain([checkpoint]).collect()
    }
}

/// Whether a run of these settings that starts from an adapter holds to the model without it, see
/// [`RunSpec::refers_to_base`].
pub fn refers_to_base(stage: Stage, tuning: Tuning, resume_lora_training: bool) -> bool {
    resume_lora_training && tuning == Tuning::Lora && matches!(stage, Stage::Dpo | Stage::Ppo)
}

/// A checkpoint of a run, as a form names it: `RUN:STEP`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointKey {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: u64,
}

impl CheckpointKey {
    /// Reads `RUN:STEP`.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, step) = text.trim().rsplit_once(':')?;
        Some(Self { run: RunId::parse(run)?, step: step.parse().ok()? })
    }

    /// As a form names it.
    pub fn text(&self) -> String {
        format!("{}:{}", self.run, self.step)
    }

    /// Reads a list separated by commas; the first that cannot be read is the error.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let typed = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        typed.map(|one| Self::parse(one).ok_or_else(|| one.to_owned())).collect()
    }
}

/// A checkpoint a run starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRef {
    /// The run that made it.
    pub run: RunId,
    /// Label of that run at the time.
    pub name: String,
    /// Step it holds.
    pub step: u64,
    /// Its folder.
    pub folder: String,
    /// SHA-256 of its weights, hex.
    pub digest: String,
    /// Whether it is a whole model, which stands in place of the base, and no adapter.
    #[serde(default)]
    pub whole: bool,
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
    /// Rows in the file as counted when it came; 0: not known. Decides how a run begins, never which rows it reads.
    #[serde(default)]
    pub rows: u64,
    /// Rows of each text of a plain text file that was made of several; empty: the file is one text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<u64>,
}

impl DatasetRef {
    /// What stands in place of a dataset in a run that was not trained here.
    pub fn none() -> Self {
        Self {
            id: DatasetId("none".to_owned()),
            name: String::new(),
            file: String::new(),
            kind: FileKind::Jsonl,
            mapping: Mapping::empty(DataFormat::Text),
            sha256: String::new(),
            rows: 0,
            texts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_021_only_an_adapter_that_goes_on_in_dpo_or_ppo_makes_the_base_the_reference() {
        let warned = |stage, resume| refers_to_base(stage, Tuning::Lora, resume);
        assert_eq!(Stage::ALL.map(|stage| warned(stage, true)), [false, false, false, true, true]);
        assert_eq!(Stage::ALL.map(|stage| warned(stage, false)), [false; 5]);
        assert!(
            !refers_to_base(Stage::Dpo, Tuning::None, true),
            "what is measured is its own reference's adapter"
        );
    }

    #[test]
    fn s_019_checkpoints_are_named_by_run_and_step() {
        let keys = CheckpointKey::parse_list(" r1:20, r-2:7 ,").expect("reads");
        assert_eq!(keys.iter().map(|key| key.step).collect::<Vec<_>>(), [20, 7]);
        assert_eq!(CheckpointKey::parse_list("r1:20,r1").expect_err("no step"), "r1");
        assert!(CheckpointKey::parse("../x:1").is_none(), "an id is no path");
    }
}
