//! `dataset_info.json` as the ancestor and its heirs write it (S-001…S-006), and what is worth knowing about a source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::Mapping;

/// Where a registered dataset comes from (S-001): the first of hub, script and file that is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Source {
    /// A repository of the Hugging Face hub.
    HfHub {
        /// Its name, `owner/name`.
        repo: String,
    },
    /// A file, or a folder of files of one type (S-002).
    File {
        /// Name below the folder of data.
        name: String,
        /// SHA-1 it should have, hex (S-003).
        sha1: Option<String>,
    },
    /// A loading script. Burnish never runs uploaded code; it is kept only to say so (S-072).
    Script {
        /// Its name.
        name: String,
    },
}

/// One entry of `dataset_info.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Name of the dataset.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Which column plays which part (S-005).
    pub mapping: Mapping,
    /// Whether the entry leaves open what its file shows: whether its answers are pairs (it has no `ranking`), and
    /// whether a default column is there (it has no `columns`).
    #[serde(default)]
    pub open: bool,
    /// What the fields and the roles of its messages are called, as the entry says it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What is worth knowing, such as omitted columns.
    pub findings: Vec<Finding>,
}

/// Something worth showing beside a dataset that stops nothing: a badge, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The file has the SHA-1 it should have.
    Sha1Matches {
        /// The hash, hex.
        sha1: String,
    },
    /// The file has another SHA-1: another version, or other line ends (S-070).
    Sha1Differs {
        /// Declared, hex.
        wanted: String,
        /// Computed, hex.
        found: String,
    },
    /// The file has the SHA-256 it should have.
    Sha256Matches {
        /// The hash, hex.
        sha256: String,
    },
    /// The file has another SHA-256.
    Sha256Differs {
        /// Declared, hex.
        wanted: String,
        /// Computed, hex.
        found: String,
    },
    /// A digest is declared but there are several files (S-076), or the one that came is not kept as it was: it cannot be
    /// checked.
    Sha1Unchecked {
        /// Number of files.
        files: u64,
    },
    /// Files without any row; the dataset is made of the others.
    EmptyFiles {
        /// The first names.
        names: Vec<String>,
        /// How many there are.
        files: u64,
    },
    /// Shards that the names of others speak of and that did not come.
    ShardsMissing {
        /// The first names.
        names: Vec<String>,
    },
    /// `columns` leaves these parts out, which makes them empty rather than default (S-005).
    ColumnsOmitted {
        /// The parts, such as `query`.
        parts: Vec<String>,
    },
    /// A dataset script was refused (S-072).
    ScriptRefused {
        /// Its name.
        name: String,
    },
    /// The entry says something Burnish does not use, such as `tools` or `images`.
    Unused {
        /// Its key.
        key: String,
    },
    /// The file was converted to UTF-8 from this encoding.
    Converted {
        /// The encoding.
        encoding: String,
    },
    /// The rows are those of one sheet of a workbook.
    Sheet {
        /// The sheet.
        sheet: String,
        /// The other sheets, in the order of their tabs.
        others: Vec<String>,
        /// Whether the program that made the workbook does not show the sheet.
        hidden: bool,
    },
    /// Rows of the sheet that the program does not show; they are rows like the others.
    HiddenRows {
        /// How many.
        rows: u64,
    },
    /// Cells of errors such as `#N/A`; they hold nothing.
    ErrorCells {
        /// How many.
        cells: u64,
        /// Number in the sheet of the first row with one.
        row: u64,
    },
}

impl Finding {
    /// Whether it says how the file compares with a digest.
    pub fn is_of_digest(&self) -> bool {
        matches!(
            self,
            Self::Sha1Matches { .. }
                | Self::Sha1Differs { .. }
                | Self::Sha256Matches { .. }
                | Self::Sha256Differs { .. }
                | Self::Sha1Unchecked { .. }
        )
    }
}
