//! OLMo 2: Llama with norms behind both parts in place of those before, and norms over the whole of q and k.

use super::family::{Family, LayerNorms};
use super::llama;
use crate::config::wrong;

pub(super) const FAMILY: Family = Family {
    model_type: "olmo2",
    class: "Olmo2ForCausalLM",
    norms: |_| LayerNorms {
        before_attention: None,
        after_attention: Some("post_attention_layernorm"),
        before_feed: None,
        after_feed: Some("post_feedforward_layernorm"),
        heads: Some(["self_attn.q_norm", "self_attn.k_norm"]),
    },
    whole_head_norms: true,
    eps: 1e-5,
    read: |fields, config| {
        if let Some(value) = fields.get("clip_qkv") {
            return Err(wrong("clip_qkv", value, "null: q, k and v are not clipped"));
        }
        llama::read_attention_bias(fields, config)
    },
    write: llama::write_attention_bias,
    ..llama::FAMILY
};
