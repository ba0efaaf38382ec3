//! Qwen3: Llama with norms on each head of q and k.

use super::family::{Family, LayerNorms};
use super::{llama, qwen2};

pub(super) const NORMS: LayerNorms =
    LayerNorms { heads: Some(["self_attn.q_norm", "self_attn.k_norm"]), ..llama::NORMS };

pub(super) const FAMILY: Family = Family {
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    norms: |_| NORMS,
    read: |fields, config| {
        llama::read_attention_bias(fields, config)?;
        qwen2::read_window(fields, config)
    },
    write: |config, map| {
        llama::write_attention_bias(config, map);
        qwen2::write_window(config, map);
    },
    ..llama::FAMILY
};
