//! Stages and tuning methods.

use serde::{Deserialize, Serialize};

/// What a run teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Pre-training: the next token of plain text, every token counts (S-141).
    Pt,
    /// Supervised fine-tuning: the answer to a prompt, only answer tokens count (S-142).
    Sft,
}

impl Stage {
    /// Every stage in the order a chain takes them.
    pub const ALL: [Self; 2] = [Self::Pt, Self::Sft];

    /// The key in forms and files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Pt => "pt",
            Self::Sft => "sft",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.key() == key)
    }
}

/// Which weights learn (S-036; `freeze` and `none` are not offered yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// Low-rank adapters on chosen linear layers; the base stays as it is.
    Lora,
    /// Every weight.
    Full,
}

impl Tuning {
    /// Every method offered.
    pub const ALL: [Self; 2] = [Self::Lora, Self::Full];

    /// The key in forms and files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Full => "full",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tuning| tuning.key() == key)
    }
}
