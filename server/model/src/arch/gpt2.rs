//! GPT-2: layer norms, learned positions, a plain feed-forward part, biases everywhere, weights stored `[in, out]`.

use serde_json::json;

use super::family::{Activation, Family, LayerNorms, NormKind};
use super::llama;
use crate::config::wrong;

pub(super) const FAMILY: Family = Family {
    model_type: "gpt2",
    class: "GPT2LMHeadModel",
    embed: "transformer.wte.weight",
    positions: Some("transformer.wpe.weight"),
    layers: "transformer.h",
    final_norm: "transformer.ln_f",
    norm: NormKind::Layer,
    norms: |_| LayerNorms { before_attention: Some("ln_1"), before_feed: Some("ln_2"), ..llama::NORMS },
    eps: 1e-5,
    qkv: &["attn.c_attn"],
    output: "attn.c_proj",
    up: &["mlp.c_fc"],
    down: "mlp.c_proj",
    gated: false,
    activation: Activation::GeluTanh,
    activations: &["gelu_new", "gelu_pytorch_tanh", "gelu_fast"],
    transposed: true,
    tied: true,
    inner_factor: Some(4),
    fields: &[
        ("hidden_size", "n_embd"),
        ("intermediate_size", "n_inner"),
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "n_head"),
        ("num_key_value_heads", "n_head"),
        ("max_position_embeddings", "n_positions"),
        ("rms_norm_eps", "layer_norm_epsilon"),
        ("hidden_act", "activation_function"),
    ],
    read: |fields, config| {
        for (name, usual) in [("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false)] {
            if let Some(value) = fields.get(name).filter(|value| **value != json!(usual)) {
                return Err(wrong(name, value, &format!("{usual}")));
            }
        }
        (config.qkv_bias, config.output_bias, config.mlp_bias) = (true, true, true);
        Ok(())
    },
    write: |_, map| {
        for unused in ["rope_theta", "rope_scaling", "head_dim"] {
            map.remove(unused);
        }
    },
    ..llama::FAMILY
};
