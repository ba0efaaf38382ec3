//! Base models as people see them.

use serde::{Deserialize, Serialize};

use crate::adapter::AdapterFacts;
use crate::code::Code;
use crate::ids::ModelId;
use crate::problem::Problem;

/// Facts of a model folder, written by the worker as `burnish.json` beside the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `model_type` of its `config.json`: `llama`, `qwen2`, `gemma2`, …
    pub architecture: String,
    /// Number of weights, tied ones once.
    pub parameters: u64,
    /// Tokens in the vocabulary.
    pub vocab_size: u64,
    /// Transformer blocks.
    pub layers: u64,
    /// Width.
    pub hidden_size: u64,
    /// Width of the feed-forward part.
    #[serde(default)]
    pub intermediate_size: u64,
    /// Longest context, tokens.
    pub context_length: u64,
    /// SHA-256 of the weights (of `model.safetensors`, or of the digests of all shards in order), hex.
    pub digest: String,
    /// Whether the model brings a chat template.
    pub has_chat_template: bool,
    /// Licence, when the files say so.
    #[serde(default)]
    pub license: Option<String>,
    /// How it came: `folder`, `gguf`, `scratch`.
    pub source: String,
    /// What decides the cost of training it; absent in models of older builds.
    #[serde(default)]
    pub shape: Option<ModelShape>,
}

impl ModelFacts {
    /// Tokens of the longest sequence the model can read at all; `None` where positions are computed, which go on, though
    /// worse, beyond the longest context.
    pub fn learned_positions(&self) -> Option<u64> {
        learned_positions(&self.architecture, self.context_length)
    }
}

/// As [`ModelFacts::learned_positions`], of an architecture and its longest context.
pub fn learned_positions(architecture: &str, context_length: u64) -> Option<u64> {
    (architecture == "gpt2").then_some(context_length)
}

/// The problem of rows beyond the positions a model has learned.
pub fn beyond_positions(positions: u64) -> Problem {
    let message =
        format!("This model has learned positions for {positions} tokens, and there are longer rows.");
    Problem::new(Code::ModelPositions, message)
        .with("positions", positions)
        .field("max_source_length")
        .hint(format!("Choose limits for question and answer of at most {positions} tokens together."))
}

/// Shape of a model as far as it decides what training takes, see [`crate::cost`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Tensors of one block.
    pub block: Vec<TensorShape>,
    /// Width of all query heads together.
    pub query_width: u64,
    /// Width of all key (or value) heads together.
    pub key_width: u64,
    /// Bytes of the weights in their files.
    pub file_bytes: u64,
}

/// A tensor of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorShape {
    /// Name within the block, for example `self_attn.q_proj.weight`.
    pub name: String,
    /// `[out, in]` of a linear map, else the length of a vector.
    pub shape: Vec<u64>,
}

/// A model in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    /// Identifier.
    pub id: ModelId,
    /// Label.
    pub name: String,
    /// `importing`, `ready` or `failed`.
    pub state: String,
    /// Why the import failed.
    pub problem: Option<crate::problem::Problem>,
    /// Facts, once ready.
    pub facts: Option<ModelFacts>,
    /// When it came, milliseconds since 1970.
    pub created_ms: i64,
    /// Whether it is the starter model.
    pub starter: bool,
    /// What it is, where an adapter came in place of a model; its files wait to be put on one.
    #[serde(default)]
    pub adapter: Option<AdapterFacts>,
}

/// Sizes a from-scratch model may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScratchSize {
    /// About one million weights.
    #[serde(rename = "1m")]
    M1,
    /// About five million.
    #[serde(rename = "5m")]
    M5,
    /// About twenty million.
    #[serde(rename = "20m")]
    M20,
}

/// Shape of a from-scratch model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchShape {
    /// Vocabulary of the byte-level BPE tokenizer, at most.
    pub vocab_size: usize,
    /// Width.
    pub hidden_size: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
}

impl ScratchSize {
    /// Every size, smallest first.
    pub const ALL: [Self; 3] = [Self::M1, Self::M5, Self::M20];

    /// The key in forms.
    pub fn key(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M20 => "20m",
        }
    }

    /// Reads a key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.key() == key)
    }

    /// The shape.
    pub fn shape(self) -> ScratchShape {
        let shape = |vocab_size, hidden_size, intermediate_size, layers, heads, kv_heads| ScratchShape {
            vocab_size,
            hidden_size,
            intermediate_size,
            layers,
            heads,
            kv_heads,
        };
        match self {
            Self::M1 => shape(2048, 128, 344, 4, 4, 2),
            Self::M5 => shape(4096, 256, 688, 6, 8, 4),
            Self::M20 => shape(8192, 448, 1200, 8, 8, 4),
        }
    }
}

/// How a model is to come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum NewModel {
    /// A Hugging Face folder or a GGUF file on the server's disk.
    Path {
        /// Label.
        name: String,
        /// Absolute path.
        path: String,
    },
    /// Files uploaded before under `/api/v1/uploads/{upload}`.
    Upload {
        /// Label.
        name: String,
        /// The upload's id.
        upload: String,
    },
    /// A new model with random weights and a tokenizer trained on a dataset.
    Scratch {
        /// Label.
        name: String,
        /// Size key.
        size: String,
        /// Dataset the tokenizer is trained on.
        dataset: crate::ids::DatasetId,
    },
}

/// The first eight digits of a digest as people compare them: `9f2c·41ab`.
pub fn short_digest(digest: &str) -> String {
    match (digest.get(..4), digest.get(4..8)) {
        (Some(left), Some(right)) => format!("{left}·{right}"),
        _ => digest.to_owned(),
    }
}

/// What weights are called once an adapter lies on them: `9f2c·41ab + lora 77d0·e3c8`.
pub fn with_adapter(weights: &str, adapter_digest: &str) -> String {
    format!("{weights} + lora {}", short_digest(adapter_digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_learned_positions_end() {
        assert_eq!(learned_positions("gpt2", 48), Some(48));
        for computed in ["llama", "mistral", "qwen2", "gemma3_text", "phi3", "bloom", "falcon", "glm4"] {
            assert_eq!(learned_positions(computed, 48), None, "{computed}");
        }
        let problem = beyond_positions(48);
        assert_eq!(
            (problem.code, problem.params.get("positions").map(String::as_str)),
            (Code::ModelPositions, Some("48"))
        );
    }

    #[test]
    fn a_digest_is_shown_in_two_groups() {
        assert_eq!(short_digest("9f2c41ab77d0"), "9f2c·41ab");
        assert_eq!(short_digest("9f2"), "9f2");
    }
}
