//! Proximal policy optimisation as in S-207 to S-216 (Schulman et al. 2017, arXiv:1707.06347; Ziegler et al. 2019,
//! arXiv:1909.08593). Lists are per row, one number per response token.

use serde::{Deserialize, Serialize};

use super::named;
use crate::rng::Rng;
use crate::train::{Judged, Row, RowGrads, Wants};

/// Constants of the losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PpoConfig {
    /// Discount of later rewards.
    pub gamma: f64,
    /// How far advantages look ahead.
    pub lambda: f64,
    /// How far the probability ratio counts from 1.
    pub clip: f64,
    /// How far a value counts from the old one.
    pub value_clip: f64,
    /// Weight of the value loss.
    pub value_weight: f64,
    /// Mean ratio above which a batch does not count (S-211).
    pub ratio_limit: f64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self { gamma: 1.0, lambda: 0.95, clip: 0.2, value_clip: 0.2, value_weight: 0.1, ratio_limit: 10.0 }
    }
}

/// Reward of each response token: `-beta (old - reference)`, the score on top at the last (S-207).
pub fn token_rewards(old: &[f32], reference: &[f32], score: f64, beta: f64) -> Vec<f64> {
    let mut rewards: Vec<f64> =
        old.iter().zip(reference).map(|(old, reference)| -beta * f64::from(old - reference)).collect();
    if let Some(last) = rewards.last_mut() {
        *last += score;
    }
    rewards
}

/// Advantages and returns of one row (S-208); the value after the end is 0.
pub fn gae(rewards: &[f64], values: &[f64], gamma: f64, lambda: f64) -> (Vec<f64>, Vec<f64>) {
    let mut advantages = vec![0.0; rewards.len()];
    let (mut next_value, mut running) = (0.0, 0.0);
    for t in (0..rewards.len()).rev() {
        running = rewards[t] + gamma * next_value - values[t] + gamma * lambda * running;
        advantages[t] = running;
        next_value = values[t];
    }
    let returns = advantages.iter().zip(values).map(|(a, v)| a + v).collect();
    (advantages, returns)
}

/// Brings all numbers together to variance 1 (Bessel's); with `shift` also to mean 0 (S-208).
pub fn whiten(rows: &mut [Vec<f64>], shift: bool) {
    let count = rows.iter().map(Vec::len).sum::<usize>() as f64;
    if count < 2.0 {
        return;
    }
    let mean = rows.iter().flatten().sum::<f64>() / count;
    let variance = rows.iter().flatten().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0);
    let scale = 1.0 / (variance + 1e-8).sqrt();
    for x in rows.iter_mut().flatten() {
        *x = (*x - mean) * scale + if shift { 0.0 } else { mean };
    }
}

/// What is fixed for all epochs of a PPO step, per row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// Log-probabilities when the responses were drawn.
    pub old_log_probs: Vec<Vec<f64>>,
    /// Values then.
    pub old_values: Vec<Vec<f64>>,
    /// Whitened advantages.
    pub advantages: Vec<Vec<f64>>,
    /// Returns.
    pub returns: Vec<Vec<f64>>,
}

impl Rollout {
    /// Works out advantages and returns from token rewards.
    pub fn new(
        config: &PpoConfig,
        old_log_probs: Vec<Vec<f64>>,
        old_values: Vec<Vec<f64>>,
        rewards: &[Vec<f64>],
    ) -> Self {
        let (mut advantages, mut returns) = (Vec::new(), Vec::new());
        for (rewards, values) in rewards.iter().zip(&old_values) {
            let (advantage, row_returns) = gae(rewards, values, config.gamma, config.lambda);
            advantages.push(advantage);
            returns.push(row_returns);
        }
        whiten(&mut advantages, true);
        Self { old_log_probs, old_values, advantages, returns }
    }
}

/// Losses and gradients of one epoch over a rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PpoLoss {
    /// Clipped policy loss.
    pub policy: f64,
    /// Clipped value loss.
    pub value: f64,
    /// Policy plus weighted value loss; 0 when skipped.
    pub total: f64,
    /// Mean probability ratio.
    pub mean_ratio: f64,
    /// Share of tokens whose ratio was clipped.
    pub policy_clip_fraction: f64,
    /// Share of tokens whose value was clipped.
    pub value_clip_fraction: f64,
    /// Half the mean squared change of log-probabilities.
    pub approx_kl: f64,
    /// Mean of old minus new log-probability.
    pub policy_kl: f64,
    /// Mean return.
    pub mean_return: f64,
    /// Whether the ratio was above its limit, so that nothing counts.
    pub skipped: bool,
    /// d total / d log-probability, per row.
    pub d_log_probs: Vec<Vec<f64>>,
    /// d total / d value, per row.
    pub d_values: Vec<Vec<f64>>,
}

/// The losses of S-209 to S-211 for new log-probabilities and values.
pub fn loss(config: &PpoConfig, rollout: &Rollout, log_probs: &[Vec<f64>], values: &[Vec<f64>]) -> PpoLoss {
    let count = log_probs.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    let mut result = PpoLoss::default();
    for row in 0..log_probs.len() {
        let (mut d_log_probs, mut d_values) = (Vec::new(), Vec::new());
        for t in 0..log_probs[row].len() {
            let change = log_probs[row][t] - rollout.old_log_probs[row][t];
            d_log_probs.push(policy_token(config, rollout.advantages[row][t], change, &mut result) / count);
            let (old, target) = (rollout.old_values[row][t], rollout.returns[row][t]);
            let slope = value_token(config, values[row][t], old, target, &mut result);
            d_values.push(config.value_weight * slope / count);
            result.mean_return += target;
        }
        result.d_log_probs.push(d_log_probs);
        result.d_values.push(d_values);
    }
    for sum in [
        &mut result.policy,
        &mut result.value,
        &mut result.mean_ratio,
        &mut result.policy_clip_fraction,
        &mut result.value_clip_fraction,
        &mut result.approx_kl,
        &mut result.policy_kl,
        &mut result.mean_return,
    ] {
        *sum /= count;
    }
    result.total = result.policy + config.value_weight * result.value;
    // A ratio that is no number must not count either.
    result.skipped = result.mean_ratio.is_nan() || result.mean_ratio > config.ratio_limit;
    if result.skipped {
        result.total = 0.0;
        result.d_log_probs.iter_mut().chain(&mut result.d_values).flatten().for_each(|x| *x = 0.0);
    }
    result
}

/// Adds one token's policy loss; returns its slope in the log-probability.
fn policy_token(config: &PpoConfig, advantage: f64, change: f64, sums: &mut PpoLoss) -> f64 {
    let ratio = change.exp();
    let plain = -advantage * ratio;
    let clipped = -advantage * ratio.clamp(1.0 - config.clip, 1.0 + config.clip);
    sums.policy += plain.max(clipped);
    sums.mean_ratio += ratio;
    sums.policy_clip_fraction += f64::from(u8::from(clipped > plain));
    sums.approx_kl += 0.5 * change * change;
    sums.policy_kl -= change;
    if clipped > plain { 0.0 } else { plain }
}

/// Adds one token's value loss; returns its slope in the value.
fn value_token(config: &PpoConfig, value: f64, old: f64, target: f64, sums: &mut PpoLoss) -> f64 {
    let near = value.clamp(old - config.value_clip, old + config.value_clip);
    let (plain, clipped) = ((value - target).powi(2), (near - target).powi(2));
    sums.value += 0.5 * plain.max(clipped);
    sums.value_clip_fraction += f64::from(u8::from(clipped > plain));
    if clipped > plain { 0.0 } else { value - target }
}

/// The coefficient of the KL penalty follows its target (S-212).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveKl {
    /// Present coefficient, beta.
    pub coefficient: f64,
    /// KL the policy is to keep from its reference, nats per response.
    pub target: f64,
    /// Responses over which the coefficient adapts.
    pub horizon: f64,
}

impl AdaptiveKl {
    /// Adapts to the mean KL of `batch` responses; returns the clipped error.
    pub fn update(&mut self, kl: f64, batch: usize) -> f64 {
        let error = (kl / self.target - 1.0).clamp(-0.2, 0.2);
        let error = if error.is_finite() { error } else { 0.0 };
        self.coefficient *= 1.0 + error * batch as f64 / self.horizon;
        error
    }
}

/// Mean and deviation of all scores seen so far (S-216).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningMoments {
    /// Scores seen.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Their population variance.
    pub variance: f64,
}

impl Default for RunningMoments {
    fn default() -> Self {
        Self { count: 0.0, mean: 0.0, variance: 1.0 }
    }
}

impl RunningMoments {
    /// Takes a batch in.
    pub fn update(&mut self, scores: &[f64]) {
        let n = scores.len() as f64;
        if n == 0.0 {
            return;
        }
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let (delta, total) = (mean - self.mean, self.count + n);
        let squares = self.variance * self.count + variance * n + delta * delta * self.count * n / total;
        *self = Self { count: total, mean: self.mean + delta * n / total, variance: squares / total };
    }

    /// Deviation with Bessel's correction.
    pub fn deviation(&self) -> f64 {
        (self.variance * self.count / (self.count - 1.0).max(1.0)).sqrt()
    }

    /// A score relative to those seen.
    pub fn normalise(&self, score: f64) -> f64 {
        (score - self.mean) / (self.deviation() + f64::from(f32::EPSILON))
    }
}

/// Most new tokens of a response: uniform in `[max / 2, max)` (S-203).
pub fn response_length(max_target_length: usize, rng: &mut Rng) -> usize {
    let low = (max_target_length / 2).max(1);
    let span = max_target_length.saturating_sub(low).max(1);
    low + ((rng.uniform() * span as f64) as usize).min(span - 1)
}

/// What the policy is asked for.
pub const WANTS: Wants = Wants { log_probs: true, entropies: true, values: true };
/// What the reward model is asked for.
pub const SCORES: Wants = Wants { log_probs: false, entropies: false, values: true };

/// Score of each row: the reward head at the last token (S-205).
pub fn scores(rows: &[Row]) -> Vec<f64> {
    rows.iter().map(super::reward::reward).collect()
}

/// Mean over rows of the sum of `old - reference` (S-212).
pub fn mean_kl(old: &[Row], reference: &[Row]) -> f64 {
    let sums = old.iter().zip(reference).map(|(old, reference)| old.log_prob() - reference.log_prob());
    sums.sum::<f64>() / old.len().max(1) as f64
}

/// Log-probabilities per row.
pub fn log_probs_of(rows: &[Row]) -> Vec<Vec<f64>> {
    rows.iter().map(|row| row.log_probs.iter().map(|x| f64::from(*x)).collect()).collect()
}

/// Values at the tokens before each target, per row.
pub fn values_of(rows: &[Row]) -> Vec<Vec<f64>> {
    let at = |row: &Row, before: &usize| row.values.get(*before).map_or(0.0, |value| f64::from(*value));
    rows.iter().map(|row| row.before.iter().map(|before| at(row, before)).collect()).collect()
}

/// The losses over a rollout, and what to chart.
pub fn judge(config: &PpoConfig, rollout: &Rollout, rows: &[Row]) -> Judged {
    let result = loss(config, rollout, &log_probs_of(rows), &values_of(rows));
    let grads = |(i, row): (usize, &Row)| {
        let mut values = vec![0.0; row.values.len()];
        for (before, slope) in row.before.iter().zip(&result.d_values[i]) {
            if let Some(value) = values.get_mut(*before) {
                *value += *slope as f32;
            }
        }
        RowGrads { log_probs: result.d_log_probs[i].iter().map(|x| *x as f32).collect(), values }
    };
    let entropies: Vec<f32> = rows.iter().flat_map(|row| row.entropies.iter().copied()).collect();
    let entropy = entropies.iter().map(|x| f64::from(*x)).sum::<f64>() / entropies.len().max(1) as f64;
    let metrics = named([
        ("policy_loss", result.policy),
        ("value_loss", result.value),
        ("ratio", result.mean_ratio),
        ("entropy", entropy),
        ("clip_fraction", result.policy_clip_fraction),
        ("value_clip_fraction", result.value_clip_fraction),
        ("approx_kl", result.approx_kl),
        ("policy_kl", result.policy_kl),
        ("mean_return", result.mean_return),
        ("skipped", f64::from(u8::from(result.skipped))),
    ]);
    Judged { loss: result.total, rows: rows.iter().enumerate().map(grads).collect(), metrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_203_lengths_lie_in_the_upper_half() {
        let mut rng = Rng::new(1);
        let lengths: Vec<_> = (0..2000).map(|_| response_length(16, &mut rng)).collect();
        assert!(lengths.iter().all(|n| (8..16).contains(n)));
        assert!((8..16).all(|n| lengths.contains(&n)));
        assert_eq!(response_length(1, &mut rng), 1);
    }

    #[test]
    fn s_207_the_score_lands_on_the_last_token() {
        let rewards = token_rewards(&[-1.0, -2.0], &[-1.5, -2.0], 3.0, 0.2);
        assert!((rewards[0] + 0.1).abs() < 1e-12 && (rewards[1] - 3.0).abs() < 1e-12);
        assert!(token_rewards(&[], &[], 3.0, 0.2).is_empty());
    }

    #[test]
    fn s_209_s_210_gradients_are_slopes() {
        let config = PpoConfig::default();
        let rollout = Rollout {
            old_log_probs: vec![vec![-1.0, -2.0, -0.5]],
            old_values: vec![vec![0.1, 0.2, -0.3]],
            advantages: vec![vec![1.0, -0.5, 0.7]],
            returns: vec![vec![0.5, 0.1, 0.9]],
        };
        let log_probs = vec![vec![-0.9, -2.6, -0.1]];
        let values = vec![vec![0.15, 0.7, -0.9]];
        let base = loss(&config, &rollout, &log_probs, &values);
        for t in 0..3 {
            let at = |list: &[Vec<f64>], by: f64| {
                let mut list = list.to_vec();
                list[0][t] += by;
                list
            };
            let of = |by| loss(&config, &rollout, &at(&log_probs, by), &values).total;
            assert!(((of(1e-6) - of(-1e-6)) / 2e-6 - base.d_log_probs[0][t]).abs() < 1e-7, "log-prob {t}");
            let of = |by| loss(&config, &rollout, &log_probs, &at(&values, by)).total;
            assert!(((of(1e-6) - of(-1e-6)) / 2e-6 - base.d_values[0][t]).abs() < 1e-7, "value {t}");
        }
        assert!(base.policy_clip_fraction > 0.0 && base.value_clip_fraction < 1.0);
    }

    #[test]
    fn s_211_a_batch_that_ran_away_does_not_count() {
        let rollout = Rollout {
            old_log_probs: vec![vec![-5.0]],
            old_values: vec![vec![0.0]],
            advantages: vec![vec![-1.0]],
            returns: vec![vec![1.0]],
        };
        for new in [-1.0, f64::NAN] {
            let result = loss(&PpoConfig::default(), &rollout, &[vec![new]], &[vec![0.5]]);
            assert!(result.skipped && result.total == 0.0 && result.d_values == [[0.0]]);
        }
    }

    #[test]
    fn s_212_the_coefficient_moves_by_a_fifth_of_the_batch_at_most() {
        let mut kl = AdaptiveKl { coefficient: 0.2, target: 6.0, horizon: 10_000.0 };
        assert_eq!(kl.update(1e9, 64), 0.2);
        assert!((kl.coefficient - 0.2 * (1.0 + 0.2 * 0.0064)).abs() < 1e-15);
        assert_eq!(kl.update(f64::NAN, 64), 0.0);
    }

    #[test]
    fn s_216_moments_in_parts_are_the_moments_of_all() {
        let scores = [1.0, -2.0, 4.0, 0.5, 3.0];
        let (mut whole, mut parts) = (RunningMoments::default(), RunningMoments::default());
        whole.update(&scores);
        parts.update(&scores[..2]);
        parts.update(&[]);
        parts.update(&scores[2..]);
        assert!((whole.mean - parts.mean).abs() < 1e-12 && (whole.variance - parts.variance).abs() < 1e-12);
    }
}
