//! BLOOM: ALiBi, layer norms, one of them on the embeddings, a plain feed-forward part, biases everywhere; the one map
//! for attention gives q, k and v of each head together.

use serde_json::json;

use super::family::{Activation, Family, NormKind};
use super::llama;
use crate::config::{Fields, FusedLayout, ModelConfig, wrong};
use crate::error::Result;
use crate::kernels::Alibi;

pub(super) const FAMILY: Family = Family {
    model_type: "bloom",
    class: "BloomForCausalLM",
    embed: "transformer.word_embeddings.weight",
    embed_norm: Some("transformer.word_embeddings_layernorm"),
    layers: "transformer.h",
    final_norm: "transformer.ln_f",
    norm: NormKind::Layer,
    eps: 1e-5,
    qkv: &["self_attention.query_key_value"],
    fused: FusedLayout::ByKeyHead,
    output: "self_attention.dense",
    up: &["mlp.dense_h_to_4h"],
    down: "mlp.dense_4h_to_h",
    gated: false,
    activation: Activation::GeluTanh,
    activations: &["gelu_pytorch_tanh"],
    tied: true,
    inner_factor: Some(4),
    fields: &[
        ("hidden_size", "hidden_size"),
        ("hidden_size", "n_embed"),
        ("intermediate_size", "n_inner"),
        ("num_hidden_layers", "n_layer"),
        ("num_hidden_layers", "num_hidden_layers"),
        ("num_attention_heads", "n_head"),
        ("num_attention_heads", "num_attention_heads"),
        ("num_key_value_heads", "n_head"),
        ("num_key_value_heads", "num_attention_heads"),
        ("max_position_embeddings", "seq_length"),
        ("rms_norm_eps", "layer_norm_epsilon"),
    ],
    read: |fields, config| {
        refuse_norm_in_residual(fields)?;
        be_four_times_as_wide(fields, config)?;
        config.alibi = Alibi::Plain;
        (config.qkv_bias, config.output_bias, config.mlp_bias) = (true, true, true);
        Ok(())
    },
    write: |_, map| {
        for unused in ["rope_theta", "rope_scaling", "head_dim", "hidden_act", "num_key_value_heads"] {
            map.remove(unused);
        }
    },
    ..llama::FAMILY
};

/// Neither BLOOM nor Falcon was ever published with the normed input as its residual.
pub(super) fn refuse_norm_in_residual(fields: &Fields) -> Result<()> {
    const NAME: &str = "apply_residual_connection_post_layernorm";
    match fields.get(NAME).filter(|value| **value != json!(false)) {
        Some(value) => Err(wrong(NAME, value, "false")),
        None => Ok(()),
    }
}

/// transformers takes no other width.
fn be_four_times_as_wide(fields: &Fields, config: &ModelConfig) -> Result<()> {
    match config.intermediate_size == 4 * config.hidden_size {
        true => Ok(()),
        false => {
            let name = fields.own_name("intermediate_size");
            Err(wrong(name, &json!(config.intermediate_size), "four times the hidden size, or null"))
        }
    }
}
