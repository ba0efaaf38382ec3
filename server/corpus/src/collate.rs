//! Encoded rows become one left-padded batch (S-150 to S-153).

use crate::encode::{Encoded, EncodedPair, EncodedPrompt, IGNORED};

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

impl Padded {
    /// Positions `[b, t]` counted over real tokens; 0 in padding.
    pub fn position_ids(&self) -> Vec<i64> {
        let mut positions = Vec::with_capacity(self.attention_mask.len());
        for row in self.attention_mask.chunks(self.t.max(1)) {
            let mut next = 0;
            for real in row {
                positions.push(next);
                next += real;
            }
        }
        positions
    }
}

/// The label of padding (S-031, S-154): [`IGNORED`], or the pad id where its loss is wanted.
pub fn label_pad(pad_id: u32, ignore_pad_token_for_loss: bool) -> i64 {
    if ignore_pad_token_for_loss { IGNORED } else { i64::from(pad_id) }
}

/// A batch of `2n` rows: the better sequences of all `n` pairs, then the worse ones, padded together (S-155). Labels
/// count the answers only: dpo sums over them, rm does without.
pub fn collate_pairs(pairs: &[EncodedPair], pad_id: u32) -> Padded {
    let chosen = pairs.iter().map(|pair| &pair.chosen);
    let rejected = pairs.iter().map(|pair| &pair.rejected);
    padded(&chosen.chain(rejected).collect::<Vec<_>>(), pad_id, IGNORED)
}

/// Prompts with their reference answers as labels, both padded to the same width with the pad id: labels are a text
/// here, no loss is made of them (S-143, S-151, S-154).
pub fn collate_prompts(prompts: &[EncodedPrompt], pad_id: u32) -> Padded {
    let row = |prompt: &EncodedPrompt| Encoded {
        input_ids: prompt.input_ids.clone(),
        labels: prompt.reference.iter().map(|id| i64::from(*id)).collect(),
        cut: prompt.cut,
    };
    collate_labels(&prompts.iter().map(row).collect::<Vec<_>>(), pad_id, i64::from(pad_id))
}

/// Pads to the longest row; padding does not count in the loss.
pub fn collate(rows: &[Encoded], pad_id: u32) -> Padded {
    collate_labels(rows, pad_id, IGNORED)
}

/// As [`collate`], with a label for padding. Ids and labels are padded to the same width (S-151).
pub fn collate_labels(rows: &[Encoded], pad_id: u32, label_pad: i64) -> Padded {
    padded(&rows.iter().collect::<Vec<_>>(), pad_id, label_pad)
}

fn padded(rows: &[&Encoded], pad_id: u32, label_pad: i64) -> Padded {
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

    fn encoded(ids: &[u32], labels: &[i64]) -> Encoded {
        Encoded { input_ids: ids.to_vec(), labels: labels.to_vec(), cut: 0 }
    }

    #[test]
    fn s_151_labels_may_be_wider_than_inputs() {
        let prompt = |ids: &[u32], reference: &[u32]| EncodedPrompt {
            input_ids: ids.to_vec(),
            reference: reference.to_vec(),
            cut: 0,
        };
        let padded = collate_prompts(&[prompt(&[5], &[6, 7, 8]), prompt(&[9, 9], &[1])], 0);
        assert_eq!((padded.t, padded.input_ids), (3, vec![0, 0, 5, 0, 9, 9]));
        assert_eq!(padded.labels, [6, 7, 8, 0, 0, 1]);
    }

    #[test]
    fn s_154_padding_counts_only_when_asked() {
        assert_eq!((label_pad(7, true), label_pad(7, false)), (-100, 7));
        let rows = [encoded(&[5, 6], &[5, 6]), encoded(&[7], &[7])];
        assert_eq!(collate_labels(&rows, 7, label_pad(7, false)).labels, [5, 6, 7, 7]);
        assert_eq!(collate(&rows, 7).labels, [5, 6, -100, 7], "S-152: a genuine pad id keeps its label");
    }

    #[test]
    fn s_155_chosen_rows_come_first_then_rejected_ones() {
        let pair = |good: &[u32], bad: &[u32]| EncodedPair {
            chosen: encoded(good, &vec![-100; good.len()]),
            rejected: encoded(bad, &vec![-100; bad.len()]),
        };
        let padded = collate_pairs(&[pair(&[1, 2], &[1, 3, 3]), pair(&[4], &[5])], 0);
        assert_eq!((padded.b, padded.t), (4, 3));
        assert_eq!(padded.input_ids, [0, 1, 2, 0, 0, 4, 1, 3, 3, 0, 0, 5]);
        assert_eq!(padded.attention_mask, [0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1]);
        assert_eq!(padded.position_ids(), [0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0]);
    }

    #[test]
    fn s_093_s_150_to_s_153_left_padding_with_masks_from_lengths() {
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
