//! What the model hub offers and what is being fetched from it.

use serde::{Deserialize, Serialize};

use crate::origin::{Shard, by_name, missing_shards};
use crate::problem::Problem;

/// What is looked for on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubKind {
    /// Model repositories.
    Model,
    /// Dataset repositories.
    Dataset,
}

impl HubKind {
    /// The part of the hub's addresses that names the kind: `models` or `datasets`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// A repository in a list of hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubHit {
    /// `owner/name`.
    pub repo: String,
    /// Licence, when the hub knows it.
    pub license: Option<String>,
    /// Downloads in the last month.
    pub downloads: u64,
    /// Whether its owner must let a person in first.
    pub gated: bool,
    /// Whether it lies in the cache of this machine already.
    pub cached: bool,
}

/// What a search found, and which hub was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubHits {
    /// Host of the hub; empty when the cache of this machine answered (`HF_HUB_OFFLINE`).
    pub host: String,
    /// Repositories, most used first.
    pub hits: Vec<HubHit>,
}

/// Why a file of a repository is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A script or a program: Burnish never runs code that came with data or a model (S-072).
    Script,
    /// A pickle: it can run code when it is read.
    Pickle,
    /// Its name is not safe on every system.
    UnsafeName,
    /// It lies in a folder of its own; only the model's own files are needed.
    Folder,
    /// Nothing here needs it.
    NotNeeded,
}

/// English, without a full stop.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Script => "a script: Burnish never runs code that came with data or a model",
            Self::Pickle => "a pickle: it can run code when it is read",
            Self::UnsafeName => "its name is not safe on every system",
            Self::Folder => "in a folder of its own; only the model's own files are needed",
            Self::NotNeeded => "not needed",
        })
    }
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubFile {
    /// Path in the repository.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex, of files the hub keeps by it (large ones).
    pub sha256: Option<String>,
    /// Why Burnish does not fetch it, if it does not.
    pub refused: Option<Refusal>,
}

/// A repository with its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRepo {
    /// Model or dataset.
    pub kind: HubKind,
    /// `owner/name`.
    pub repo: String,
    /// Revision as asked: a branch, tag or commit.
    pub revision: String,
    /// The commit it stands for.
    pub commit: String,
    /// Licence, when the hub knows it.
    pub license: Option<String>,
    /// Whether its owner must let a person in first.
    pub gated: bool,
    /// Files in the order of the hub.
    pub files: Vec<HubFile>,
}

impl HubRepo {
    /// The files of each way to take this repository in, best first: for a model its folder (config, tokenizer and
    /// safetensors) and every GGUF file; for a dataset every split that lies in several files, then every file that
    /// holds rows.
    pub fn choices(&self) -> Vec<HubChoice> {
        let fine: Vec<&HubFile> = self.files.iter().filter(|file| file.refused.is_none()).collect();
        let of = |label: &str, files: Vec<&HubFile>| HubChoice {
            label: label.to_owned(),
            missing: Vec::new(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files: files.into_iter().map(|file| file.path.clone()).collect(),
        };
        let ends = |file: &HubFile, end: &str| file.path.to_ascii_lowercase().ends_with(end);
        match self.kind {
            HubKind::Dataset => {
                let rows = fine.into_iter().filter(|file| {
                    crate::dataset::FileKind::of_name(&file.path).is_some() && !is_note(&file.path)
                });
                let rows: Vec<&HubFile> = rows.collect();
                let mut choices: Vec<HubChoice> = splits(&rows)
                    .into_iter()
                    .map(|(split, files)| HubChoice {
                        missing: missing_shards(files.iter().map(|file| file.path.as_str())),
                        ..of(&split, files)
                    })
                    .collect();
                choices.extend(rows.into_iter().map(|file| of(&file.path, vec![file])));
                choices
            }
            HubKind::Model => {
                let mut choices = Vec::new();
                let folder: Vec<&HubFile> =
                    fine.iter().copied().filter(|file| !ends(file, ".gguf")).collect();
                if folder.iter().any(|file| ends(file, ".safetensors")) {
                    choices.push(of("safetensors", folder));
                }
                choices
                    .extend(fine.iter().filter(|f| ends(f, ".gguf")).map(|file| of(&file.path, vec![file])));
                choices
            }
        }
    }
}

/// Splits that lie in several files, each with its shards in order (S-073).
fn splits<'f>(files: &[&'f HubFile]) -> Vec<(String, Vec<&'f HubFile>)> {
    let mut splits: Vec<(Shard, Vec<&HubFile>)> = Vec::new();
    for file in files {
        let Some(shard) = Shard::of_name(&file.path) else { continue };
        let same = |other: &Shard| (&other.split, other.of) == (&shard.split, shard.of);
        let kind = crate::dataset::FileKind::of_name(&file.path);
        let fits = |(other, held): &&mut (Shard, Vec<&HubFile>)| {
            same(other) && held.iter().all(|one| crate::dataset::FileKind::of_name(&one.path) == kind)
        };
        match splits.iter_mut().find(fits) {
            Some((_, held)) => held.push(file),
            None => splits.push((shard, vec![file])),
        }
    }
    // One of several that is alone is offered too, so that it is said what is missing.
    splits.retain(|(shard, held)| held.len() > 1 || shard.of.is_some_and(|of| of > 1));
    for (_, held) in &mut splits {
        held.sort_by(|a, b| by_name(&a.path, &b.path));
    }
    splits.into_iter().map(|(shard, held)| (shard.split, held)).collect()
}

/// Files of a dataset repository that speak about it instead of holding rows.
fn is_note(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    matches!(name.as_str(), "dataset_infos.json" | "dataset_info.json" | "requirements.txt" | "license.txt")
}

/// One way to take a repository in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubChoice {
    /// `safetensors`, the name of a split in several files, or a file's path.
    pub label: String,
    /// Shards of the split that the repository lacks.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Bytes to fetch.
    pub bytes: u64,
    /// The files.
    pub files: Vec<String>,
}

/// What is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTransfer {
    /// Model or dataset.
    pub kind: HubKind,
    /// `owner/name`.
    pub repo: String,
    /// Branch, tag or commit; empty: `main`.
    #[serde(default)]
    pub revision: String,
    /// Label here; empty: the repository's name.
    #[serde(default)]
    pub name: String,
    /// Paths of the files.
    pub files: Vec<String>,
}

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// Bytes are coming in.
    Downloading,
    /// All there; being read.
    Importing,
    /// Taken in.
    Done,
    /// Given up; what came in is kept and used by the next try.
    Failed,
    /// Stopped by a person; what came in is kept.
    Cancelled,
}

impl TransferState {
    /// Whether it still works.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Downloading | Self::Importing)
    }
}

/// A transfer as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferView {
    /// Identifier.
    pub id: String,
    /// What was asked for.
    pub wanted: NewTransfer,
    /// Where it stands.
    pub state: TransferState,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Why it was given up.
    pub problem: Option<Problem>,
    /// The dataset or model it became.
    pub result: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(kind: HubKind, paths: &[(&str, Option<Refusal>)]) -> HubRepo {
        let file = |(path, refused): &(&str, Option<Refusal>)| HubFile {
            path: (*path).to_owned(),
            bytes: 10,
            sha256: None,
            refused: *refused,
        };
        HubRepo {
            kind,
            repo: "a/b".to_owned(),
            revision: "main".to_owned(),
            commit: "c".to_owned(),
            license: None,
            gated: false,
            files: paths.iter().map(file).collect(),
        }
    }

    #[test]
    fn a_model_comes_as_a_folder_or_as_one_gguf() {
        let files = [
            ("config.json", None),
            ("model.safetensors", None),
            ("m.Q4.gguf", None),
            ("pytorch_model.bin", Some(Refusal::Pickle)),
        ];
        let choices = repo(HubKind::Model, &files).choices();
        assert_eq!(choices.len(), 2);
        assert_eq!((choices[0].files.len(), choices[0].bytes), (2, 20));
        assert_eq!(choices[1].files, ["m.Q4.gguf"]);
        assert!(repo(HubKind::Model, &[("config.json", None)]).choices().is_empty());
    }

    #[test]
    fn a_dataset_comes_file_by_file_without_its_notes() {
        let files =
            [("data/train.jsonl", None), ("dataset_infos.json", None), ("load.py", Some(Refusal::Script))];
        let choices = repo(HubKind::Dataset, &files).choices();
        assert_eq!(choices.iter().map(|c| c.label.as_str()).collect::<Vec<_>>(), ["data/train.jsonl"]);
    }

    #[test]
    fn s_025_s_073_the_shards_of_a_split_are_one_choice_that_says_what_is_missing() {
        let files = [
            ("data/test-00000-of-00001.parquet", None),
            ("data/train-00010-of-00011.parquet", None),
            ("data/train-00002-of-00011.parquet", None),
            ("en/train/0001.parquet", None),
            ("en/train/0000.parquet", None),
            ("en/train/0000.jsonl", None),
        ];
        let choices = repo(HubKind::Dataset, &files).choices();
        let labels: Vec<_> = choices.iter().map(|c| (c.label.as_str(), c.files.len())).collect();
        assert_eq!(labels[..2], [("data/train", 2), ("en/train", 2)]);
        assert_eq!(labels.len(), 2 + files.len(), "each file by itself as well");
        assert_eq!(choices[0].files[0], "data/train-00002-of-00011.parquet");
        assert_eq!((choices[0].missing.len(), choices[1].missing.len()), (9, 0));
        assert_eq!(choices[0].missing[0], "train-00000-of-00011.parquet");
    }
}
