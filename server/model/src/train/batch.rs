//! Batches as plain numbers, and the same without padding.

use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::Segment;

/// Label of a position that does not count.
pub const IGNORED: i64 = -100;

/// A padded batch, all fields `[b, t]` flat, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids.
    pub input_ids: Vec<i64>,
    /// 1 = real, 0 = padding (left, right or both).
    pub attention_mask: Vec<i64>,
    /// Wanted ids at the same positions as `input_ids` (shifted inside the loss), -100 = ignored. May be empty.
    pub labels: Vec<i64>,
    /// Rows.
    pub b: usize,
    /// Columns.
    pub t: usize,
}

/// A batch without its padding: all rows' real tokens one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Position of each token in its row, counted over real tokens.
    pub positions: Vec<u32>,
    /// One per row that has tokens.
    pub segments: Vec<Segment>,
    /// Where each token came from: `row x t + column`.
    pub places: Vec<usize>,
    /// Tokens whose successor counts in the loss.
    pub target_rows: Vec<u32>,
    /// Those successors.
    pub target_ids: Vec<u32>,
}

/// How losses of several micro-batches become one (S-2023 or by tokens).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalisation {
    /// Mean over micro-batches of the mean over counted tokens.
    #[default]
    MeanOfMicroBatchMeans,
    /// Sum over all counted tokens of the step by their number.
    TokensOfStep,
}

impl Normalisation {
    /// Weight of each counted token, per micro-batch.
    pub fn token_weights(self, batches: &[Batch]) -> Vec<f64> {
        let counts: Vec<usize> = batches.iter().map(Batch::counted).collect();
        let total: usize = counts.iter().sum();
        let weight = |count: &usize| match self {
            Self::MeanOfMicroBatchMeans => 1.0 / ((*count).max(1) * batches.len()) as f64,
            Self::TokensOfStep => 1.0 / total.max(1) as f64,
        };
        counts.iter().map(weight).collect()
    }
}

impl Batch {
    /// Pads rows of ids and labels on the left. Rows may differ in length; labels as long as their ids.
    pub fn from_rows(rows: &[(Vec<u32>, Vec<i64>)], pad: u32) -> Self {
        let t = rows.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let mut batch = Self { b: rows.len(), t, ..Self::default() };
        for (ids, labels) in rows {
            let padding = t - ids.len();
            batch.input_ids.extend(std::iter::repeat_n(i64::from(pad), padding));
            batch.input_ids.extend(ids.iter().map(|id| i64::from(*id)));
            batch.attention_mask.extend((0..t).map(|i| i64::from(i >= padding)));
            batch.labels.extend(std::iter::repeat_n(IGNORED, padding));
            batch.labels.extend(labels.iter().copied().chain(std::iter::repeat(IGNORED)).take(ids.len()));
        }
        batch
    }

    /// Checks sizes and that every real id and label is below `vocab`; names the row that is wrong.
    pub fn check(&self, vocab: usize) -> Result<()> {
        let size = self.b * self.t;
        let fail = |message: String| Err(ModelError::new(Code::BatchInvalid, message));
        if self.input_ids.len() != size || self.attention_mask.len() != size {
            return fail(format!(
                "A batch of {} rows of {} needs {size} ids and mask values.",
                self.b, self.t
            ));
        }
        if !self.labels.is_empty() && self.labels.len() != size {
            return fail(format!("A batch of {} rows of {} needs {size} labels.", self.b, self.t));
        }
        let outside = |value: &i64| usize::try_from(*value).map_or(true, |id| id >= vocab);
        let real = |i: &usize| self.attention_mask[*i] != 0;
        if let Some(i) = (0..size).filter(real).find(|i| outside(&self.input_ids[*i])) {
            let id = self.input_ids[i];
            return fail(format!(
                "Row {} of the batch holds token {id}; the model knows {vocab}.",
                i / self.t + 1
            ));
        }
        match (0..self.labels.len()).find(|i| self.labels[*i] != IGNORED && outside(&self.labels[*i])) {
            Some(i) => fail(format!(
                "Row {} of the batch holds label {}; the model knows {vocab} tokens.",
                i / self.t + 1,
                self.labels[i]
            )),
            None => Ok(()),
        }
    }

    /// Number of counted tokens (labels that are not ignored, from the second column on).
    pub fn counted(&self) -> usize {
        if self.labels.is_empty() { 0 } else { (0..self.b).map(|row| self.targets(row).count()).sum() }
    }

    /// Columns whose next column is counted, of one row.
    fn targets(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let at = row * self.t;
        (0..self.t.saturating_sub(1)).filter(move |column| {
            self.labels.get(at + column + 1).is_some_and(|label| *label != IGNORED)
                && self.attention_mask[at + column] != 0
        })
    }

    /// All rows without padding. The batch must have passed [`Batch::check`].
    pub fn pack(&self) -> Packed {
        self.pack_rows(&(0..self.b).collect::<Vec<_>>())
    }

    /// Some rows without padding.
    pub fn pack_rows(&self, rows: &[usize]) -> Packed {
        let mut packed = Packed::default();
        for &row in rows {
            let start = packed.ids.len();
            let mut index = vec![0u32; self.t];
            for (column, slot) in index.iter_mut().enumerate() {
                let place = row * self.t + column;
                if self.attention_mask[place] != 0 {
                    *slot = packed.ids.len() as u32;
                    packed.positions.push((packed.ids.len() - start) as u32);
                    packed.ids.push(self.input_ids[place] as u32);
                    packed.places.push(place);
                }
            }
            let len = packed.ids.len() - start;
            if len > 0 {
                packed.segments.push(Segment { start, len });
            }
            for column in self.targets(row) {
                packed.target_rows.push(index[column]);
                packed.target_ids.push(self.labels[row * self.t + column + 1] as u32);
            }
        }
        packed
    }

    /// Rows in two groups of nearly equal numbers of real tokens.
    pub fn halves(&self) -> [Vec<usize>; 2] {
        let tokens = |row: &usize| {
            self.attention_mask[row * self.t..(row + 1) * self.t].iter().filter(|m| **m != 0).count()
        };
        let mut rows: Vec<usize> = (0..self.b).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(tokens(row)));
        let mut groups = [Vec::new(), Vec::new()];
        let mut sizes = [0, 0];
        for row in rows {
            let lighter = usize::from(sizes[1] < sizes[0]);
            sizes[lighter] += tokens(&row);
            groups[lighter].push(row);
        }
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups
    }
}

impl Packed {
    /// Spreads `[tokens, d]` values to `[b, t, d]`, zeros at padding.
    pub fn unpack(&self, values: &[f32], t: usize, b: usize) -> Vec<f32> {
        let d = values.len() / self.places.len().max(1);
        let mut out = vec![0.0; b * t * d];
        for (place, row) in self.places.iter().zip(values.chunks_exact(d.max(1))) {
            out[place * d..(place + 1) * d].copy_from_slice(row);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch::from_rows(&[(vec![5, 6, 7], vec![-100, 6, 7]), (vec![8], vec![8])], 0)
    }

    #[test]
    fn packs_without_padding_and_shifts_labels() {
        let packed = batch().pack();
        assert_eq!(packed.ids, [5, 6, 7, 8]);
        assert_eq!(packed.positions, [0, 1, 2, 0]);
        assert_eq!((packed.target_rows.as_slice(), packed.target_ids.as_slice()), (&[0, 1][..], &[6, 7][..]));
        assert_eq!(packed.unpack(&[1.0, 2.0, 3.0, 4.0], 3, 2), [1.0, 2.0, 3.0, 0.0, 0.0, 4.0]);
        assert_eq!(batch().counted(), 2);
    }

    #[test]
    fn halves_balance_tokens() {
        let rows: Vec<_> = [6usize, 1, 5, 2].iter().map(|n| (vec![1; *n], vec![1; *n])).collect();
        assert_eq!(Batch::from_rows(&rows, 0).halves(), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn names_the_row_with_an_unknown_token() {
        let error = batch().check(8).unwrap_err().to_string();
        assert!(error.contains("Row 2") && error.contains('8'), "{error}");
        assert!(batch().check(9).is_ok());
        let mut short = batch();
        short.labels.pop();
        assert!(short.check(9).is_err());
    }

    #[test]
    fn weights_follow_the_rule() {
        let one = Batch::from_rows(&[(vec![1, 1, 1], vec![1, 1, 1])], 0);
        let two = Batch::from_rows(&[(vec![1, 1], vec![1, 1])], 0);
        let both = [one, two];
        assert_eq!(Normalisation::MeanOfMicroBatchMeans.token_weights(&both), [0.25, 0.5]);
        assert_eq!(Normalisation::TokensOfStep.token_weights(&both), [1.0 / 3.0; 2]);
    }
}
