//! Qwen2: Llama with biases on q, k and v, and a window in the upper layers where one is asked for.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::llama;
use crate::config::{Fields, ModelConfig};
use crate::error::Result;

pub(super) const FAMILY: Family = Family {
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    read: |fields, config| {
        config.qkv_bias = true;
        read_window(fields, config)
    },
    write: write_window,
    ..llama::FAMILY
};

/// The window counts only with `use_sliding_window`, from layer `max_window_layers` on.
pub(super) fn read_window(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    if fields.flag("use_sliding_window")?.unwrap_or(false) {
        let first = fields.size("max_window_layers")?.unwrap_or(28);
        config.read_window(fields, |layer| layer >= first)?;
    }
    Ok(())
}

pub(super) fn write_window(config: &ModelConfig, map: &mut Map<String, Value>) {
    map.insert("use_sliding_window".into(), json!(config.sliding_window.is_some()));
    config.write_window(map);
}
