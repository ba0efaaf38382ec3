//! What makes one family differ from another, as data: names of tensors, kinds of norms, fused matrices.

use serde_json::{Map, Value};

use super::{baichuan, bloom, falcon, gemma2, gemma3, glm, gpt2, granite, internlm, llama, mistral};
use super::{olmo2, phi3, qwen2, qwen3, smollm3};
use crate::config::{Architecture, Fields, FusedLayout, ModelConfig};
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
    /// GELU by the error function.
    Gelu,
}

/// Names of a layer's norms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorms {
    pub(crate) before_attention: Option<&'static str>,
    /// On what attention gives, before it joins the residual stream.
    pub(crate) after_attention: Option<&'static str>,
    /// None where the feed-forward part reads what attention reads, or its input as it is.
    pub(crate) before_feed: Option<&'static str>,
    pub(crate) after_feed: Option<&'static str>,
    /// On q and on k: on each head, or on all of them together.
    pub(crate) heads: Option<[&'static str; 2]>,
}

impl LayerNorms {
    /// Those as wide as the residual stream.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        [self.before_attention, self.after_attention, self.before_feed, self.after_feed].into_iter().flatten()
    }
}

/// A family of models.
pub(crate) struct Family {
    pub(crate) model_type: &'static str,
    /// What `model_type` was called in code that came with models.
    pub(crate) older_types: &'static [&'static str],
    pub(crate) class: &'static str,
    /// What the class was called there.
    pub(crate) older_classes: &'static [&'static str],
    pub(crate) embed: &'static str,
    /// A norm on the embeddings (BLOOM).
    pub(crate) embed_norm: Option<&'static str>,
    /// Learned positions instead of rotary ones.
    pub(crate) positions: Option<&'static str>,
    pub(crate) layers: &'static str,
    pub(crate) final_norm: &'static str,
    pub(crate) norm: NormKind,
    pub(crate) norms: fn(&ModelConfig) -> LayerNorms,
    /// The norms on q and k go over all heads together.
    pub(crate) whole_head_norms: bool,
    /// Added to the mean square (or variance) when `config.json` does not say.
    pub(crate) eps: f64,
    /// Three maps, or one that gives q, k and v side by side.
    pub(crate) qkv: &'static [&'static str],
    /// How the one map gives them.
    pub(crate) fused: FusedLayout,
    /// Share of a head that is rotated when `config.json` does not say; `None`: always all of it.
    pub(crate) rotated: Option<f64>,
    /// Rotary pairs are neighbours, not elements half of a head apart.
    pub(crate) neighbours: bool,
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

impl Family {
    /// Whether `model_type` names this family.
    pub(crate) fn is_type(&self, name: &str) -> bool {
        self.model_type == name || self.older_types.contains(&name)
    }

    /// Whether `architectures` names it.
    pub(crate) fn is_class(&self, name: &str) -> bool {
        self.class == name || self.older_classes.contains(&name)
    }
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
        Architecture::Bloom => &bloom::FAMILY,
        Architecture::Falcon => &falcon::FAMILY,
        Architecture::Baichuan => &baichuan::FAMILY,
        Architecture::InternLm => &internlm::FAMILY,
        Architecture::Aquila => &internlm::AQUILA,
        Architecture::Olmo2 => &olmo2::FAMILY,
        Architecture::SmolLm3 => &smollm3::FAMILY,
        Architecture::Granite => &granite::FAMILY,
        Architecture::Glm => &glm::GLM,
        Architecture::Glm4 => &glm::GLM4,
    }
}
