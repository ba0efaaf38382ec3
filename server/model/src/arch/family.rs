//! What makes one family differ from another, as data: names of tensors, kinds of norms, fused matrices.

use serde_json::{Map, Value};

use super::{gemma2, gemma3, gpt2, llama, mistral, phi3, qwen2, qwen3};
use crate::config::{Architecture, Fields, ModelConfig};
use crate::error::Result;

/// How activations are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormKind {
    /// Root mean square, times the weight.
    Rms,
    /// Root mean square, times one plus the weight (Gemma).
    RmsFromOne,
    /// Mean and variance, with a bias (GPT-2).
    Layer,
}

/// What bends the feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// The tanh form of GELU.
    GeluTanh,
}

/// Names of a layer's norms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorms {
    pub(crate) before_attention: &'static str,
    /// On what attention gives, before it joins the residual stream.
    pub(crate) after_attention: Option<&'static str>,
    pub(crate) before_feed: &'static str,
    pub(crate) after_feed: Option<&'static str>,
    /// On each head of q and of k.
    pub(crate) heads: Option<[&'static str; 2]>,
}

impl LayerNorms {
    /// Those as wide as the residual stream.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        let first = [Some(self.before_attention), self.after_attention];
        first.into_iter().chain([Some(self.before_feed), self.after_feed]).flatten()
    }
}

/// A family of models.
pub(crate) struct Family {
    pub(crate) model_type: &'static str,
    pub(crate) class: &'static str,
    pub(crate) embed: &'static str,
    /// Learned positions instead of rotary ones.
    pub(crate) positions: Option<&'static str>,
    pub(crate) layers: &'static str,
    pub(crate) final_norm: &'static str,
    pub(crate) norm: NormKind,
    pub(crate) norms: LayerNorms,
    /// Three maps, or one that gives q, k and v side by side.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) output: &'static str,
    /// Gate and up, one map that gives both side by side, or a plain one.
    pub(crate) up: &'static [&'static str],
    pub(crate) down: &'static str,
    pub(crate) gated: bool,
    pub(crate) activation: Activation,
    /// What `hidden_act` may be called, the usual name first.
    pub(crate) activations: &'static [&'static str],
    /// Files hold linear maps as `[in, out]`.
    pub(crate) transposed: bool,
    /// Embeddings are multiplied by the root of the hidden size.
    pub(crate) scaled_embedding: bool,
    /// Whether the output matrix is the embedding when `config.json` does not say.
    pub(crate) tied: bool,
    /// Feed-forward width over hidden size when `config.json` does not say.
    pub(crate) inner_factor: Option<usize>,
    /// Fields of `config.json` that are spelt otherwise: usual name, own name.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Reads what only this family has.
    pub(crate) read: fn(&Fields, &mut ModelConfig) -> Result<()>,
    /// Writes what only this family has.
    pub(crate) write: fn(&ModelConfig, &mut Map<String, Value>),
}

/// The family of an architecture.
pub(crate) fn of(architecture: Architecture) -> &'static Family {
    match architecture {
        Architecture::Llama => &llama::FAMILY,
        Architecture::Mistral => &mistral::FAMILY,
        Architecture::Qwen2 => &qwen2::FAMILY,
        Architecture::Qwen3 => &qwen3::FAMILY,
        Architecture::Gemma2 => &gemma2::FAMILY,
        Architecture::Gemma3 => &gemma3::FAMILY,
        Architecture::Phi3 => &phi3::FAMILY,
        Architecture::Gpt2 => &gpt2::FAMILY,
    }
}
