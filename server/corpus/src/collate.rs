//! Encoded rows become one left-padded batch (S-150 to S-153).

use crate::encode::{Encoded, IGNORED};

/// A batch of `b` rows of `t` tokens, row after row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Padded {
    /// Token ids `[b, t]`, padded on the left.
    pub input_ids: Vec<i64>,
    /// 1 for real tokens, 0 for padding `[b, t]`, from lengths, never from values.
    pub attention_mask: Vec<i64>,
    /// Labels `[b, t]`; empty when no row has labels.
    pub labels: Vec<i64>,
    /// Rows.
    pub b: usize,
    /// Tokens a row.
    pub t: usize,
}

/// Pads to the longest row; padding does not count in the loss.
pub fn collate(rows: &[Encoded], pad_id: u32) -> Padded {
    collate_labels(rows, pad_id, IGNORED)
}

/// As [`collate`], with a label for padding. Ids and labels are padded to the same width (S-151).
pub fn collate_labels(rows: &[Encoded], pad_id: u32, label_pad: i64) -> Padded {
    let t = rows.iter().map(|row| row.input_ids.len().max(row.labels.len())).max().unwrap_or(0);
    let labelled = rows.iter().any(|row| !row.labels.is_empty());
    let mut padded = Padded { b: rows.len(), t, ..Padded::default() };
    let pad =
        |out: &mut Vec<i64>, value: i64, length: usize| out.extend(std::iter::repeat_n(value, t - length));
    for row in rows {
        let length = row.input_ids.len();
        pad(&mut padded.input_ids, i64::from(pad_id), length);
        padded.input_ids.extend(row.input_ids.iter().map(|id| i64::from(*id)));
        pad(&mut padded.attention_mask, 0, length);
        padded.attention_mask.extend(std::iter::repeat_n(1, length));
        if labelled {
            pad(&mut padded.labels, label_pad, row.labels.len());
            padded.labels.extend(&row.labels);
        }
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_150_to_s_153_left_padding_with_masks_from_lengths() {
        let row = |ids: &[u32]| Encoded {
            input_ids: ids.to_vec(),
            labels: ids.iter().map(|id| i64::from(*id)).collect(),
            cut: 0,
        };
        let padded = collate(&[row(&[5, 6, 7]), row(&[0, 8])], 0);
        assert_eq!((padded.b, padded.t), (2, 3));
        assert_eq!(padded.input_ids, [5, 6, 7, 0, 0, 8]);
        assert_eq!(padded.attention_mask, [1, 1, 1, 0, 1, 1], "a genuine pad id inside a row is real");
        assert_eq!(padded.labels, [5, 6, 7, -100, 0, 8]);
        assert_eq!(collate(&[], 0), Padded::default());
    }
}
