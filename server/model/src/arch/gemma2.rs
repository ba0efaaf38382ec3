//! Gemma 2: norms around both parts, weights counted from one, soft caps, a window in every other layer.

use serde_json::{Map, Value, json};

use super::family::{Activation, Family, LayerNorms, NormKind};
use super::llama;
use crate::config::{Fields, ModelConfig};
use crate::error::Result;

pub(super) const NORMS: LayerNorms = LayerNorms {
    after_attention: Some("post_attention_layernorm"),
    before_feed: Some("pre_feedforward_layernorm"),
    after_feed: Some("post_feedforward_layernorm"),
    ..llama::NORMS
};

pub(super) const FAMILY: Family = Family {
    model_type: "gemma2",
    class: "Gemma2ForCausalLM",
    norm: NormKind::RmsFromOne,
    norms: |_| NORMS,
    activation: Activation::GeluTanh,
    activations: &["gelu_pytorch_tanh"],
    scaled_embedding: true,
    tied: true,
    fields: &[("hidden_act", "hidden_activation")],
    read: |fields, config| {
        read_caps(fields, config)?;
        config.read_window(fields, |layer| layer.is_multiple_of(2))
    },
    write: |config, map| {
        write_caps(config, map);
        config.write_window(map);
    },
    ..llama::FAMILY
};

pub(super) fn read_caps(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    config.query_pre_attn_scalar = Some(fields.number("query_pre_attn_scalar")?.unwrap_or(256.0));
    config.attention_softcap = fields.number("attn_logit_softcapping")?;
    config.final_softcap = fields.number("final_logit_softcapping")?;
    llama::read_attention_bias(fields, config)
}

pub(super) fn write_caps(config: &ModelConfig, map: &mut Map<String, Value>) {
    map.insert("query_pre_attn_scalar".into(), whole(config.query_pre_attn_scalar));
    let caps = [
        ("attn_logit_softcapping", config.attention_softcap),
        ("final_logit_softcapping", config.final_softcap),
    ];
    for (name, value) in caps {
        map.insert(name.into(), json!(value));
    }
    llama::write_attention_bias(config, map);
}

/// A number without a fraction as an integer: transformers takes no other for `query_pre_attn_scalar`.
fn whole(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => json!(value as i64),
        other => json!(other),
    }
}
