//! From a [`ModelConfig`] back to `config.json`.

use serde_json::{Map, Value, json};

use super::{ModelConfig, rope};

impl ModelConfig {
    /// The same as a `config.json` that transformers reads.
    pub fn to_json(&self) -> Value {
        let family = self.architecture.family();
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let value = json!({
            "architectures": [family.class], "model_type": family.model_type, "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size, "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers, "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads, "head_dim": self.head_dim,
            "hidden_act": family.activations[0], "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta, "rope_scaling": rope::to_json(&self.rope_scaling),
            "tie_word_embeddings": self.tie_word_embeddings,
            "max_position_embeddings": self.max_position_embeddings,
            "initializer_range": self.initializer_range,
            "torch_dtype": self.dtype.as_deref().unwrap_or("float32"),
            "bos_token_id": self.bos_token_id, "eos_token_id": eos, "pad_token_id": self.pad_token_id,
        });
        let Value::Object(mut map) = value else { return value };
        (family.write)(self, &mut map);
        Value::Object(spelt(map, family.fields))
    }

    /// `sliding_window` and `layer_types`.
    pub(crate) fn write_window(&self, map: &mut Map<String, Value>) {
        let kind = |windowed: &bool| if *windowed { "sliding_attention" } else { "full_attention" };
        map.insert("sliding_window".into(), json!(self.sliding_window));
        let windowed = (0..self.num_hidden_layers).map(|i| self.windowed.get(i).unwrap_or(&false));
        map.insert("layer_types".into(), windowed.map(kind).collect());
    }
}

/// Fields under the names a family gives them.
fn spelt(map: Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    let own = |name: String| match names.iter().find(|(usual, _)| *usual == name) {
        Some((_, own)) => (*own).to_owned(),
        None => name,
    };
    map.into_iter().map(|(name, value)| (own(name), value)).collect()
}
