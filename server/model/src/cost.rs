//! Parameters, FLOPs and memory of a run before it is started. Estimates, f32 throughout.

use crate::config::ModelConfig;
use crate::lora::LoraConfig;
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

/// Weights of the linear maps of one layer.
fn linear_parameters(config: &ModelConfig) -> u64 {
    config.linears().iter().map(|linear| (linear.outer * linear.inner) as u64).sum()
}

/// Values in a model.
pub fn parameters(config: &ModelConfig) -> u64 {
    config.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

/// Values in an adapter.
pub fn lora_parameters(config: &ModelConfig, lora: &LoraConfig) -> u64 {
    let everything = lora.target_modules.iter().any(|name| name == "all-linear");
    let layers = lora.layers_to_transform.as_ref().map_or(config.num_hidden_layers, Vec::len) as u64;
    let ends = |name: &str, pattern: &str| name.rsplit('.').next() == pattern.rsplit('.').next();
    let per_layer: u64 = config
        .linears()
        .iter()
        .filter(|linear| everything || lora.target_modules.iter().any(|target| ends(linear.name, target)))
        .map(|linear| {
            let own = lora.rank_pattern.iter().find(|(pattern, _)| ends(linear.name, pattern));
            (own.map_or(lora.r, |(_, r)| *r) * (linear.outer + linear.inner)) as u64
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
