//! From `config.json` to a [`ModelConfig`].

use serde_json::{Map, Value, json};

use super::fields::{Fields, short, wrong};
use super::rope::{rope_fields, rope_scaling};
use super::{Architecture, ModelConfig, RopeScaling, SUPPORTED};
use crate::error::Code;
use crate::error::{ModelError, Result};

fn architecture(map: &Map<String, Value>) -> Result<Architecture> {
    let class = map.get("architectures").and_then(Value::as_array).and_then(|all| all.first());
    let class = class.and_then(Value::as_str).unwrap_or("unknown");
    let name = map.get("model_type").and_then(Value::as_str);
    let found = match name {
        Some(name) => Architecture::ALL.into_iter().find(|one| one.family().is_type(name)),
        // Code that came with a model may have written no type.
        None => Architecture::ALL.into_iter().find(|one| one.family().is_class(class)),
    };
    found.ok_or_else(|| {
        let name = name.unwrap_or(class);
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
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(family.eps),
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
        config.partial_rotary_factor = partial_rotary_factor(fields, &config)?;
        (family.read)(fields, &mut config)?;
        if config.has_rotary() {
            match rope_scaling(fields, &config)? {
                RopeScaling::None => {}
                stretched => config.rope_scaling = stretched,
            }
        }
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

/// The share of a head that is rotated, as old and new files name it. Families that rotate all of it have none.
fn partial_rotary_factor(fields: &Fields, config: &ModelConfig) -> Result<Option<f64>> {
    const NAME: &str = "partial_rotary_factor";
    let newer = rope_fields(fields, "full_attention")?.map(|inner| inner.number(NAME)).transpose()?.flatten();
    let share = fields.number(NAME)?.or(newer);
    let refused = |share: f64, expected: &str| Err(wrong(NAME, &json!(share), expected));
    match (config.architecture.family().rotated, share) {
        (None, None | Some(1.0)) => Ok(None),
        (None, Some(share)) => refused(share, "1: all of a head is rotated"),
        (Some(usual), share) => {
            let share = share.unwrap_or(usual);
            let partly = ModelConfig { partial_rotary_factor: Some(share), ..config.clone() }.rotary_dim();
            match partly {
                0 => refused(share, "at least two elements of a head"),
                odd if odd % 2 == 1 => refused(share, "an even number of elements of a head"),
                all if all > config.head_dim => refused(share, "at most 1"),
                _ => Ok(Some(share)),
            }
        }
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
