//! Generation settings: defaults and bounds (S-042), written once.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationSettings {
    /// Draw from the distribution; false: always the likeliest token (greedy).
    pub do_sample: bool,
    /// Divides the logits; 0.01 to 2.
    pub temperature: f64,
    /// Keep the likeliest tokens whose probabilities sum to this; 0.01 to 1 (1: all).
    pub top_p: f64,
    /// Keep this many tokens; 0: all.
    pub top_k: u32,
    /// Longest answer in tokens; 1 to 2048.
    pub max_new_tokens: u32,
    /// Above 1: tokens already said become less likely; 0.5 to 2.
    pub repetition_penalty: f64,
    /// Seed of the draw; `None`: a new one each time.
    pub seed: Option<u64>,
}

impl Default for GenerationSettings {
    fn default() -> Self {
        Self {
            do_sample: true,
            temperature: 0.95,
            top_p: 0.7,
            top_k: 50,
            max_new_tokens: 256,
            repetition_penalty: 1.0,
            seed: None,
        }
    }
}

impl GenerationSettings {
    /// Every setting that is out of bounds.
    pub fn problems(&self) -> Vec<Problem> {
        let out = |key: &str, low: f64, high: f64| {
            Problem::new("form.out_of_range", format!("{key} must lie between {low} and {high}.")).field(key)
        };
        let mut problems = Vec::new();
        let mut bound = |key: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                problems.push(out(key, low, high));
            }
        };
        bound("temperature", self.temperature, 0.01, 2.0);
        bound("top_p", self.top_p, 0.01, 1.0);
        bound("top_k", f64::from(self.top_k), 0.0, 1000.0);
        bound("max_new_tokens", f64::from(self.max_new_tokens), 1.0, 2048.0);
        bound("repetition_penalty", self.repetition_penalty, 0.5, 2.0);
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_bounds_and_nan_is_not() {
        assert!(GenerationSettings::default().problems().is_empty());
        let broken = GenerationSettings { temperature: f64::NAN, ..Default::default() };
        assert_eq!(broken.problems()[0].form_key(), Some("temperature"));
    }
}
