//! Falcon in its three kinds: one key head with both parts of a layer side by side (7B), groups of heads with two norms
//! (40B, 180B) or one (11B), and ALiBi with the parts in sequence (RW).

use serde_json::{Map, Value, json};

use super::bloom::refuse_norm_in_residual;
use super::family::{Activation, Family, LayerNorms, NormKind};
use super::llama;
use crate::config::{Fields, FusedLayout, ModelConfig, Sequence, wrong};
use crate::error::Result;
use crate::kernels::Alibi;

/// What 40B was called in the code that came with it; it has no field for its kind.
const OLD_40B: &str = "RefinedWeb";

pub(super) const FAMILY: Family = Family {
    model_type: "falcon",
    older_types: &["RefinedWebModel", OLD_40B],
    class: "FalconForCausalLM",
    older_classes: &["RWForCausalLM"],
    embed: "transformer.word_embeddings.weight",
    layers: "transformer.h",
    final_norm: "transformer.ln_f",
    norm: NormKind::Layer,
    norms,
    eps: 1e-5,
    qkv: &["self_attention.query_key_value"],
    fused: FusedLayout::ByKeyHead,
    output: "self_attention.dense",
    up: &["mlp.dense_h_to_4h"],
    down: "mlp.dense_4h_to_h",
    gated: false,
    activation: Activation::Gelu,
    activations: &["gelu"],
    tied: true,
    inner_factor: Some(4),
    fields: &[
        ("hidden_size", "hidden_size"),
        ("hidden_size", "n_embed"),
        ("intermediate_size", "ffn_hidden_size"),
        ("num_hidden_layers", "num_hidden_layers"),
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "num_attention_heads"),
        ("num_attention_heads", "n_head"),
        ("num_key_value_heads", "num_kv_heads"),
        ("num_key_value_heads", "n_head_kv"),
        ("rms_norm_eps", "layer_norm_epsilon"),
        ("hidden_act", "activation"),
    ],
    read,
    write,
    ..llama::FAMILY
};

fn norms(config: &ModelConfig) -> LayerNorms {
    match config.sequence {
        Sequence::OneAfterTheOther => llama::NORMS,
        Sequence::SideBySide => LayerNorms { before_feed: None, ..llama::NORMS },
        Sequence::SideBySideTwoNorms => {
            LayerNorms { before_attention: Some("ln_attn"), before_feed: Some("ln_mlp"), ..llama::NORMS }
        }
    }
}

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    refuse_norm_in_residual(fields)?;
    let flag = |name: &str, usual: bool| -> Result<bool> { Ok(fields.flag(name)?.unwrap_or(usual)) };
    let grouped = flag("new_decoder_architecture", fields.text("model_type") == Some(OLD_40B))?;
    let side_by_side = flag("parallel_attn", true)?;
    let norms = fields.size("num_ln_in_parallel_attn")?;
    config.sequence = match (grouped, side_by_side, norms) {
        (false, false, _) => Sequence::OneAfterTheOther,
        (true, true, None | Some(2)) => Sequence::SideBySideTwoNorms,
        (false, true, None | Some(1)) | (true, true, Some(1)) => Sequence::SideBySide,
        (true, false, _) => return Err(wrong("parallel_attn", &json!(false), "true in the new decoder")),
        (_, true, other) => {
            let expected = if grouped { "1 or 2" } else { "1 or null outside the new decoder" };
            return Err(wrong("num_ln_in_parallel_attn", &json!(other), expected));
        }
    };
    if !grouped {
        // Its own number of key heads means nothing there.
        config.num_key_value_heads = if flag("multi_query", true)? { 1 } else { config.num_attention_heads };
    }
    config.alibi = if flag("alibi", false)? { Alibi::Rounded } else { Alibi::None };
    let bias = flag("bias", false)?;
    (config.qkv_bias, config.output_bias, config.mlp_bias) = (bias, bias, bias);
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    let one_key = config.num_key_value_heads == 1;
    let norms = match config.sequence {
        Sequence::OneAfterTheOther => None,
        Sequence::SideBySide if one_key => None,
        Sequence::SideBySide => Some(1),
        Sequence::SideBySideTwoNorms => Some(2),
    };
    for (name, value) in [
        ("new_decoder_architecture", json!(norms.is_some())),
        ("num_ln_in_parallel_attn", json!(norms)),
        ("parallel_attn", json!(config.sequence != Sequence::OneAfterTheOther)),
        ("multi_query", json!(one_key || norms.is_some())),
        ("alibi", json!(config.alibi != Alibi::None)),
        ("bias", json!(config.qkv_bias)),
    ] {
        map.insert(name.into(), value);
    }
    map.remove("head_dim");
}
