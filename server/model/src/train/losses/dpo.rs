//! Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) and IPO (arXiv:2310.12036).

use super::{minus_log_sigmoid, named, sigmoid};
use crate::train::{Judged, Row, RowGrads, Wants};

/// Shape of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpoKind {
    /// `-log sigmoid(beta x)`, with label smoothing.
    Sigmoid,
    /// `(x - 1 / (2 beta))²` over log-probabilities per token.
    Ipo,
    /// `max(0, 1 - beta x)`.
    Hinge,
}

/// A pair: sums of log-probabilities over counted tokens, and their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pair {
    /// Of the chosen answer by the policy.
    pub policy_chosen: f64,
    /// Of the rejected answer by the policy.
    pub policy_rejected: f64,
    /// Of the chosen answer by the reference.
    pub ref_chosen: f64,
    /// Of the rejected answer by the reference.
    pub ref_rejected: f64,
    /// Counted tokens of the chosen answer.
    pub chosen_tokens: usize,
    /// Counted tokens of the rejected answer.
    pub rejected_tokens: usize,
}

/// Settings of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dpo {
    /// Shape.
    pub kind: DpoKind,
    /// How strongly the policy is held to the reference.
    pub beta: f64,
    /// Share of labels taken to be wrong; sigmoid only.
    pub label_smoothing: f64,
}

/// Loss and gradients of some pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DpoLoss {
    /// Mean loss.
    pub loss: f64,
    /// Loss of each pair.
    pub per_pair: Vec<f64>,
    /// d loss / d policy_chosen.
    pub d_chosen: Vec<f64>,
    /// d loss / d policy_rejected.
    pub d_rejected: Vec<f64>,
    /// Mean of `beta (policy - reference)` of the chosen answers.
    pub reward_chosen: f64,
    /// The same of the rejected answers.
    pub reward_rejected: f64,
    /// Share of pairs whose chosen reward is strictly higher.
    pub accuracy: f64,
}

impl DpoLoss {
    /// Mean of chosen minus rejected reward.
    pub fn margin(&self) -> f64 {
        self.reward_chosen - self.reward_rejected
    }
}

impl Dpo {
    /// Loss of one pair and its slope in the difference of log-ratios.
    fn one(self, x: f64) -> (f64, f64) {
        let (beta, eps) = (self.beta, self.label_smoothing);
        match self.kind {
            DpoKind::Sigmoid => {
                let loss = (1.0 - eps) * minus_log_sigmoid(beta * x) + eps * minus_log_sigmoid(-beta * x);
                (loss, beta * (eps * sigmoid(beta * x) - (1.0 - eps) * sigmoid(-beta * x)))
            }
            DpoKind::Ipo => {
                let off = x - 1.0 / (2.0 * beta);
                (off * off, 2.0 * off)
            }
            DpoKind::Hinge => {
                let slack = 1.0 - beta * x;
                (slack.max(0.0), if slack > 0.0 { -beta } else { 0.0 })
            }
        }
    }

    /// The loss over some pairs.
    pub fn loss(self, pairs: &[Pair]) -> DpoLoss {
        let n = pairs.len().max(1) as f64;
        let mut result = DpoLoss::default();
        for pair in pairs {
            let per_token = self.kind == DpoKind::Ipo;
            let length = |tokens: usize| if per_token { tokens.max(1) as f64 } else { 1.0 };
            let (chosen, rejected) = (length(pair.chosen_tokens), length(pair.rejected_tokens));
            let x = (pair.policy_chosen - pair.ref_chosen) / chosen
                - (pair.policy_rejected - pair.ref_rejected) / rejected;
            let (loss, slope) = self.one(x);
            result.loss += loss / n;
            result.per_pair.push(loss);
            result.d_chosen.push(slope / chosen / n);
            result.d_rejected.push(-slope / rejected / n);
            let rewards = [pair.policy_chosen - pair.ref_chosen, pair.policy_rejected - pair.ref_rejected];
            result.reward_chosen += self.beta * rewards[0] / n;
            result.reward_rejected += self.beta * rewards[1] / n;
            result.accuracy += if rewards[0] > rewards[1] { 1.0 / n } else { 0.0 };
        }
        result
    }
}

/// What the loss looks at.
pub const WANTS: Wants = Wants { log_probs: true, entropies: false, values: false };

impl Dpo {
    /// The loss of a batch of pairs (first half chosen, second rejected) against the reference model's rows.
    pub fn judge(self, rows: &[Row], reference: &[Row]) -> Judged {
        let n = rows.len() / 2;
        let pair = |i: usize| Pair {
            policy_chosen: rows[i].log_prob(),
            policy_rejected: rows[n + i].log_prob(),
            ref_chosen: reference[i].log_prob(),
            ref_rejected: reference[n + i].log_prob(),
            chosen_tokens: rows[i].log_probs.len(),
            rejected_tokens: rows[n + i].log_probs.len(),
        };
        let result = self.loss(&(0..n).map(pair).collect::<Vec<_>>());
        let slopes = result.d_chosen.iter().chain(&result.d_rejected);
        let grads = |(row, slope): (&Row, &f64)| RowGrads {
            log_probs: vec![*slope as f32; row.log_probs.len()],
            values: Vec::new(),
        };
        let metrics = [
            ("accuracy", result.accuracy),
            ("margin", result.margin()),
            ("reward_chosen", result.reward_chosen),
            ("reward_rejected", result.reward_rejected),
        ];
        Judged {
            loss: result.loss,
            rows: rows.iter().zip(slopes).map(grads).collect(),
            metrics: named(metrics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_slopes_for_every_shape() {
        let pair = |policy_chosen| Pair {
            policy_chosen,
            policy_rejected: -7.0,
            ref_chosen: -6.5,
            ref_rejected: -6.0,
            chosen_tokens: 3,
            rejected_tokens: 4,
        };
        for kind in [DpoKind::Sigmoid, DpoKind::Ipo, DpoKind::Hinge] {
            let dpo = Dpo { kind, beta: 0.3, label_smoothing: 0.1 };
            let loss = |x| dpo.loss(&[pair(x), pair(-4.0)]).loss;
            let slope = (loss(-5.0 + 1e-6) - loss(-5.0 - 1e-6)) / 2e-6;
            assert!((dpo.loss(&[pair(-5.0), pair(-4.0)]).d_chosen[0] - slope).abs() < 1e-7, "{kind:?}");
        }
    }

    #[test]
    fn a_policy_that_equals_its_reference_has_loss_ln_2() {
        let pair = Pair { policy_chosen: -5.0, ref_chosen: -5.0, ..Pair::default() };
        let result = Dpo { kind: DpoKind::Sigmoid, beta: 0.1, label_smoothing: 0.0 }.loss(&[pair]);
        assert!((result.loss - std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!((result.accuracy, result.margin()), (0.0, 0.0));
    }
}
