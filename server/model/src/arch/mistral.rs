//! Mistral: Llama with a sliding window in every layer.

use super::family::Family;
use super::llama;

pub(super) const FAMILY: Family = Family {
    model_type: "mistral",
    class: "MistralForCausalLM",
    read: |fields, config| config.read_window(fields, |_| true),
    write: |config, map| config.write_window(map),
    ..llama::FAMILY
};
