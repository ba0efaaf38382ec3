//! The shape of a model, read from a Hugging Face `config.json`.

mod fields;
mod read;
mod rope;
mod write;

pub use rope::RopeScaling;

pub(crate) use fields::{Fields, most_of, wrong};
pub(crate) use rope::{longrope_factor, rope_fields};

use crate::arch::family::{self, Family, LayerNorms};
use crate::kernels::Alibi;

/// Architectures this package can run, as `model_type` spells them.
pub const SUPPORTED: [&str; 18] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "phi3",
    "gpt2",
    "bloom",
    "falcon",
    "baichuan",
    "internlm",
    "aquila",
    "olmo2",
    "smollm3",
    "granite",
    "glm",
    "glm4",
];

/// Which family a model belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`.
    #[default]
    Llama,
    /// `MistralForCausalLM`: as Llama, with a sliding window.
    Mistral,
    /// `Qwen2ForCausalLM`: as Llama, with biases on q, k and v.
    Qwen2,
    /// `Qwen3ForCausalLM`: as Llama, with norms on the heads of q and k.
    Qwen3,
    /// `Gemma2ForCausalLM`: soft caps, four norms a layer, every other layer with a window.
    Gemma2,
    /// `Gemma3ForCausalLM`, text only: norms on q and k, two rotary bases.
    Gemma3,
    /// `Phi3ForCausalLM`: one matrix for q, k and v, one for gate and up.
    Phi3,
    /// `GPT2LMHeadModel`: layer norms, learned positions, biases everywhere.
    Gpt2,
    /// `BloomForCausalLM`: ALiBi, a norm on the embedding, one matrix for q, k and v of each head.
    Bloom,
    /// `FalconForCausalLM`: both parts of a layer side by side or in sequence, rotary positions or ALiBi.
    Falcon,
    /// `BaichuanForCausalLM` of the first generation: as Llama with one matrix for q, k and v; 13B with ALiBi.
    Baichuan,
    /// `InternLMForCausalLM` of the first generation: as Llama, with biases on q, k, v and the output.
    InternLm,
    /// `AquilaForCausalLM`: as Llama.
    Aquila,
    /// `Olmo2ForCausalLM`: norms behind both parts only, norms over the whole of q and k.
    Olmo2,
    /// `SmolLM3ForCausalLM`: as Llama, some layers without positions.
    SmolLm3,
    /// `GraniteForCausalLM`: as Llama, with multipliers.
    Granite,
    /// `GlmForCausalLM`: half of a head rotated in neighbouring pairs, one matrix for gate and up.
    Glm,
    /// `Glm4ForCausalLM`: as GLM, with four norms a layer.
    Glm4,
}

/// How q, k and v lie in the one matrix that gives all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FusedLayout {
    /// All of q, then all of k, then all of v.
    #[default]
    SideBySide,
    /// By key heads: the queries that share one, then that key head, then its values.
    ByKeyHead,
}

/// How the two parts of a layer follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sequence {
    /// The feed-forward part reads what attention has added to.
    #[default]
    OneAfterTheOther,
    /// Both read the layer's input, through the same norm.
    SideBySide,
    /// Both read the layer's input, each through a norm of its own.
    SideBySideTwoNorms,
}

impl Architecture {
    /// All of them, in the order of [`SUPPORTED`].
    pub const ALL: [Self; 18] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma2,
        Self::Gemma3,
        Self::Phi3,
        Self::Gpt2,
        Self::Bloom,
        Self::Falcon,
        Self::Baichuan,
        Self::InternLm,
        Self::Aquila,
        Self::Olmo2,
        Self::SmolLm3,
        Self::Granite,
        Self::Glm,
        Self::Glm4,
    ];

    /// As `model_type` spells it.
    pub fn name(self) -> &'static str {
        self.family().model_type
    }

    pub(crate) fn family(self) -> &'static Family {
        family::of(self)
    }
}

/// Shape and constants of a decoder-only model. Sizes are element counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Added to the mean square (or variance) before the root.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Base in layers with a window, where it differs (Gemma 3).
    pub rope_local_theta: Option<f64>,
    /// Stretching of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// Share of a head that is rotated, from its beginning; all of it when absent (GLM).
    pub partial_rotary_factor: Option<f64>,
    /// Layers without positions (SmolLM3); none when empty.
    pub unrotated: Vec<bool>,
    /// Penalties on distance instead of rotary positions.
    pub alibi: Alibi,
    /// How the parts of a layer follow one another (Falcon).
    pub sequence: Sequence,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// Bias on the attention's output (Llama's `attention_bias`).
    pub output_bias: bool,
    /// Biases in the feed-forward part (Llama's `mlp_bias`).
    pub mlp_bias: bool,
    /// Scores are divided by the root of this; the head size when absent (Gemma).
    pub query_pre_attn_scalar: Option<f64>,
    /// Factor on the scores instead (Granite).
    pub attention_multiplier: Option<f64>,
    /// Factor on the embeddings (Granite).
    pub embedding_multiplier: f64,
    /// Factor on what each part of a layer adds (Granite).
    pub residual_multiplier: f64,
    /// The logits are divided by this (Granite).
    pub logits_scaling: f64,
    /// Scores are bent to stay within plus and minus this (Gemma 2).
    pub attention_softcap: Option<f64>,
    /// Logits are bent to stay within plus and minus this (Gemma 2).
    pub final_softcap: Option<f64>,
    /// A token sees itself and the tokens before it, this many together, in layers with a window.
    pub sliding_window: Option<usize>,
    /// Per layer: whether it has the window.
    pub windowed: Vec<bool>,
    /// Longest sequence the model was trained for, tokens.
    pub max_position_embeddings: usize,
    /// Number format the weights were stored in (`torch_dtype` or `dtype`).
    pub dtype: Option<String>,
    /// Token that begins a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Token used for padding.
    pub pad_token_id: Option<u32>,
    /// Deviation of freshly drawn weights.
    pub initializer_range: f64,
}

impl Default for ModelConfig {
    /// A tiny Llama: a start for `..Default::default()`.
    fn default() -> Self {
        Self {
            architecture: Architecture::Llama,
            vocab_size: 256,
            hidden_size: 64,
            intermediate_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 4,
            head_dim: 16,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_local_theta: None,
            rope_scaling: RopeScaling::None,
            partial_rotary_factor: None,
            unrotated: Vec::new(),
            alibi: Alibi::None,
            sequence: Sequence::OneAfterTheOther,
            tie_word_embeddings: false,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            query_pre_attn_scalar: None,
            attention_multiplier: None,
            embedding_multiplier: 1.0,
            residual_multiplier: 1.0,
            logits_scaling: 1.0,
            attention_softcap: None,
            final_softcap: None,
            sliding_window: None,
            windowed: Vec::new(),
            max_position_embeddings: 2048,
            dtype: None,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            pad_token_id: None,
            initializer_range: 0.02,
        }
    }
}

/// A linear map of every layer: name within the layer, output and input width, bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// For example `self_attn.q_proj`.
    pub name: &'static str,
    /// Output width.
    pub outer: usize,
    /// Input width.
    pub inner: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

impl ModelConfig {
    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Factor on the scores of attention.
    pub fn score_scale(&self) -> f64 {
        let usual = || 1.0 / self.query_pre_attn_scalar.unwrap_or(self.head_dim as f64).sqrt();
        self.attention_multiplier.unwrap_or_else(usual)
    }

    /// Elements of a head that are rotated, from its beginning; even.
    pub fn rotary_dim(&self) -> usize {
        let share = self.partial_rotary_factor.unwrap_or(1.0);
        (self.head_dim as f64 * share) as usize
    }

    /// Whether positions turn q and k of a layer.
    pub(crate) fn rotates(&self, layer: usize) -> bool {
        self.has_rotary() && !self.unrotated.get(layer).copied().unwrap_or(false)
    }

    /// Whether positions turn q and k at all.
    pub(crate) fn has_rotary(&self) -> bool {
        self.architecture.family().positions.is_none() && self.alibi == Alibi::None
    }

    /// Names of a layer's norms.
    pub(crate) fn layer_norms(&self) -> LayerNorms {
        (self.architecture.family().norms)(self)
    }

    /// Widths of the norms on q and on k: of one head, or of all heads together.
    pub(crate) fn head_norm_widths(&self) -> [usize; 2] {
        match self.architecture.family().whole_head_norms {
            true => [self.query_width(), self.key_width()],
            false => [self.head_dim; 2],
        }
    }

    /// How many tokens a token of this layer sees, itself included; `None`: all before it.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.windowed.get(layer).copied().unwrap_or(false))
    }

    /// The linear maps of a layer, in order.
    pub fn linears(&self) -> Vec<LinearShape> {
        let family = self.architecture.family();
        let (d, inner) = (self.hidden_size, self.intermediate_size);
        let (wide, narrow) = (self.query_width(), self.key_width());
        let mut all = Vec::with_capacity(7);
        let qkv: &[usize] =
            if family.qkv.len() == 1 { &[wide + 2 * narrow] } else { &[wide, narrow, narrow] };
        for (name, outer) in family.qkv.iter().zip(qkv) {
            all.push(LinearShape { name, outer: *outer, inner: d, bias: self.qkv_bias });
        }
        all.push(LinearShape { name: family.output, outer: d, inner: wide, bias: self.output_bias });
        let fused = if family.gated && family.up.len() == 1 { 2 } else { 1 };
        for name in family.up {
            all.push(LinearShape { name, outer: fused * inner, inner: d, bias: self.mlp_bias });
        }
        all.push(LinearShape { name: family.down, outer: d, inner, bias: self.mlp_bias });
        all
    }

    /// Names an adapter may target, for example `q_proj`.
    pub fn linear_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = Vec::new();
        for linear in self.linears() {
            let last = linear.name.rsplit('.').next().unwrap_or(linear.name);
            if !names.contains(&last) {
                names.push(last);
            }
        }
        names
    }

    /// Name and shape of every tensor as they stand in a file.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let family = self.architecture.family();
        let d = self.hidden_size;
        let mut all = vec![(family.embed.to_owned(), vec![self.vocab_size, d])];
        all.extend(family.positions.map(|name| (name.to_owned(), vec![self.max_position_embeddings, d])));
        let names = self.layer_norms();
        let norm = |all: &mut Vec<_>, name: String, width: usize| {
            all.push((format!("{name}.weight"), vec![width]));
            if family.norm == family::NormKind::Layer {
                all.push((format!("{name}.bias"), vec![width]));
            }
        };
        family.embed_norm.into_iter().for_each(|name| norm(&mut all, name.to_owned(), d));
        for layer in 0..self.num_hidden_layers {
            let at = |part: &str| format!("{}.{layer}.{part}", family.layers);
            for name in names.all() {
                norm(&mut all, at(name), d);
            }
            for (name, width) in names.heads.iter().flatten().zip(self.head_norm_widths()) {
                norm(&mut all, at(name), width);
            }
            for linear in self.linears() {
                let shape = [linear.outer, linear.inner];
                let shape = if family.transposed { vec![shape[1], shape[0]] } else { shape.to_vec() };
                all.push((at(&format!("{}.weight", linear.name)), shape));
                if linear.bias {
                    all.push((at(&format!("{}.bias", linear.name)), vec![linear.outer]));
                }
            }
        }
        norm(&mut all, family.final_norm.to_owned(), d);
        if !self.tie_word_embeddings {
            all.push((HEAD.to_owned(), vec![self.vocab_size, d]));
        }
        all
    }

    /// Whether files hold this tensor as `[in, out]`.
    pub(crate) fn is_transposed(&self, name: &str) -> bool {
        let family = self.architecture.family();
        family.transposed
            && name.starts_with(family.layers)
            && self.linears().iter().any(|linear| {
                name.strip_suffix(".weight")
                    .is_some_and(|module| module.ends_with(&format!(".{}", linear.name)))
            })
    }

    /// What the names of layers begin with, for example `model.layers`.
    pub fn layers_prefix(&self) -> &'static str {
        self.architecture.family().layers
    }
}

/// Name of the output matrix where it is not the embedding.
pub(crate) const HEAD: &str = "lm_head.weight";

/// End tokens that a `generation_config.json` names beside those of `config.json`; none where it cannot be read.
pub fn generation_eos(generation_config: &[u8]) -> Vec<u32> {
    let config: serde_json::Value = serde_json::from_slice(generation_config).unwrap_or_default();
    fields::token_ids(&config["eos_token_id"]).unwrap_or_default()
}

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
