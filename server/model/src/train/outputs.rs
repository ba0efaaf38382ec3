//! What a stage's loss looks at (log-probabilities, values) and what it gives back (their gradients), row by row.

use std::collections::BTreeMap;

use super::{Batch, Packed, ValueHead};
use crate::arch::{CausalLm, Mode};
use crate::error::Result;
use crate::kernels::{Kernels, Mat};

/// Which numbers are to be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Log-probability of each target (a position whose label counts).
    pub log_probs: bool,
    /// Entropy of the distribution at each target, nats.
    pub entropies: bool,
    /// Value of each token; needs a value head.
    pub values: bool,
}

/// One row of a batch as the model sees it; tokens are counted without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// For each target the token before it: index into the row's tokens, and into `values`.
    pub before: Vec<usize>,
    /// Log-probability of each target.
    pub log_probs: Vec<f32>,
    /// Entropy at each target.
    pub entropies: Vec<f32>,
    /// Value after each token.
    pub values: Vec<f32>,
}

impl Row {
    /// Sum of the log-probabilities of all targets.
    pub fn log_prob(&self) -> f64 {
        self.log_probs.iter().map(|x| f64::from(*x)).sum()
    }
}

/// Gradients of a row; an empty list means none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowGrads {
    /// d loss / d log-probability, per target.
    pub log_probs: Vec<f32>,
    /// d loss / d value, per token.
    pub values: Vec<f32>,
}

/// What a loss says about a micro-batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// The loss.
    pub loss: f64,
    /// Gradients, one per row of the batch.
    pub rows: Vec<RowGrads>,
    /// Numbers for the charts.
    pub metrics: BTreeMap<String, f64>,
}

/// Most logits on the host at a time.
const BLOCK: usize = 1 << 22;

/// Rows of a packed batch from its hidden states.
pub(super) fn read_rows<B: Kernels>(
    model: &CausalLm<B>,
    head: Option<&ValueHead<B>>,
    packed: &Packed,
    hidden: &Mat<B>,
    nll: Vec<f32>,
    wants: Wants,
    mode: Mode,
) -> Vec<Row> {
    let values = match head {
        Some(head) if wants.values => head.values(hidden, mode.dropout),
        _ => Vec::new(),
    };
    let entropies = if wants.entropies { entropies(model, packed, hidden, mode) } else { Vec::new() };
    let mut at = 0;
    let row = |segment: &crate::kernels::Segment| {
        let tokens = segment.start..segment.start + segment.len;
        let first = at;
        while packed.target_rows.get(at).is_some_and(|target| tokens.contains(&(*target as usize))) {
            at += 1;
        }
        let part = |all: &[f32]| all.get(first..at).unwrap_or_default().to_vec();
        Row {
            before: packed.target_rows[first..at].iter().map(|t| *t as usize - segment.start).collect(),
            log_probs: part(&nll).into_iter().map(|x| -x).collect(),
            entropies: part(&entropies),
            values: values.get(tokens).unwrap_or_default().to_vec(),
        }
    };
    packed.segments.iter().map(row).collect()
}

fn entropies<B: Kernels>(model: &CausalLm<B>, packed: &Packed, hidden: &Mat<B>, mode: Mode) -> Vec<f32> {
    let vocab = model.config.vocab_size;
    let mut all = Vec::with_capacity(packed.target_rows.len());
    for rows in packed.target_rows.chunks((BLOCK / vocab).max(1)) {
        let logits = B::to_host(&model.logits_in(&B::gather_rows(hidden, rows), mode));
        all.extend(logits.chunks_exact(vocab).map(entropy));
    }
    all
}

/// Entropy of the distribution of logits, nats.
fn entropy(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut weighted) = (0f64, 0f64);
    for x in logits {
        let shifted = f64::from(x - top);
        let e = shifted.exp();
        total += e;
        weighted += if e > 0.0 { e * shifted } else { 0.0 };
    }
    (total.ln() - weighted / total) as f32
}

/// Rows of a batch without gradients: a reference model, a reward model, or the policy before it changes.
///
/// # Errors
/// When the batch holds a token the model does not know.
pub fn outputs<B: Kernels>(
    model: &CausalLm<B>,
    head: Option<&ValueHead<B>>,
    batch: &Batch,
    wants: Wants,
    mode: Mode,
) -> Result<Vec<Row>> {
    model.check(batch)?;
    let packed = batch.pack();
    let hidden = model.hidden(&packed, model.config.num_hidden_layers, mode);
    let nll = if wants.log_probs { model.packed_nll(&packed, &hidden, mode) } else { Vec::new() };
    Ok(in_order(batch, &(0..batch.b).collect::<Vec<_>>(), {
        read_rows(model, head, &packed, &hidden, nll, wants, mode)
    }))
}

/// Puts rows without a token back in, so that there is one entry per row asked for.
pub(super) fn in_order(batch: &Batch, asked: &[usize], rows: Vec<Row>) -> Vec<Row> {
    let mut rows = rows.into_iter();
    let real = |row: &usize| batch.attention_mask[row * batch.t..(row + 1) * batch.t].iter().any(|m| *m != 0);
    asked.iter().map(|row| if real(row) { rows.next().unwrap_or_default() } else { Row::default() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_even_and_certain_distributions() {
        assert!((entropy(&[1.0; 8]) - 8f32.ln()).abs() < 1e-6);
        assert!(entropy(&[0.0, 1000.0, f32::NEG_INFINITY]).abs() < 1e-6);
    }

    #[test]
    fn a_row_of_padding_keeps_its_place() {
        let batch = Batch { b: 2, t: 1, attention_mask: vec![0, 1], ..Batch::default() };
        let row = Row { values: vec![1.0], ..Row::default() };
        assert_eq!(in_order(&batch, &[0, 1], vec![row.clone()]), [Row::default(), row]);
    }
}
