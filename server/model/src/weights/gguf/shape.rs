//! The shape of a model from the metadata of a GGUF file.

use std::collections::BTreeMap;

use super::reader::RawTensor;
use super::{GgufValue, broken};
use crate::config::{Architecture, ModelConfig, RopeScaling, longrope_factor, most_of};
use crate::error::Code;
use crate::error::{ModelError, Result};

/// llama.cpp's name and ours; Mistral goes as llama there.
const NAMES: [(&str, Architecture); 10] = [
    ("llama", Architecture::Llama),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("gemma2", Architecture::Gemma2),
    ("gemma3", Architecture::Gemma3),
    ("phi3", Architecture::Phi3),
    ("gpt2", Architecture::Gpt2),
    ("olmo2", Architecture::Olmo2),
    ("smollm3", Architecture::SmolLm3),
    ("granite", Architecture::Granite),
];

/// A table of frequency divisors, by its tensor's name.
pub(super) type Factors<'a> = &'a dyn Fn(&str) -> Result<Option<Vec<f64>>>;

struct Meta<'a> {
    all: &'a BTreeMap<String, GgufValue>,
    name: &'static str,
}

impl Meta<'_> {
    fn get(&self, key: &str) -> Option<&GgufValue> {
        self.all.get(&format!("{}.{key}", self.name))
    }

    /// A size, within what `field` of a config.json may be; 0 says that there is none.
    fn maybe(&self, key: &str, field: &str) -> Result<Option<usize>> {
        let Some(n) = self.get(key).and_then(GgufValue::as_u64) else { return Ok(None) };
        match most_of(field) {
            most if n > most => Err(ModelError::limit(&format!("{}.{key}", self.name), n, most)),
            _ => Ok(Some(n as usize).filter(|n| *n > 0)),
        }
    }

    fn size(&self, key: &str, field: &str) -> Result<usize> {
        self.maybe(key, field)?
            .ok_or_else(|| broken(format!("Metadata \"{}.{key}\" is missing or not a size.", self.name)))
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(GgufValue::as_f64).filter(|n| n.is_finite() && *n > 0.0)
    }

    fn id(&self, key: &str) -> Option<u32> {
        let value = self.all.get(&format!("tokenizer.ggml.{key}_token_id")).and_then(GgufValue::as_u64);
        value.and_then(|n| u32::try_from(n).ok())
    }
}

/// Fails for a file that holds something else than a model: an adapter, a projector of pictures, the importance of
/// weights.
fn be_a_model(metadata: &BTreeMap<String, GgufValue>) -> Result<()> {
    let text = |key: &str| metadata.get(key).and_then(GgufValue::as_str);
    let short = |text: &str| text.chars().take(100).collect::<String>();
    let Some(kind) = text("general.type").filter(|kind| *kind != "model").map(short) else { return Ok(()) };
    let base = text("general.base_model.0.name").map(short);
    let of = base.map(|base| format!(" for {base}")).unwrap_or_default();
    Err(ModelError::new(Code::GgufNoModel, format!("This GGUF file holds no model but “{kind}”{of}."))
        .with("kind", format!("{kind}{of}"))
        .hint("Choose the file with the model's weights."))
}

fn family(metadata: &BTreeMap<String, GgufValue>) -> Result<(&'static str, Architecture)> {
    let name = metadata.get("general.architecture").and_then(GgufValue::as_str).unwrap_or("unknown");
    NAMES.into_iter().find(|(theirs, _)| *theirs == name).ok_or_else(|| {
        let shown: String = name.chars().take(60).collect();
        ModelError::new(Code::ConfigArchitecture, format!("The GGUF file holds a \"{shown}\" model."))
            .with("name", &shown)
            .hint(format!("Supported: {}.", NAMES.map(|(name, _)| name).join(", ")))
    })
}

/// Shape of the model in a file with this header.
pub(super) fn config(
    metadata: &BTreeMap<String, GgufValue>,
    tensors: &[RawTensor],
    factors: Factors,
) -> Result<ModelConfig> {
    be_a_model(metadata)?;
    let (name, architecture) = family(metadata)?;
    let meta = Meta { all: metadata, name };
    let hidden_size = meta.size("embedding_length", "hidden_size")?;
    let heads = meta.size("attention.head_count", "num_attention_heads")?;
    let layers = meta.size("block_count", "num_hidden_layers")?;
    let embedding = tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
    let embedding = embedding.ok_or_else(|| broken("The file has no \"token_embd.weight\"."))?;
    let has = |name: &str| tensors.iter().any(|tensor| tensor.name == name);
    let eps = meta.number("attention.layer_norm_rms_epsilon");
    let mut config = ModelConfig {
        architecture,
        vocab_size: embedding.shape.last().copied().unwrap_or(0) as usize,
        hidden_size,
        intermediate_size: meta.size("feed_forward_length", "intermediate_size")?,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: meta.maybe("attention.head_count_kv", "num_key_value_heads")?.unwrap_or(heads),
        head_dim: meta.maybe("attention.key_length", "head_dim")?.unwrap_or(hidden_size / heads),
        rms_norm_eps: eps.or(meta.number("attention.layer_norm_epsilon")).unwrap_or(1e-5),
        rope_theta: meta.number("rope.freq_base").unwrap_or(10_000.0),
        tie_word_embeddings: architecture == Architecture::Gpt2 || !has("output.weight"),
        qkv_bias: has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias"),
        output_bias: has("blk.0.attn_output.bias"),
        mlp_bias: has("blk.0.ffn_up.bias"),
        windowed: vec![false; layers],
        max_position_embeddings: meta.maybe("context_length", "max_position_embeddings")?.unwrap_or(2048),
        dtype: Some("float32".to_owned()),
        bos_token_id: meta.id("bos"),
        eos_token_ids: meta.id("eos").into_iter().collect(),
        pad_token_id: meta.id("padding"),
        ..ModelConfig::default()
    };
    let rotated = meta.maybe("rope.dimension_count", "head_dim")?.unwrap_or(config.head_dim);
    if rotated != config.head_dim && architecture != Architecture::Gpt2 {
        let message = format!("Only {rotated} of {} elements of a head are rotated.", config.head_dim);
        return Err(ModelError::new(Code::ConfigRopeScaling, message).hint("Such models cannot be run yet."));
    }
    config.rope_scaling = scaling(&meta, &config, factors)?;
    particulars(&meta, &mut config)?;
    // The same checks as for a config.json.
    ModelConfig::from_json(config.to_json().to_string().as_bytes())
}

/// What only some families have.
fn particulars(meta: &Meta, config: &mut ModelConfig) -> Result<()> {
    let window = meta.maybe("attention.sliding_window", "sliding_window")?;
    let layers = config.num_hidden_layers;
    let windowed = |has: &dyn Fn(usize) -> bool| (0..layers).map(has).collect::<Vec<bool>>();
    // The file does not say: the largest of both families scale by the width per head.
    let largest = match config.architecture {
        Architecture::Gemma2 => layers == 46,
        Architecture::Gemma3 => layers == 62,
        _ => false,
    };
    let per_head = if largest { config.hidden_size / config.num_attention_heads } else { config.head_dim };
    match config.architecture {
        Architecture::Gemma2 => {
            config.query_pre_attn_scalar = Some(per_head as f64);
            config.attention_softcap = meta.number("attn_logit_softcapping");
            config.final_softcap = meta.number("final_logit_softcapping");
            (config.sliding_window, config.windowed) = (window, windowed(&|i| i.is_multiple_of(2)));
        }
        Architecture::Gemma3 => {
            config.query_pre_attn_scalar = Some(per_head as f64);
            config.attention_softcap = meta.number("attn_logit_softcapping");
            config.final_softcap = meta.number("final_logit_softcapping");
            config.rope_local_theta = Some(meta.number("rope.freq_base_swa").unwrap_or(10_000.0));
            (config.sliding_window, config.windowed) = (window, windowed(&|i| !(i + 1).is_multiple_of(6)));
        }
        Architecture::Phi3 => {
            (config.sliding_window, config.windowed) = (window, vec![window.is_some(); layers]);
        }
        // The file does not say: llama.cpp has this step for every file.
        Architecture::SmolLm3 => config.unrotated = windowed(&|i| (i + 1).is_multiple_of(4)),
        Architecture::Granite => {
            config.attention_multiplier = meta.number("attention.scale");
            config.embedding_multiplier = meta.number("embedding_scale").unwrap_or(1.0);
            config.residual_multiplier = meta.number("residual_scale").unwrap_or(1.0);
            config.logits_scaling = meta.number("logit_scale").unwrap_or(1.0);
        }
        _ => {}
    }
    if config.sliding_window.is_none() {
        config.windowed = vec![false; layers];
    }
    Ok(())
}

fn scaling(meta: &Meta, config: &ModelConfig, factors: Factors) -> Result<RopeScaling> {
    let (short, long) = (factors("rope_factors_short.weight")?, factors("rope_factors_long.weight")?);
    if let (Some(short), Some(long)) = (short, long) {
        let context = config.max_position_embeddings as f64;
        let original = meta.number("rope.scaling.original_context_length").unwrap_or(context);
        let given = meta.number("rope.scaling.attn_factor");
        let attention_factor = given.or_else(|| longrope_factor(context, original)).ok_or_else(|| {
            broken(format!("Metadata \"{}.rope.scaling.original_context_length\" is not a size.", meta.name))
        })?;
        return Ok(RopeScaling::LongRope { short, long, original, attention_factor });
    }
    if let Some(divisors) = factors("rope_freqs.weight")? {
        return llama3(config, &divisors);
    }
    let kind = meta.get("rope.scaling.type").and_then(GgufValue::as_str).unwrap_or("none");
    match (kind, meta.number("rope.scaling.factor")) {
        ("none", _) => Ok(RopeScaling::None),
        ("linear", Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (other, _) => Err(ModelError::new(
            Code::ConfigRopeScaling,
            format!(
                "The GGUF file stretches positions by \"{}\", which is not supported.",
                other.chars().take(60).collect::<String>()
            ),
        )
        .hint("Import the same model as a Hugging Face folder.")),
    }
}

/// The file holds divisors only; the rule they come from is found by trying the published constants.
fn llama3(config: &ModelConfig, divisors: &[f64]) -> Result<RopeScaling> {
    let factor = divisors.iter().copied().fold(1.0, f64::max).round();
    if factor == 1.0 {
        return Ok(RopeScaling::None);
    }
    let rule = RopeScaling::Llama3 { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original: 8192.0 };
    let plain = config.rope_frequencies();
    let stretched = ModelConfig { rope_scaling: rule.clone(), ..config.clone() }.rope_frequencies();
    let same = divisors.len() == plain.len()
        && plain.iter().zip(&stretched).zip(divisors).all(|((plain, stretched), divisor)| {
            (f64::from(*plain) / divisor / f64::from(*stretched) - 1.0).abs() < 1e-3
        });
    if same {
        return Ok(rule);
    }
    Err(ModelError::new(
        Code::ConfigRopeScaling,
        "The GGUF file stretches positions by a table that follows none of the published rules.",
    )
    .hint("Import the same model as a Hugging Face folder."))
}
