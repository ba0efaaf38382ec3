//! Llama 2 and 3: what the other families are measured against.

use serde_json::{Map, Value, json};

use super::family::{Activation, Family, LayerNorms, NormKind};
use crate::config::{Fields, FusedLayout, ModelConfig};
use crate::error::Result;

pub(super) const NORMS: LayerNorms = LayerNorms {
    before_attention: Some("input_layernorm"),
    after_attention: None,
    before_feed: Some("post_attention_layernorm"),
    after_feed: None,
    heads: None,
};

pub(super) const FAMILY: Family = Family {
    model_type: "llama",
    older_types: &[],
    class: "LlamaForCausalLM",
    older_classes: &[],
    embed: "model.embed_tokens.weight",
    embed_norm: None,
    positions: None,
    layers: "model.layers",
    final_norm: "model.norm",
    norm: NormKind::Rms,
    norms: |_| NORMS,
    whole_head_norms: false,
    eps: 1e-6,
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    fused: FusedLayout::SideBySide,
    rotated: None,
    neighbours: false,
    output: "self_attn.o_proj",
    up: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    gated: true,
    activation: Activation::Silu,
    activations: &["silu"],
    transposed: false,
    scaled_embedding: false,
    tied: false,
    inner_factor: None,
    fields: &[],
    read,
    write,
};

pub(super) fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    config.mlp_bias = fields.flag("mlp_bias")?.unwrap_or(false);
    read_attention_bias(fields, config)
}

pub(super) fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    write_attention_bias(config, map);
    map.insert("mlp_bias".into(), json!(config.mlp_bias));
}

/// `attention_bias`: on q, k, v and the output.
pub(super) fn read_attention_bias(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    config.qkv_bias = fields.flag("attention_bias")?.unwrap_or(false);
    config.output_bias = config.qkv_bias;
    Ok(())
}

pub(super) fn write_attention_bias(config: &ModelConfig, map: &mut Map<String, Value>) {
    map.insert("attention_bias".into(), json!(config.qkv_bias));
}
