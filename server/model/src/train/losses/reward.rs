//! The reward model's loss: the better answer of a pair is to score higher (S-186, S-187).

use super::{minus_log_sigmoid, named, sigmoid};
use crate::train::{Judged, Row, RowGrads, Wants};

/// Loss, accuracy and gradients of some pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairLoss {
    /// Mean of `-log sigmoid(chosen - rejected)`.
    pub loss: f64,
    /// Share of pairs in which chosen is strictly above rejected.
    pub accuracy: f64,
    /// Mean of `chosen - rejected`.
    pub margin: f64,
    /// d loss / d chosen; with a minus sign d loss / d rejected.
    pub d_chosen: Vec<f64>,
}

/// The pairwise loss. Both lists are of the same length.
pub fn pairwise(chosen: &[f64], rejected: &[f64]) -> PairLoss {
    let n = chosen.len().max(1) as f64;
    let mut result = PairLoss::default();
    for (chosen, rejected) in chosen.iter().zip(rejected) {
        let difference = chosen - rejected;
        result.loss += minus_log_sigmoid(difference) / n;
        result.accuracy += if chosen > rejected { 1.0 / n } else { 0.0 };
        result.margin += difference / n;
        result.d_chosen.push(-sigmoid(-difference) / n);
    }
    result
}

/// What the loss looks at.
pub const WANTS: Wants = Wants { log_probs: false, entropies: false, values: true };

/// Reward of a row: the value at its last token (S-186).
pub fn reward(row: &Row) -> f64 {
    row.values.last().map_or(0.0, |value| f64::from(*value))
}

/// The loss of a batch of pairs: the first half of the rows chosen, the second rejected (S-155).
pub fn judge(rows: &[Row]) -> Judged {
    let (chosen, rejected) = rows.split_at(rows.len() / 2);
    let rewards = |rows: &[Row]| rows.iter().map(reward).collect::<Vec<_>>();
    let pairs = pairwise(&rewards(chosen), &rewards(rejected));
    let last = |(row, slope): (&Row, f64)| {
        let mut values = vec![0.0; row.values.len()];
        if let Some(last) = values.last_mut() {
            *last = slope as f32;
        }
        RowGrads { log_probs: Vec::new(), values }
    };
    let slopes = pairs.d_chosen.iter().copied().chain(pairs.d_chosen.iter().map(|slope| -slope));
    let metrics = [("accuracy", pairs.accuracy), ("margin", pairs.margin)];
    Judged { loss: pairs.loss, rows: rows.iter().zip(slopes).map(last).collect(), metrics: named(metrics) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_186_far_apart_rewards_are_neither_infinite_nor_nan() {
        let worst = pairwise(&[-500.0], &[500.0]);
        assert_eq!((worst.loss, worst.d_chosen[0]), (1000.0, -1.0));
        let best = pairwise(&[500.0], &[-500.0]);
        assert!(best.loss >= 0.0 && best.loss < 1e-300 && best.d_chosen[0].abs() < 1e-300);
    }

    #[test]
    fn s_187_a_tie_is_not_a_hit() {
        assert_eq!(pairwise(&[1.0, 2.0], &[1.0, 0.0]).accuracy, 0.5);
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let loss = |x: f64| pairwise(&[x, 0.3], &[0.2, 0.7]).loss;
        let slope = (loss(0.5 + 1e-6) - loss(0.5 - 1e-6)) / 2e-6;
        assert!((pairwise(&[0.5, 0.3], &[0.2, 0.7]).d_chosen[0] - slope).abs() < 1e-8);
    }
}
