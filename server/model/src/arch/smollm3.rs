//! SmolLM3: Llama without positions in some layers, every fourth in published models.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::llama;
use crate::config::{Fields, ModelConfig, wrong};
use crate::error::Result;

pub(super) const FAMILY: Family =
    Family { model_type: "smollm3", class: "SmolLM3ForCausalLM", tied: true, read, write, ..llama::FAMILY };

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    llama::read(fields, config)?;
    config.unrotated = unrotated(fields, config.num_hidden_layers)?;
    // The window counts only with `use_sliding_window`, in layers without positions unless the file says which.
    if fields.flag("use_sliding_window")?.unwrap_or(false) {
        let unrotated = config.unrotated.clone();
        config.read_window(fields, |layer| unrotated.get(layer).copied().unwrap_or(false))?;
    }
    Ok(())
}

/// `no_rope_layers`, which has a 1 for layers with positions, else every `no_rope_layer_interval`-th.
fn unrotated(fields: &Fields, layers: usize) -> Result<Vec<bool>> {
    const NAME: &str = "no_rope_layers";
    let interval = fields.size("no_rope_layer_interval")?.unwrap_or(4);
    let Some(value) = fields.get(NAME).filter(|value| **value != json!([])) else {
        return Ok((0..layers).map(|layer| (layer + 1).is_multiple_of(interval)).collect());
    };
    let one = |value: &Value| match value.as_u64() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    };
    let list = value.as_array().filter(|list| list.len() == layers);
    let flags = list.and_then(|list| list.iter().map(one).collect::<Option<Vec<_>>>());
    flags.ok_or_else(|| wrong(NAME, value, "0 or 1 once for every layer"))
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    llama::write(config, map);
    let rotated = config.unrotated.iter().map(|unrotated| u8::from(!unrotated));
    map.insert("no_rope_layers".into(), rotated.collect());
    map.insert("use_sliding_window".into(), json!(config.sliding_window.is_some()));
    config.write_window(map);
}
