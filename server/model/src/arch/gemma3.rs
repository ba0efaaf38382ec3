//! Gemma 3, text only: Gemma 2 with norms on q and k instead of soft caps, and a second rotary base where the
//! window is.

use serde_json::json;

use super::family::{Family, LayerNorms};
use super::gemma2;
use crate::config::{Fields, ModelConfig, rope_fields};
use crate::error::Result;

pub(super) const FAMILY: Family = Family {
    model_type: "gemma3_text",
    class: "Gemma3ForCausalLM",
    norms: |_| LayerNorms { heads: Some(["self_attn.q_norm", "self_attn.k_norm"]), ..gemma2::NORMS },
    read,
    write: |config, map| {
        gemma2::write_caps(config, map);
        config.write_window(map);
        map.insert("rope_local_base_freq".into(), json!(config.rope_local_theta));
    },
    ..gemma2::FAMILY
};

fn read(fields: &Fields, config: &mut ModelConfig) -> Result<()> {
    gemma2::read_caps(fields, config)?;
    let older = fields.size("sliding_window_pattern")?;
    let pattern = older.or(fields.size("_sliding_window_pattern")?).unwrap_or(6);
    config.read_window(fields, |layer| !(layer + 1).is_multiple_of(pattern))?;
    let newer = match rope_fields(fields, "sliding_attention")? {
        Some(inner) if fields.get("rope_theta").is_none() => inner.number("rope_theta")?,
        _ => None,
    };
    config.rope_local_theta = Some(fields.number("rope_local_base_freq")?.or(newer).unwrap_or(10_000.0));
    Ok(())
}
