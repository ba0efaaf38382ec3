//! Phi-3: Llama with fused matrices, and LongRoPE in its long variants.

use serde_json::json;

use super::family::Family;
use super::llama;
use crate::config::RopeScaling;

pub(super) const FAMILY: Family = Family {
    model_type: "phi3",
    class: "Phi3ForCausalLM",
    qkv: &["self_attn.qkv_proj"],
    up: &["mlp.gate_up_proj"],
    read: |fields, config| config.read_window(fields, |_| true),
    write: |config, map| {
        config.write_window(map);
        if let RopeScaling::LongRope { original, .. } = &config.rope_scaling {
            map.insert("original_max_position_embeddings".into(), json!(*original as u64));
        }
    },
    ..llama::FAMILY
};
