//! Weights that a browser may carry away, so that a model answers there.

use serde::{Deserialize, Serialize};

/// Most bytes a browser is offered: a tab has 4 GiB at best, and the weights lie in it beside what they compute.
pub const MOST_BYTES: u64 = 1_200_000_000;

/// What a target ([`crate::chat::ChatTarget`]) consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// What the weights are called, as the server's playground says it: `9f2c·41ab + lora 77d0·e3c8`.
    pub digest: String,
    /// Template key.
    pub template: String,
    /// System text the run was trained with.
    #[serde(default)]
    pub system: Option<String>,
    /// Files; those of an adapter are named `adapter/…`.
    pub files: Vec<ParcelFile>,
}

/// A file of a [`Parcel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelFile {
    /// Name, as the engine knows it.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Under which it is kept: changes whenever the content does.
    pub key: String,
    /// SHA-256, hex, where it is known.
    #[serde(default)]
    pub sha256: Option<String>,
}

impl Parcel {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// What the Web Worker tells its page, beside [`crate::chat::ChatDelta`] while it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EngineNews {
    /// What would have to be fetched; `kept` of it lies in this browser already.
    Size {
        /// Bytes of all files.
        bytes: u64,
        /// Bytes that need not be fetched again.
        kept: u64,
    },
    /// Fetching.
    Progress {
        /// Bytes there.
        loaded: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// The model answers here now.
    Loaded,
    /// It cannot.
    Refused {
        /// Why.
        problem: crate::problem::Problem,
    },
}
