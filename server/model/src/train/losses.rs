//! Losses as plain functions of plain numbers, with their gradients.

use std::collections::BTreeMap;

pub mod dpo;
pub mod ppo;
pub mod reward;

fn named<const N: usize>(metrics: [(&str, f64); N]) -> BTreeMap<String, f64> {
    metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `-log sigmoid(x)`, exact for any x.
pub fn minus_log_sigmoid(x: f64) -> f64 {
    (-x).max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `e^loss`, infinite where it leaves the range of numbers (S-162).
pub fn perplexity(loss: f64) -> f64 {
    loss.exp()
}
