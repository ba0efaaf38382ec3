//! The shape of a model, read from a Hugging Face `config.json`.

use serde_json::{Map, Value, json};

use crate::error::{ModelError, Result};

/// Architectures this package can run.
pub const SUPPORTED: [&str; 2] = ["llama", "qwen2"];

/// Largest value accepted for any dimension of a model.
const MAX_DIM: u64 = 1 << 24;

/// Which family a model belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`.
    Llama,
    /// `Qwen2ForCausalLM`: as Llama, with biases on q, k and v.
    Qwen2,
}

/// How rotary frequencies are stretched for contexts longer than the original one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Unchanged.
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
}

/// Shape and constants of a decoder-only model. Sizes are element counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Family.
    pub architecture: Architecture,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward part.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretching of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// Bias on the attention's output (Llama's `attention_bias`).
    pub output_bias: bool,
    /// Biases in the feed-forward part (Llama's `mlp_bias`).
    pub mlp_bias: bool,
    /// Longest sequence the model was trained for, tokens.
    pub max_position_embeddings: usize,
    /// Number format the weights were stored in (`torch_dtype` or `dtype`).
    pub dtype: Option<String>,
    /// Token that begins a text.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
    /// Token used for padding.
    pub pad_token_id: Option<u32>,
    /// Deviation of freshly drawn weights.
    pub initializer_range: f64,
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=MAX_DIM).contains(&n) => Ok(Some(n as usize)),
            _ => Err(wrong(name, value, "a whole number between 1 and 16777216")),
        }
    }

    fn need(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| {
            ModelError::new("config.missing", format!("config.json lacks \"{name}\"."))
                .hint("Take the config.json that was published with the weights.")
        })
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64() {
            Some(n) if n.is_finite() && n > 0.0 => Ok(Some(n)),
            _ => Err(wrong(name, value, "a number above 0")),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, value, "true or false"))
    }

    fn ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let one = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        match value {
            Value::Array(list) => list.iter().map(one).collect::<Option<Vec<u32>>>(),
            other => one(other).map(|id| vec![id]),
        }
        .ok_or_else(|| wrong(name, value, "a token id or a list of them"))
    }
}

fn wrong(name: &str, value: &Value, expected: &str) -> ModelError {
    let mut shown = value.to_string();
    if shown.chars().count() > 60 {
        shown = shown.chars().take(60).collect::<String>() + "…";
    }
    ModelError::new("config.value", format!("config.json: \"{name}\" is {shown}; expected {expected}."))
}

fn architecture(fields: &Fields) -> Result<Architecture> {
    let name = fields.get("model_type").and_then(Value::as_str).unwrap_or("unknown");
    match name {
        "llama" => Ok(Architecture::Llama),
        "qwen2" => Ok(Architecture::Qwen2),
        other => Err(ModelError::new(
            "config.architecture",
            format!("config.json: model_type is \"{}\", which Burnish cannot run.", short(other)),
        )
        .hint(format!("Supported: {}.", SUPPORTED.join(", ")))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn rope_scaling(fields: &Fields) -> Result<RopeScaling> {
    let value = fields.get("rope_scaling").or_else(|| fields.get("rope_parameters"));
    let Some(value) = value else { return Ok(RopeScaling::None) };
    let map = value.as_object().ok_or_else(|| wrong("rope_scaling", value, "an object or null"))?;
    let inner = Fields(map);
    let kind =
        inner.get("rope_type").or_else(|| inner.get("type")).and_then(Value::as_str).unwrap_or("default");
    let need = |name: &str| {
        inner.number(name)?.ok_or_else(|| {
            ModelError::new("config.missing", format!("config.json: rope_scaling lacks \"{name}\"."))
        })
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: need("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original: need("original_max_position_embeddings")?,
        }),
        other => Err(ModelError::new(
            "config.rope_scaling",
            format!("config.json: rope_scaling of type \"{}\" is not supported.", short(other)),
        )
        .hint("Supported: default, linear, llama3.")),
    }
}

impl ModelConfig {
    /// Reads a `config.json`. Fails with the name of the field that is missing, wrong or not supported.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ModelError::new("config.json", format!("config.json is not JSON: {error}.")))?;
        let map = value
            .as_object()
            .ok_or_else(|| ModelError::new("config.json", "config.json must hold one object."))?;
        Self::from_map(&Fields(map))
    }

    fn from_map(fields: &Fields) -> Result<Self> {
        let architecture = architecture(fields)?;
        let hidden_size = fields.need("hidden_size")?;
        let heads = fields.need("num_attention_heads")?;
        let bias = fields.flag("attention_bias")?.unwrap_or(false);
        let head_dim = fields.size("head_dim")?.unwrap_or(hidden_size / heads);
        let rope = fields.get("rope_parameters").and_then(Value::as_object);
        let theta = match (fields.number("rope_theta")?, rope) {
            (Some(theta), _) => Some(theta),
            (None, Some(map)) => Fields(map).number("rope_theta")?,
            (None, None) => None,
        };
        let config = Self {
            architecture,
            vocab_size: fields.need("vocab_size")?,
            hidden_size,
            intermediate_size: fields.need("intermediate_size")?,
            num_hidden_layers: fields.need("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads: fields.size("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: theta.unwrap_or(10_000.0),
            rope_scaling: rope_scaling(fields)?,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: architecture == Architecture::Qwen2 || bias,
            output_bias: architecture == Architecture::Llama && bias,
            mlp_bias: fields.flag("mlp_bias")?.unwrap_or(false),
            max_position_embeddings: fields.size("max_position_embeddings")?.unwrap_or(2048),
            dtype: fields
                .get("torch_dtype")
                .or_else(|| fields.get("dtype"))
                .and_then(Value::as_str)
                .map(short),
            bos_token_id: fields.ids("bos_token_id")?.first().copied(),
            eos_token_ids: fields.ids("eos_token_id")?,
            pad_token_id: fields.ids("pad_token_id")?.first().copied(),
            initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
        };
        config.check(fields)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields) -> Result<()> {
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(ModelError::new(
                "config.heads",
                format!(
                    "config.json: num_attention_heads ({}) must be a multiple of num_key_value_heads ({}).",
                    self.num_attention_heads, self.num_key_value_heads
                ),
            ));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::new(
                "config.heads",
                "config.json: the head size must be even and above 0.",
            ));
        }
        if let Some(act) = fields.get("hidden_act").and_then(Value::as_str)
            && act != "silu"
        {
            return Err(ModelError::new(
                "config.hidden_act",
                format!("config.json: hidden_act \"{}\" is not supported.", short(act)),
            )
            .hint("Supported: silu."));
        }
        if fields.flag("use_sliding_window")?.unwrap_or(false) {
            return Err(ModelError::new(
                "config.sliding_window",
                "config.json: use_sliding_window is true; sliding windows are not supported.",
            ));
        }
        Ok(())
    }

    /// The same as a `config.json` that transformers reads.
    pub fn to_json(&self) -> Value {
        let (class, kind) = match self.architecture {
            Architecture::Llama => ("LlamaForCausalLM", "llama"),
            Architecture::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        };
        let scaling = match self.rope_scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor, "original_max_position_embeddings": original as u64,
            }),
        };
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        json!({
            "architectures": [class], "model_type": kind, "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size, "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers, "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads, "head_dim": self.head_dim, "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps, "rope_theta": self.rope_theta, "rope_scaling": scaling,
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": self.architecture == Architecture::Llama && self.qkv_bias,
            "mlp_bias": self.mlp_bias, "max_position_embeddings": self.max_position_embeddings,
            "initializer_range": self.initializer_range,
            "torch_dtype": self.dtype.as_deref().unwrap_or("float32"),
            "bos_token_id": self.bos_token_id, "eos_token_id": eos, "pad_token_id": self.pad_token_id,
        })
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Rotary frequencies, one per pair of elements of a head: radians per position.
    pub fn rope_frequencies(&self) -> Vec<f32> {
        let d = self.head_dim as f64;
        (0..self.head_dim / 2)
            .map(|i| {
                let plain = 1.0 / self.rope_theta.powf(2.0 * i as f64 / d);
                stretch(plain, self.rope_scaling) as f32
            })
            .collect()
    }
}

fn stretch(frequency: f64, scaling: RopeScaling) -> f64 {
    match scaling {
        RopeScaling::None => frequency,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Value {
        json!({ "model_type": "qwen2", "vocab_size": 32, "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "dtype": "bfloat16",
            "eos_token_id": [3, 4] })
    }

    fn read(value: &Value) -> Result<ModelConfig> {
        ModelConfig::from_json(value.to_string().as_bytes())
    }

    #[test]
    fn survives_a_round_trip() {
        let config = read(&base()).unwrap();
        assert_eq!((config.head_dim, config.qkv_bias, config.output_bias), (4, true, false));
        assert_eq!(config.eos_token_ids, [3, 4]);
        assert_eq!(read(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn names_what_is_wrong() {
        let mut value = base();
        value["model_type"] = json!("mamba");
        let error = read(&value).unwrap_err().to_string();
        assert!(error.contains("mamba") && error.contains("llama, qwen2"), "{error}");
        let mut value = base();
        value["hidden_size"] = json!(-1);
        assert!(read(&value).unwrap_err().to_string().contains("hidden_size"));
        let mut value = base();
        value["num_key_value_heads"] = json!(3);
        assert_eq!(read(&value).unwrap_err().code, "config.heads");
        value = base();
        value["rope_scaling"] = json!({ "type": "yarn", "factor": 2.0 });
        assert!(read(&value).unwrap_err().to_string().contains("yarn"));
        assert_eq!(ModelConfig::from_json(b"[").unwrap_err().code, "config.json");
    }
}
