//! Rotary frequencies and the rules that stretch them for long contexts.

use serde_json::{Value, json};

use super::fields::{Fields, short, wrong};
use super::{Architecture, ModelConfig};
use crate::error::Code;
use crate::error::{ModelError, Result};

/// How rotary frequencies are stretched for contexts longer than the original one.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// Unchanged.
    #[default]
    None,
    /// All frequencies divided by the factor.
    Linear {
        /// How many times longer the context becomes.
        factor: f64,
    },
    /// Llama 3.1's rule: low frequencies divided, high ones kept, those between blended.
    Llama3 {
        /// How many times longer the context becomes.
        factor: f64,
        /// Wave lengths above `original / low_freq_factor` are stretched.
        low_freq_factor: f64,
        /// Wave lengths below `original / high_freq_factor` stay.
        high_freq_factor: f64,
        /// Context length before stretching, tokens.
        original: f64,
    },
    /// Phi-3's rule (LongRoPE, arXiv 2402.13753): a divisor per frequency, another set for texts longer than
    /// the original context; cosines and sines are scaled.
    LongRope {
        /// Divisors within the original context, one per pair.
        short: Vec<f64>,
        /// Divisors beyond it.
        long: Vec<f64>,
        /// Context length before stretching, tokens.
        original: f64,
        /// Factor on cosines and sines.
        attention_factor: f64,
    },
    /// The base grows with texts longer than the original context (InternLM's `dynamic`).
    Dynamic,
}

/// The object that holds rope settings, as old and new files name it; newer Gemma files have one per layer type.
pub(crate) fn rope_fields<'a>(fields: &Fields<'a>, layer_type: &str) -> Result<Option<Fields<'a>>> {
    let value = fields.get("rope_scaling").or_else(|| fields.get("rope_parameters"));
    let Some(value) = value else { return Ok(None) };
    let map = value.as_object().ok_or_else(|| wrong("rope_scaling", value, "an object or null"))?;
    let inner = map.get(layer_type).and_then(Value::as_object);
    Ok(Some(Fields::new(inner.unwrap_or(map))))
}

/// Factor on cosines and sines by LongRoPE's rule, for a context of `context` tokens that was one of `original` before it
/// was stretched; `None` where the rule gives no number.
pub(crate) fn longrope_factor(context: f64, original: f64) -> Option<f64> {
    let longer = context / original;
    let factor = if longer > 1.0 { (1.0 + longer.ln() / original.ln()).sqrt() } else { 1.0 };
    Some(factor).filter(|factor| factor.is_finite())
}

/// Reads `rope_scaling`; `config` has everything else already.
pub(super) fn rope_scaling(fields: &Fields, config: &ModelConfig) -> Result<RopeScaling> {
    let Some(inner) = rope_fields(fields, "full_attention")? else { return Ok(RopeScaling::None) };
    let kind = inner.text("rope_type").or_else(|| inner.text("type")).unwrap_or("default");
    let lacks = |name: &str| {
        ModelError::new(Code::ConfigMissing, format!("config.json: rope_scaling lacks \"{name}\"."))
            .with("name", format!("rope_scaling.{name}"))
    };
    let need = |name: &str| inner.number(name)?.ok_or_else(|| lacks(name));
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: need("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original: need("original_max_position_embeddings")?,
        }),
        "longrope" | "su" if config.architecture == Architecture::Phi3 => {
            let list = |name: &str| {
                let list = inner.numbers(name)?.ok_or_else(|| lacks(name))?;
                if list.len() == config.head_dim / 2 {
                    Ok(list)
                } else {
                    let wanted = format!("one number per pair of a head ({})", config.head_dim / 2);
                    Err(wrong(name, &json!(list.len()), &wanted))
                }
            };
            let named = fields.number("original_max_position_embeddings")?;
            let original = match named.or(inner.number("original_max_position_embeddings")?) {
                Some(original) => original,
                None => config.max_position_embeddings as f64,
            };
            let rule = longrope_factor(config.max_position_embeddings as f64, original);
            let attention_factor = match inner.number("attention_factor")?.or(rule) {
                Some(factor) => factor,
                None => {
                    return Err(wrong(
                        "original_max_position_embeddings",
                        &json!(original),
                        "a number above 1",
                    ));
                }
            };
            Ok(RopeScaling::LongRope {
                short: list("short_factor")?,
                long: list("long_factor")?,
                original,
                attention_factor,
            })
        }
        other => Err(ModelError::new(
            Code::ConfigRopeScaling,
            format!("config.json: rope_scaling of type \"{}\" is not supported.", short(other)),
        )
        .hint("Supported: default, linear, llama3; longrope for phi3.")),
    }
}

/// As `config.json` says it.
pub(super) fn to_json(scaling: &RopeScaling) -> Value {
    match scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor, "original_max_position_embeddings": *original as u64,
        }),
        RopeScaling::LongRope { short, long, attention_factor, .. } => json!({
            "rope_type": "longrope", "type": "longrope", "short_factor": short, "long_factor": long,
            "attention_factor": attention_factor,
        }),
        // InternLM's own field says it.
        RopeScaling::Dynamic => Value::Null,
    }
}

impl ModelConfig {
    /// Rotary frequencies, one per pair of elements of a head: radians per position.
    pub fn rope_frequencies(&self) -> Vec<f32> {
        self.frequencies(self.rope_theta, &self.rope_scaling, false)
    }

    /// The same for texts longer than the original context, where they differ.
    pub(crate) fn long_frequencies(&self) -> Option<Vec<f32>> {
        let long = matches!(self.rope_scaling, RopeScaling::LongRope { .. });
        long.then(|| self.frequencies(self.rope_theta, &self.rope_scaling, true))
    }

    /// The same for a text of `length` tokens, where the base grows with its length.
    pub(crate) fn dynamic_frequencies(&self, length: usize) -> Option<Vec<f32>> {
        let longer = length as f64 / self.max_position_embeddings as f64;
        if self.rope_scaling != RopeScaling::Dynamic || longer <= 1.0 {
            return None;
        }
        let rotated = self.rotary_dim() as f64;
        let theta = self.rope_theta * longer.powf(rotated / (rotated - 2.0));
        Some(self.frequencies(theta, &RopeScaling::None, false))
    }

    /// The same for layers with a window, where they differ.
    pub(crate) fn local_frequencies(&self) -> Option<Vec<f32>> {
        self.rope_local_theta.map(|theta| self.frequencies(theta, &RopeScaling::None, false))
    }

    fn frequencies(&self, theta: f64, scaling: &RopeScaling, long: bool) -> Vec<f32> {
        let rotated = self.rotary_dim();
        let pair = |i: usize| {
            let plain = theta.powf(-(2.0 * i as f64) / rotated as f64);
            stretch(plain, scaling, i, long) as f32
        };
        (0..rotated / 2).map(pair).collect()
    }
}

fn stretch(frequency: f64, scaling: &RopeScaling, pair: usize, beyond: bool) -> f64 {
    match scaling {
        RopeScaling::None | RopeScaling::Dynamic => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
            let wavelength = std::f64::consts::TAU / frequency;
            if wavelength > original / low_freq_factor {
                frequency / factor
            } else if wavelength < original / high_freq_factor {
                frequency
            } else {
                let smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
        RopeScaling::LongRope { short, long, .. } => {
            let divisors = if beyond { long } else { short };
            frequency / divisors.get(pair).copied().unwrap_or(1.0)
        }
    }
}
