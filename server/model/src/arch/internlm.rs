//! InternLM of the first generation, Llama with biases on q, k, v and the output, and Aquila, which is Llama by another
//! name.

use serde_json::{Map, Value, json};

use super::family::Family;
use super::llama;
use crate::config::{Fields, ModelConfig, RopeScaling, wrong};
use crate::error::Result;

pub(super) const AQUILA: Family = Family {
    model_type: "aquila",
    class: "AquilaForCausalLM",
    older_classes: &["AquilaModel"],
    ..llama::FAMILY
};

pub(super) const FAMILY: Family =
    Family { model_type: "internlm", class: "InternLMForCausalLM", read, write, ..llama::FAMILY };

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    // Its own code has biases unless told otherwise.
    config.qkv_bias = fields.flag("bias")?.unwrap_or(true);
    config.output_bias = config.qkv_bias;
    let Some(value) = fields.get("rotary") else { return Ok(()) };
    let map = value.as_object().ok_or_else(|| wrong("rotary", value, "an object or null"))?;
    let rotary = Fields::new(map);
    config.rope_theta = rotary.number("base")?.unwrap_or(config.rope_theta);
    config.rope_scaling = match rotary.text("type").unwrap_or("origin") {
        "origin" => RopeScaling::None,
        "dynamic" => RopeScaling::Dynamic,
        other => return Err(wrong("rotary.type", &json!(other), "origin or dynamic")),
    };
    Ok(())
}

fn write(config: &ModelConfig, map: &mut Map<String, Value>) {
    map.insert("bias".into(), json!(config.qkv_bias));
    let kind = if config.rope_scaling == RopeScaling::Dynamic { "dynamic" } else { "origin" };
    map.insert("rotary".into(), json!({ "base": config.rope_theta, "type": kind }));
}
