//! Baichuan of the first generation: Llama with one matrix for q, k and v; 13B has ALiBi in place of rotary positions.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::llama;
use crate::config::{Fields, ModelConfig, most_of, wrong};
use crate::error::{ModelError, Result};
use crate::kernels::Alibi;

/// 7B names its context so.
const ROTARY: &str = "max_position_embeddings";
/// And 13B so, which it has instead.
const ALIBI: &str = "model_max_length";
/// Tokens of the second generation, which divides each row of its output matrix by its length.
const SECOND: usize = 125_696;

pub(super) const FAMILY: Family = Family {
    model_type: "baichuan",
    class: "BaichuanForCausalLM",
    older_classes: &["BaiChuanForCausalLM"],
    qkv: &["self_attn.W_pack"],
    fields: &[("num_key_value_heads", "num_attention_heads")],
    read,
    write,
    ..llama::FAMILY
};

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    if config.vocab_size == SECOND || fields.get("z_loss_weight").is_some() {
        let expected = "Baichuan of the first generation: the second norms its output matrix";
        return Err(match fields.get("z_loss_weight") {
            Some(value) => wrong("z_loss_weight", value, expected),
            None => wrong("vocab_size", &json!(SECOND), expected),
        });
    }
    let length = fields.size(ALIBI)?;
    if let Some(length) = length.filter(|_| fields.get(ROTARY).is_none()) {
        let most = most_of(ROTARY);
        if length as u64 > most {
            return Err(ModelError::limit(ALIBI, length as u64, most));
        }
        (config.alibi, config.max_position_embeddings) = (Alibi::Plain, length);
    }
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    for unused in ["head_dim", "num_key_value_heads"] {
        map.remove(unused);
    }
    if config.alibi != Alibi::None {
        for unused in [ROTARY, "rope_theta", "rope_scaling"] {
            map.remove(unused);
        }
        map.insert(ALIBI.into(), json!(config.max_position_embeddings));
    }
}
