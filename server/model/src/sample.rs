//! From logits to a token: repetition penalty, temperature, top-k, top-p, min-p, then a draw.

use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::rng::Rng;

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingConfig {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f32,
    /// Only this many of the likeliest tokens (ties included); 0 = off.
    pub top_k: usize,
    /// Only the likeliest tokens whose probabilities sum to this; 1 = off.
    pub top_p: f32,
    /// Only tokens at least this share as likely as the likeliest; 0 = off.
    pub min_p: f32,
    /// Makes tokens that occurred less likely (above 1) or more likely (below 1); 1 = off.
    pub repetition_penalty: f32,
    /// Seed of the draws.
    pub seed: u64,
    /// Most tokens generated.
    pub max_new_tokens: usize,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 0.95,
            top_k: 50,
            top_p: 0.7,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
            max_new_tokens: 512,
        }
    }
}

impl SamplingConfig {
    /// Always the most likely token.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, max_new_tokens, ..Self::default() }
    }

    /// Checks every field; names the one that is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(ModelError::new(Code::GenerationSetting, what.to_owned()));
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong("temperature must be 0 or more.");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p must be above 0 and at most 1.");
        }
        if !(0.0..1.0).contains(&self.min_p) {
            return wrong("min_p must be at least 0 and below 1.");
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return wrong("repetition_penalty must be above 0.");
        }
        Ok(())
    }
}

/// Applies the penalty and all filters in order; removed tokens become negative infinity.
pub fn filter(logits: &mut [f32], history: &[u32], config: &SamplingConfig) {
    penalise(logits, history, config.repetition_penalty);
    if config.temperature > 0.0 && config.temperature != 1.0 {
        logits.iter_mut().for_each(|x| *x /= config.temperature);
    }
    keep_top_k(logits, config.top_k);
    keep_top_p(logits, config.top_p);
    keep_min_p(logits, config.min_p);
}

/// Repetition penalty: what occurred becomes less likely (penalty above 1).
pub(crate) fn penalise(logits: &mut [f32], history: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut seen = history.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(x) = logits.get_mut(id as usize) {
            *x = if *x < 0.0 { *x * penalty } else { *x / penalty };
        }
    }
}

fn keep_top_k(logits: &mut [f32], k: usize) {
    if k == 0 || k >= logits.len() {
        return;
    }
    let mut sorted = logits.to_vec();
    let (_, bar, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let bar = *bar;
    logits.iter_mut().filter(|x| **x < bar).for_each(|x| *x = f32::NEG_INFINITY);
}

/// Probabilities of logits.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut p: Vec<f32> = logits.iter().map(|x| (x - top).exp()).collect();
    let total: f32 = p.iter().sum();
    p.iter_mut().for_each(|x| *x /= total);
    p
}

/// Logarithms of the probabilities of logits.
pub fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = logits.iter().map(|x| (x - top).exp()).sum();
    let norm = top + total.ln();
    logits.iter().map(|x| x - norm).collect()
}

/// As transformers: sorted upwards, tokens go while the sum of their probabilities stays within `1 - p`.
fn keep_top_p(logits: &mut [f32], p: f32) {
    if p >= 1.0 {
        return;
    }
    let probabilities = softmax(logits);
    let mut order: Vec<usize> = (0..logits.len()).filter(|i| logits[*i] > f32::NEG_INFINITY).collect();
    // Of equals the first stays longest.
    order.sort_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)));
    let mut sum = 0.0f32;
    let keep_at_least = order.len().saturating_sub(1);
    for &i in &order[..keep_at_least] {
        sum += probabilities[i];
        if sum > 1.0 - p {
            break;
        }
        logits[i] = f32::NEG_INFINITY;
    }
}

fn keep_min_p(logits: &mut [f32], p: f32) {
    if p <= 0.0 {
        return;
    }
    let probabilities = softmax(logits);
    let bar = probabilities.iter().copied().fold(0.0, f32::max) * p;
    for (x, q) in logits.iter_mut().zip(&probabilities) {
        if *q < bar {
            *x = f32::NEG_INFINITY;
        }
    }
}

/// The first of the highest.
pub fn arg_max(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, x) in logits.iter().enumerate() {
        if *x > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// Chooses the next token; `history` is prompt and answer so far.
pub fn choose(logits: &mut [f32], history: &[u32], config: &SamplingConfig, rng: &mut Rng) -> u32 {
    if config.temperature == 0.0 {
        penalise(logits, history, config.repetition_penalty);
        return arg_max(logits);
    }
    filter(logits, history, config);
    let probabilities = softmax(logits);
    let mut left = rng.uniform() as f32;
    for (i, p) in probabilities.iter().enumerate() {
        left -= p;
        if left < 0.0 {
            return i as u32;
        }
    }
    arg_max(logits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_stay_in_top_k_and_draws_follow_the_seed() {
        let mut logits = [1.0, 3.0, 3.0, 0.0];
        keep_top_k(&mut logits, 1);
        assert_eq!(logits.iter().filter(|x| x.is_finite()).count(), 2);
        let config = SamplingConfig { top_k: 0, top_p: 1.0, temperature: 1.0, ..SamplingConfig::default() };
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..20).map(|_| choose(&mut [0.0, 0.5, 1.0], &[], &config, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert!(draw(3).contains(&0) && draw(3).contains(&2));
        assert!(SamplingConfig { top_p: 0.0, ..config }.check().unwrap_err().to_string().contains("top_p"));
    }
}
