//! GLM and GLM-4: half of a head rotated in neighbouring pairs, biases on q, k and v, one matrix for gate and up; GLM-4 has
//! four norms a layer.

use serde_json::{Map, Value, json};

use super::family::{Family, LayerNorms};
use super::llama;
use crate::config::{Fields, ModelConfig};
use crate::error::Result;

pub(super) const GLM: Family = Family {
    model_type: "glm",
    class: "GlmForCausalLM",
    eps: 1.5625e-7,
    up: &["mlp.gate_up_proj"],
    rotated: Some(0.5),
    neighbours: true,
    read,
    write,
    ..llama::FAMILY
};

pub(super) const GLM4: Family = Family {
    model_type: "glm4",
    class: "Glm4ForCausalLM",
    norms: |_| LayerNorms {
        after_attention: Some("post_self_attn_layernorm"),
        after_feed: Some("post_mlp_layernorm"),
        ..llama::NORMS
    },
    ..GLM
};

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    config.qkv_bias = fields.flag("attention_bias")?.unwrap_or(false);
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    llama::write_attention_bias(config, map);
    map.insert("partial_rotary_factor".into(), json!(config.partial_rotary_factor));
}
