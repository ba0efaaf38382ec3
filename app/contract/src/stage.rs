//! Stages and tuning methods.

use serde::{Deserialize, Serialize};

/// What a run teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Pre-training: the next token of plain text, every token counts (S-141).
    Pt,
    /// Supervised fine-tuning: the answer to a prompt, only answer tokens count (S-142).
    Sft,
    /// Reward model: which of two answers is better (S-144, S-168).
    Rm,
    /// Proximal policy optimisation: answers are made and scored by a reward model (S-200…S-216).
    Ppo,
    /// Direct preference optimisation: pairs of answers without a reward model.
    Dpo,
}

impl Stage {
    /// Every stage in the order a chain takes them.
    pub const ALL: [Self; 5] = [Self::Pt, Self::Sft, Self::Rm, Self::Ppo, Self::Dpo];

    /// The stages the worker can run; forms offer these and no others.
    pub const OFFERED: [Self; 5] = [Self::Sft, Self::Pt, Self::Rm, Self::Ppo, Self::Dpo];

    /// The key in forms and files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Pt => "pt",
            Self::Sft => "sft",
            Self::Rm => "rm",
            Self::Ppo => "ppo",
            Self::Dpo => "dpo",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.key() == key)
    }

    /// Whether the stage trains a LoRA adapter only: a reward model and a policy share their base, and the reference
    /// of DPO and PPO is the model without its adapter (S-091).
    pub fn wants_lora(self) -> bool {
        matches!(self, Self::Rm | Self::Ppo | Self::Dpo)
    }

    /// Whether the stage trains a value head.
    pub fn has_value_head(self) -> bool {
        matches!(self, Self::Rm | Self::Ppo)
    }

    /// Whether a row is a question with a better and a worse answer.
    pub fn wants_pairs(self) -> bool {
        matches!(self, Self::Rm | Self::Dpo)
    }
}

/// Which weights learn (S-036).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// Low-rank adapters on chosen linear layers; the base stays as it is.
    Lora,
    /// Every weight.
    Full,
    /// Some blocks, or parts of them (S-038, S-039).
    Freeze,
    /// None: the run only measures what is there (S-120, S-160).
    None,
}

impl Tuning {
    /// Every method offered.
    pub const ALL: [Self; 4] = [Self::Lora, Self::Full, Self::Freeze, Self::None];

    /// The key in forms and files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Full => "full",
            Self::Freeze => "freeze",
            Self::None => "none",
        }
    }

    /// Whether anything learns; else the run only measures.
    pub fn learns(self) -> bool {
        self != Self::None
    }

    /// Whether the base lies frozen under adapters, and may be held in fewer bits (S-056).
    pub fn keeps_base(self) -> bool {
        matches!(self, Self::Lora | Self::None)
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tuning| tuning.key() == key)
    }
}
