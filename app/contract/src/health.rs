//! What a dataset will give a run: rows used and lost, with reasons and row numbers, and how long they are.

use serde::{Deserialize, Serialize};

use crate::params::held_out;
use crate::row_reason::RowReason;
use crate::sizes::Sizes;
use crate::stage::Stage;

/// Row numbers kept of each kind of finding; the count goes on.
pub const ROWS_KEPT: usize = 100;

/// Upper ends of the length buckets, tokens: each about 19% wider than the one before, four to a doubling, so that a
/// cutoff can be dragged along them. The last bucket holds everything longer.
pub const BUCKETS: [u32; 52] = [
    8, 10, 12, 14, 16, 19, 23, 27, 32, 38, 45, 54, 64, 76, 91, 108, 128, 152, 181, 215, 256, 304, 362, 431,
    512, 609, 724, 861, 1024, 1218, 1448, 1722, 2048, 2435, 2896, 3444, 4096, 4871, 5793, 6889, 8192, 9742,
    11_585, 13_777, 16_384, 19_484, 23_170, 27_554, 32_768, 38_968, 46_341, 55_109,
];

/// How many rows, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSet {
    /// Rows in all.
    pub count: u64,
    /// Numbers from 1 of the first [`ROWS_KEPT`].
    pub first: Vec<u64>,
}

impl RowSet {
    /// Counts a row.
    pub fn add(&mut self, row: u64) {
        self.count += 1;
        if self.first.len() < ROWS_KEPT {
            self.first.push(row);
        }
    }
}

/// Rows left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The reason.
    pub reason: RowReason,
    /// The rows.
    pub rows: RowSet,
}

/// What of rows was cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncated {
    /// Rows that lost something.
    pub rows: RowSet,
    /// Tokens of questions lost.
    pub question_tokens: u64,
    /// Tokens of answers lost.
    pub answer_tokens: u64,
    /// Rows whose every answer token was cut, so that they teach nothing.
    pub nothing_left: RowSet,
    /// Rows that lost every word of a question: the limit holds no more than what stands around it.
    pub no_question_left: RowSet,
}

/// Token lengths of whole rows before cutting, in [`BUCKETS`] and one more for longer ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Rows in each bucket; one more than [`BUCKETS`].
    pub rows: Vec<u64>,
    /// Shortest, tokens; 0 when there is none.
    pub shortest: u64,
    /// Longest, tokens.
    pub longest: u64,
    /// Sum of all lengths, tokens.
    pub total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { rows: vec![0; BUCKETS.len() + 1], shortest: 0, longest: 0, total: 0 }
    }
}

impl Histogram {
    /// Counts a length.
    pub fn add(&mut self, tokens: u64) {
        let bucket = BUCKETS.partition_point(|end| u64::from(*end) < tokens);
        if let Some(rows) = self.rows.get_mut(bucket) {
            *rows += 1;
        }
        self.shortest = if self.counted() == 1 { tokens } else { self.shortest.min(tokens) };
        self.longest = self.longest.max(tokens);
        self.total += tokens;
    }

    /// Rows counted.
    pub fn counted(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Rows not longer than the bucket that holds `cutoff`: what a limit of so many tokens keeps whole.
    pub fn within(&self, cutoff: u64) -> u64 {
        let buckets = BUCKETS.partition_point(|end| u64::from(*end) <= cutoff);
        self.rows.iter().take(buckets).sum()
    }

    /// The end of the bucket by which a share of rows (0 to 1) is reached, tokens.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.counted() as f64 * share).ceil();
        let mut seen = 0;
        for (rows, end) in self.rows.iter().zip(BUCKETS) {
            seen += rows;
            if seen as f64 >= wanted {
                return u64::from(end).min(self.longest);
            }
        }
        self.longest
    }
}

/// Rows that a run holds out for measuring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOut {
    /// How many.
    pub rows: u64,
    /// Of these, rows that stand among the training rows as well, word for word: what they measure was learnt by heart.
    /// In pre-training a row is held out with the block it begins in.
    pub learned: RowSet,
}

/// Training examples below which a model learns them by heart rather than what they have in common: the usual share of
/// one in twenty holds out a single one, whose loss says next to nothing.
pub const FEW: u64 = 20;

/// Why a run would have too little to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooFew {
    /// Fewer than [`FEW`] examples.
    Examples,
    /// Fewer than a single step takes, so that every round is one step, smaller than was asked for.
    Step,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Stage it is for.
    pub stage: Stage,
    /// Rows read.
    pub rows: u64,
    /// Rows (for pre-training: texts) that teach.
    pub used: u64,
    /// Rows left out, by reason, most frequent first. Reasons beyond 50 are gathered as [`RowReason::Others`].
    pub left_out: Vec<LeftOut>,
    /// What the limits cut.
    pub truncated: Truncated,
    /// Rows with an empty answer.
    pub empty_answers: RowSet,
    /// Rows whose question and answer stood before, word for word.
    pub duplicates: RowSet,
    /// Whether the set was too large to remember every row, so that later duplicates may be missed.
    pub duplicates_partial: bool,
    /// Pairs whose two answers are the same: they teach nothing.
    pub equal_pairs: RowSet,
    /// Rows whose texts hold words of control tokens, which are read as plain text unless the run says otherwise.
    pub control_words: RowSet,
    /// Whether the model's template opens an answer that is asked for otherwise than the answers it prints, so that a
    /// model is asked otherwise than it was trained.
    pub asks_otherwise: bool,
    /// Pairs whose two answers differ, but only in what the limits cut: they teach nothing either.
    pub equal_when_cut: RowSet,
    /// Rows after whose answer, or text, nothing stands that would end it: what learns from them never stops.
    pub no_end_token: RowSet,
    /// Tokens of the longest sequence the model has positions for, where that is known.
    pub positions: Option<u64>,
    /// Rows with more tokens, after cutting, than the model has positions; in pre-training, those that end such a block.
    pub beyond_positions: RowSet,
    /// Lengths before cutting.
    pub lengths: Histogram,
    /// Tokens the model sees in one round, after cutting.
    pub tokens: u64,
    /// Tokens that count in the loss in one round.
    pub learned_tokens: u64,
    /// Tokens of pre-training texts that fill no block and are dropped, as the original did.
    pub dropped_tokens: u64,
    /// Training examples in one round: rows, or blocks in pre-training.
    pub examples: u64,
    /// Sizes of the examples after cutting.
    pub sizes: Sizes,
    /// Rows held out; `None` where none are, or they were not looked for: in a part of the rows, in very many, in texts
    /// packed as the original did.
    pub held_out: Option<HeldOut>,
    /// 1: every row was read; else one of so many, and every number here is that of these rows alone.
    pub every: u64,
}

impl HealthReport {
    /// A report of no rows yet; one of `every` rows is read.
    pub fn new(stage: Stage, every: u64) -> Self {
        Self {
            stage,
            rows: 0,
            used: 0,
            left_out: Vec::new(),
            truncated: Truncated::default(),
            empty_answers: RowSet::default(),
            duplicates: RowSet::default(),
            duplicates_partial: false,
            equal_pairs: RowSet::default(),
            control_words: RowSet::default(),
            asks_otherwise: false,
            equal_when_cut: RowSet::default(),
            no_end_token: RowSet::default(),
            positions: None,
            beyond_positions: RowSet::default(),
            lengths: Histogram::default(),
            tokens: 0,
            learned_tokens: 0,
            dropped_tokens: 0,
            examples: 0,
            sizes: Sizes::default(),
            held_out: None,
            every,
        }
    }

    /// Examples that a run learns from when it holds out a share of them (S-160).
    fn trained(&self, dev_ratio: f64) -> u64 {
        let held = held_out(self.examples, dev_ratio);
        self.examples - held.min(self.examples.saturating_sub(1))
    }

    /// Whether a run whose steps take `at_once` examples would have too little to learn from; a report of nothing says
    /// so by itself.
    pub fn too_few(&self, dev_ratio: f64, at_once: u64) -> Option<TooFew> {
        let all = self.examples * self.every.max(1);
        match all {
            0 => None,
            1..FEW => Some(TooFew::Examples),
            _ if self.every <= 1 && self.trained(dev_ratio) < at_once => Some(TooFew::Step),
            _ => None,
        }
    }

    /// Optimizer steps of `epochs` rounds (S-160), as the trainer counts them.
    pub fn steps(&self, dev_ratio: f64, batch: u64, accumulation: u64, epochs: f64) -> u64 {
        let train = self.trained(dev_ratio);
        let round = train.div_ceil(batch.max(1)).div_ceil(accumulation.max(1));
        (round as f64 * epochs).ceil() as u64
    }
}

/// How far a health pass or a preparation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Rows read.
    pub rows: u64,
    /// Rows in all; 0 when not known.
    pub total: u64,
    /// Tokens made.
    pub tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cutoff_tells_how_many_rows_stay_whole() {
        let mut lengths = Histogram::default();
        for tokens in [3, 8, 9, 100, 512, 513, 100_000] {
            lengths.add(tokens);
        }
        assert_eq!((lengths.counted(), lengths.shortest, lengths.longest), (7, 3, 100_000));
        assert_eq!((lengths.within(8), lengths.within(512), lengths.within(55_109)), (2, 5, 6));
        assert_eq!(lengths.quantile(0.5), 108);
        assert_eq!(lengths.quantile(1.0), 100_000);
    }

    #[test]
    fn too_few_rows_are_fewer_than_twenty_or_than_a_step_takes() {
        let report = |examples| HealthReport { examples, ..HealthReport::new(Stage::Sft, 1) };
        for (examples, at_once, wanted) in [
            (0, 8, None),
            (1, 1, Some(TooFew::Examples)),
            (19, 64, Some(TooFew::Examples)),
            (20, 19, None),
            (20, 20, Some(TooFew::Step)),
            (64, 64, Some(TooFew::Step)),
            (68, 64, None),
        ] {
            assert_eq!(report(examples).too_few(0.05, at_once), wanted, "{examples} rows, {at_once} at once");
        }
        assert_eq!(report(64).too_few(0.0, 64), None);
        let some = HealthReport { every: 5, ..report(4) };
        assert_eq!(some.too_few(0.05, 64), None, "one of five rows was read");
    }

    #[test]
    fn buckets_ascend() {
        assert!(BUCKETS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn row_numbers_are_bounded_and_counts_are_not() {
        let mut rows = RowSet::default();
        (1..=1000).for_each(|row| rows.add(row));
        assert_eq!((rows.count, rows.first.len(), rows.first[99]), (1000, ROWS_KEPT, 100));
    }
}
