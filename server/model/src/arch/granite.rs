//! Granite: Llama with multipliers on embeddings, scores, what the parts of a layer add, and logits.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::llama;
use crate::config::{Fields, ModelConfig};
use crate::error::Result;

pub(super) const FAMILY: Family =
    Family { model_type: "granite", class: "GraniteForCausalLM", read, write, ..llama::FAMILY };

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    llama::read(fields, config)?;
    let factor = |name: &str| -> Result<f64> { Ok(fields.number(name)?.unwrap_or(1.0)) };
    config.attention_multiplier = Some(factor("attention_multiplier")?);
    config.embedding_multiplier = factor("embedding_multiplier")?;
    config.residual_multiplier = factor("residual_multiplier")?;
    config.logits_scaling = factor("logits_scaling")?;
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    llama::write(config, map);
    for (name, value) in [
        ("attention_multiplier", config.score_scale()),
        ("embedding_multiplier", config.embedding_multiplier),
        ("residual_multiplier", config.residual_multiplier),
        ("logits_scaling", config.logits_scaling),
    ] {
        map.insert(name.into(), json!(value));
    }
}
