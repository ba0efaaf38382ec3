//! From `config.json` to a [`ModelConfig`].

use serde_json::{Map, Value};

use super::fields::{Fields, short};
use super::rope::{rope_fields, rope_scaling};
use super::{Architecture, ModelConfig, SUPPORTED};
use crate::error::Code;
use crate::error::{ModelError, Result};

fn architecture(map: &Map<String, Value>) -> Result<Architecture> {
    let name = map.get("model_type").and_then(Value::as_str).unwrap_or("unknown");
    Architecture::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
        let message = format!("config.json: model_type is \"{}\", which Burnish cannot run.", short(name));
        ModelError::new(Code::ConfigArchitecture, message)
            .with("name", short(name))
            .hint(format!("Supported: {}.", SUPPORTED.join(", ")))
    })
}

impl ModelConfig {
    /// Reads a `config.json`. Fails with the name of the field that is missing, wrong or not supported.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            ModelError::new(Code::ConfigBroken, format!("config.json is not JSON: {error}."))
                .with("why", error)
        })?;
        let map = value
            .as_object()
            .ok_or_else(|| ModelError::new(Code::ConfigBroken, "config.json must hold one object."))?;
        let architecture = architecture(map)?;
        Self::from_fields(architecture, &Fields::spelt(map, architecture.family().fields))
    }

    fn from_fields(architecture: Architecture, fields: &Fields) -> Result<Self> {
        let family = architecture.family();
        let hidden_size = fields.need("hidden_size")?;
        let heads = fields.need("num_attention_heads")?;
        let inner = match (fields.size("intermediate_size")?, family.inner_factor) {
            (Some(inner), _) => inner,
            (None, Some(factor)) => factor * hidden_size,
            (None, None) => fields.need("intermediate_size")?,
        };
        let layers = fields.need("num_hidden_layers")?;
        let mut config = Self {
            architecture,
            vocab_size: fields.need("vocab_size")?,
            hidden_size,
            intermediate_size: inner,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: fields.size("num_key_value_heads")?.unwrap_or(heads),
            head_dim: fields.size("head_dim")?.unwrap_or(hidden_size / heads),
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: rope_theta(fields)?.unwrap_or(10_000.0),
            tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(family.tied),
            windowed: vec![false; layers],
            max_position_embeddings: fields.size("max_position_embeddings")?.unwrap_or(2048),
            dtype: fields.text("torch_dtype").or_else(|| fields.text("dtype")).map(short),
            bos_token_id: fields.ids("bos_token_id")?.first().copied(),
            eos_token_ids: fields.ids("eos_token_id")?,
            pad_token_id: fields.ids("pad_token_id")?.first().copied(),
            initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
            ..Self::default()
        };
        config.check(fields)?;
        config.rope_scaling = rope_scaling(fields, &config)?;
        (family.read)(fields, &mut config)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(ModelError::new(
                Code::ConfigHeads,
                format!(
                    "config.json: num_attention_heads ({}) must be a multiple of num_key_value_heads ({}).",
                    self.num_attention_heads, self.num_key_value_heads
                ),
            ));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::new(
                Code::ConfigHeads,
                "config.json: the head size must be even and above 0.",
            ));
        }
        let family = self.architecture.family();
        match fields.text("hidden_act") {
            Some(act) if !family.activations.contains(&act) => Err(ModelError::new(
                Code::ConfigHiddenAct,
                format!(
                    "config.json: {} \"{}\" is not supported.",
                    fields.own_name("hidden_act"),
                    short(act)
                ),
            )
            .with("name", short(act))
            .hint(format!("Supported: {}.", family.activations.join(", ")))),
            _ => Ok(()),
        }
    }

    /// Reads `sliding_window` and which layers have it: `layer_types`, else `otherwise`.
    pub(crate) fn read_window(&mut self, fields: &Fields, otherwise: impl Fn(usize) -> bool) -> Result<()> {
        self.sliding_window = fields.size("sliding_window")?;
        if self.sliding_window.is_some() {
            let layers = self.num_hidden_layers;
            self.windowed = match fields.windowed(layers)? {
                Some(list) => list,
                None => (0..layers).map(otherwise).collect(),
            };
        }
        Ok(())
    }
}

fn rope_theta(fields: &Fields) -> Result<Option<f64>> {
    if let Some(theta) = fields.number("rope_theta")? {
        return Ok(Some(theta));
    }
    match rope_fields(fields, "full_attention")? {
        Some(inner) => inner.number("rope_theta"),
        None => Ok(None),
    }
}
