//! Parameters, FLOPs and memory of a run before it is started. Estimates, f32 throughout.

use crate::config::ModelConfig;
use crate::lora::{LoraConfig, TARGETS};
use crate::train::Method;

/// What training would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Values in the base model.
    pub parameters: u64,
    /// Values that training changes.
    pub trainable: u64,
    /// Floating-point operations of one optimizer step.
    pub flops_per_step: u64,
    /// Base weights and adapter, bytes.
    pub weight_bytes: u64,
    /// Gradients and both AdamW moments, bytes.
    pub optimizer_bytes: u64,
    /// Activations kept for the backward pass and the largest block of logits, bytes.
    pub activation_bytes: u64,
}

impl Cost {
    /// All memory together, bytes.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes + self.optimizer_bytes + self.activation_bytes
    }
}

/// Output and input width of a linear map.
fn linear_shape(config: &ModelConfig, target: &str) -> (u64, u64) {
    let (d, wide, narrow) = (config.hidden_size, config.query_width(), config.key_width());
    let inner = config.intermediate_size;
    let (outer, inner) = match target {
        "q_proj" => (wide, d),
        "k_proj" | "v_proj" => (narrow, d),
        "o_proj" => (d, wide),
        "down_proj" => (d, inner),
        _ => (inner, d),
    };
    (outer as u64, inner as u64)
}

fn linear_parameters(config: &ModelConfig) -> u64 {
    TARGETS.iter().map(|target| linear_shape(config, target)).map(|(outer, inner)| outer * inner).sum()
}

/// Values in a model.
pub fn parameters(config: &ModelConfig) -> u64 {
    let (d, vocab) = (config.hidden_size as u64, config.vocab_size as u64);
    let (wide, narrow, inner) =
        (config.query_width() as u64, config.key_width() as u64, config.intermediate_size as u64);
    let bias = u64::from(config.qkv_bias) * (wide + 2 * narrow)
        + u64::from(config.output_bias) * d
        + u64::from(config.mlp_bias) * (2 * inner + d);
    let layer = linear_parameters(config) + bias + 2 * d;
    let tables = if config.tie_word_embeddings { 1 } else { 2 };
    config.num_hidden_layers as u64 * layer + tables * vocab * d + d
}

/// Values in an adapter.
pub fn lora_parameters(config: &ModelConfig, lora: &LoraConfig) -> u64 {
    let everything = lora.target_modules.iter().any(|name| name == "all-linear");
    let layers = lora.layers_to_transform.as_ref().map_or(config.num_hidden_layers, Vec::len) as u64;
    let on = |target: &&&str| everything || lora.target_modules.iter().any(|name| name.ends_with(**target));
    let per_layer: u64 = TARGETS
        .iter()
        .filter(on)
        .map(|target| {
            let (outer, inner) = linear_shape(config, target);
            let r = lora.rank_pattern.get(*target).copied().unwrap_or(lora.r) as u64;
            r * (outer + inner)
        })
        .sum();
    layers * per_layer
}

/// Estimates one optimizer step of `micro_batches` batches of `rows` rows of `length` tokens.
pub fn estimate(
    config: &ModelConfig,
    method: &Method,
    rows: usize,
    length: usize,
    micro_batches: usize,
) -> Cost {
    let parameters = parameters(config);
    let linear = linear_parameters(config) * config.num_hidden_layers as u64;
    let head = (config.vocab_size * config.hidden_size) as u64;
    let (trainable, added, passes) = match method {
        Method::Full => (parameters, 0, 3),
        Method::Lora(lora) => (lora_parameters(config, lora), lora_parameters(config, lora), 2),
        Method::LoadedLora | Method::Freeze(_) => (linear / config.num_hidden_layers as u64, 0, 2),
    };
    let tokens = (rows * length) as u64;
    let attention = 2 * (config.num_hidden_layers * config.query_width() * length) as u64;
    let per_token = 2 * passes * (linear + head + attention) + 6 * added;
    let kept = 3 * config.hidden_size
        + 2 * config.query_width()
        + 2 * config.key_width()
        + 2 * config.intermediate_size;
    let logits = (tokens * config.vocab_size as u64).min(1 << 24);
    Cost {
        parameters,
        trainable,
        flops_per_step: per_token * tokens * micro_batches as u64,
        weight_bytes: 4 * (parameters + added),
        optimizer_bytes: 12 * trainable,
        activation_bytes: 4 * (tokens * (kept * config.num_hidden_layers) as u64 + logits),
    }
}
