//! Several rows in one block without one seeing another: an extra beside padding.

use super::{Encoded, IGNORED};

/// Rows laid one behind the other. Attention stays within a segment, and positions begin again in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Token ids of all segments `[tokens]`.
    pub input_ids: Vec<u32>,
    /// Labels `[tokens]`; the first of each segment is [`IGNORED`], for the token before it belongs to another row.
    pub labels: Vec<i64>,
    /// Position of each token within its segment `[tokens]`.
    pub position_ids: Vec<u32>,
    /// Tokens of each segment, in order; they add up to all tokens.
    pub segments: Vec<usize>,
}

impl Packed {
    /// Appends a row as a segment of its own.
    pub fn push(&mut self, row: &Encoded) {
        let tokens = row.input_ids.len();
        if tokens == 0 {
            return;
        }
        self.input_ids.extend(&row.input_ids);
        self.labels.push(IGNORED);
        self.labels.extend(row.labels.iter().skip(1).take(tokens - 1));
        self.position_ids.extend((0..tokens).map(|at| u32::try_from(at).unwrap_or(u32::MAX)));
        self.segments.push(tokens);
    }

    /// Number of the segment each token belongs to `[tokens]`, from 0: tokens see only their own.
    pub fn segment_ids(&self) -> Vec<u32> {
        let numbered = self.segments.iter().zip(0_u32..);
        numbered.flat_map(|(length, number)| std::iter::repeat_n(number, *length)).collect()
    }
}

/// Blocks kept open at a time: packing looks back no further, so that it streams and stays near the order of rows.
const OPEN: usize = 64;

/// Puts rows of these lengths into blocks of at most `capacity` tokens, each row whole and in exactly one block; a
/// row longer than that has a block of its own. Every row goes into the fullest open block it fits.
pub fn assign(lengths: impl IntoIterator<Item = usize>, capacity: usize) -> Vec<Vec<usize>> {
    let mut blocks: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for (row, length) in lengths.into_iter().enumerate() {
        let fits = open.iter().copied().filter(|at| blocks[*at].0 + length <= capacity);
        match fits.max_by_key(|at| (blocks[*at].0, usize::MAX - *at)) {
            Some(at) => {
                blocks[at].0 += length;
                blocks[at].1.push(row);
                if blocks[at].0 == capacity {
                    open.retain(|other| *other != at);
                }
            }
            None => {
                if length < capacity {
                    open.push(blocks.len());
                }
                blocks.push((length, vec![row]));
                if open.len() > OPEN {
                    open.remove(0);
                }
            }
        }
    }
    blocks.into_iter().map(|(_, rows)| rows).collect()
}

/// Packs rows into blocks of at most `capacity` tokens.
pub fn pack(rows: &[Encoded], capacity: usize) -> Vec<Packed> {
    let blocks = assign(rows.iter().map(|row| row.input_ids.len()), capacity);
    let block = |members: Vec<usize>| {
        let mut packed = Packed::default();
        members.into_iter().for_each(|row| packed.push(&rows[row]));
        packed
    };
    blocks.into_iter().map(block).filter(|packed| !packed.segments.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(ids: std::ops::Range<u32>) -> Encoded {
        let labels = ids.clone().map(i64::from).collect();
        Encoded { input_ids: ids.collect(), labels, cut: 0 }
    }

    #[test]
    fn rows_share_a_block_and_see_only_themselves() {
        let packed = pack(&[row(1..4), row(10..12), row(20..25)], 5);
        assert_eq!(packed.len(), 2);
        assert_eq!(packed[0].input_ids, [1, 2, 3, 10, 11]);
        assert_eq!(packed[0].position_ids, [0, 1, 2, 0, 1]);
        assert_eq!(packed[0].labels, [IGNORED, 2, 3, IGNORED, 11], "no row is predicted from another's end");
        assert_eq!(packed[0].segment_ids(), [0, 0, 0, 1, 1]);
        assert_eq!(packed[1].segments, [5]);
    }

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_block(lengths in prop::collection::vec(0_usize..40, 0..300), capacity in 1_usize..64) {
            let blocks = assign(lengths.iter().copied(), capacity);
            let mut rows: Vec<usize> = blocks.iter().flatten().copied().collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            for block in &blocks {
                let tokens: usize = block.iter().map(|row| lengths[*row]).sum();
                prop_assert!(tokens <= capacity || block.len() == 1);
            }
        }
    }
}
