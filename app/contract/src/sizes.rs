//! How many tokens the examples of a run hold, and how many come together in its largest batch.

use serde::{Deserialize, Serialize};

use crate::params::Hyper;
use crate::stage::Stage;

/// Sizes kept of the longest examples.
pub const KEPT: usize = 64;

/// Tokens of some examples after cutting: of a row, of both answers of a pair with their question, of a prompt or of a
/// block of plain text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Examples counted.
    pub count: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Sum of the squares of their sizes.
    pub squares: f64,
    /// Tokens that count in the loss.
    pub learned: u64,
    /// Tokens of the longest ones, longest first, at most [`KEPT`].
    pub longest: Vec<u64>,
}

impl Sizes {
    /// Counts an example.
    pub fn add(&mut self, tokens: u64, learned: u64) {
        self.count += 1;
        self.tokens += tokens;
        self.squares += (tokens as f64).powi(2);
        self.learned += learned;
        let place = self.longest.partition_point(|other| *other >= tokens);
        if place < KEPT {
            self.longest.insert(place, tokens);
            self.longest.truncate(KEPT);
        }
    }

    /// Counts all examples of another dataset.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.tokens += other.tokens;
        self.squares += other.squares;
        self.learned += other.learned;
        self.longest.extend(&other.longest);
        self.longest.sort_unstable_by_key(|tokens| std::cmp::Reverse(*tokens));
        self.longest.truncate(KEPT);
    }

    /// Mean tokens of an example; 0 when there is none.
    pub fn mean(&self) -> f64 {
        self.tokens as f64 / self.count.max(1) as f64
    }

    /// Share of the tokens that count in the loss, 0 to 1.
    pub fn learned_share(&self) -> f64 {
        self.learned as f64 / self.tokens.max(1) as f64
    }

    /// Expected tokens of the largest of `draws` batches of `rows` examples, drawn from `all` examples of which these
    /// are a sample.
    pub fn largest_batch(&self, rows: u64, all: u64, draws: u64) -> u64 {
        let rows = rows.min(all);
        let Some(longest) = self.longest.first().filter(|_| rows > 0) else { return 0 };
        let (count, mean) = (rows as f64, self.mean());
        let variance = (self.squares / self.count as f64 - mean * mean).max(0.0);
        // Drawn without putting back: all of them together do not vary at all.
        let left = (all - rows) as f64 / (all - 1).max(1) as f64;
        // Nine tenths of the bound sqrt(2 ln n) on the largest of n normal numbers: what is expected of 10 to 1,000.
        let beyond = 0.9 * (2.0 * (draws.max(1) as f64).ln()).sqrt();
        let spread = count * mean + beyond * (count * left * variance).sqrt();
        // The longest example meets others of mean size.
        let met =
            if draws.saturating_mul(rows) >= all { *longest as f64 + (count - 1.0) * mean } else { 0.0 };
        let last = self.longest.last().copied().unwrap_or(0);
        let kept: u64 = self.longest.iter().take(usize::try_from(rows).unwrap_or(KEPT)).sum();
        let together = kept + rows.saturating_sub(self.longest.len() as u64) * last;
        (spread.max(met).ceil() as u64).min(together)
    }
}

/// What the largest batch of a run holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Sequences; two for each pair.
    pub sequences: u64,
    /// Tokens without padding.
    pub tokens: u64,
    /// Tokens that count in the loss.
    pub learned: u64,
}

impl Load {
    /// That of a run over `rows` examples (or blocks) of these sizes.
    pub fn of(stage: Stage, hyper: &Hyper, sizes: &Sizes, rows: u64) -> Self {
        let batch = (hyper.per_device_train_batch_size as u64).min(rows);
        let accumulated = hyper.gradient_accumulation_steps.max(1) as u64;
        let draws = hyper.total_steps(rows).saturating_mul(accumulated);
        let tokens = sizes.largest_batch(batch, rows, draws);
        let learned = (tokens as f64 * sizes.learned_share()).ceil() as u64;
        match stage {
            // Answers are drawn behind the prompts, the longest as long as is allowed (S-203).
            Stage::Ppo => {
                let answers = batch * hyper.max_target_length as u64;
                Self { sequences: batch, tokens: tokens + answers, learned: answers }
            }
            Stage::Rm => Self { sequences: 2 * batch, tokens, learned: 0 },
            Stage::Dpo => Self { sequences: 2 * batch, tokens, learned },
            Stage::Pt | Stage::Sft => Self { sequences: batch, tokens, learned },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Tuning;

    fn sizes(tokens: impl IntoIterator<Item = u64>) -> Sizes {
        let mut sizes = Sizes::default();
        tokens.into_iter().for_each(|tokens| sizes.add(tokens, tokens / 2));
        sizes
    }

    fn hyper(values: &[(&str, &str)]) -> Hyper {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Hyper::read(&values, Stage::Sft, Tuning::Lora).expect("valid")
    }

    #[test]
    fn a_batch_holds_no_more_rows_than_there_are() {
        let all = sizes([10, 20, 30]);
        assert_eq!(all.largest_batch(512, 3, 9), 60);
        assert_eq!(all.largest_batch(3, 3, 1), 60);
        let load = Load::of(Stage::Sft, &hyper(&[("per_device_train_batch_size", "512")]), &all, 3);
        assert_eq!((load.sequences, load.tokens, load.learned), (3, 60, 30));
        assert_eq!(Sizes::default().largest_batch(4, 0, 1), 0);
    }

    #[test]
    fn rows_one_at_a_time_take_what_the_longest_takes() {
        let all = sizes((0..100).map(|row| if row == 7 { 900 } else { 40 }));
        assert_eq!(all.largest_batch(1, 100, 300), 900);
        assert_eq!(all.largest_batch(4, 100, 75), 900 + 3 * 40);
        assert!(all.largest_batch(4, 100, 1) < 400, "one step may well miss it");
    }

    #[test]
    fn rows_of_one_size_have_batches_of_one_size_and_others_lie_between_mean_and_worst() {
        assert_eq!(sizes([64; 500]).largest_batch(8, 500, 1000), 512);
        // Real draws: 20,000 rows of 10 to 109 tokens, 400 batches of 16.
        let mut state = 1u64;
        let mut drawn = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            10 + (state >> 33) % 100
        };
        let rows: Vec<u64> = (0..20_000).map(|_| drawn()).collect();
        let real = rows.chunks(16).take(400).map(|batch| batch.iter().sum::<u64>()).max().expect("batches");
        let expected = sizes(rows).largest_batch(16, 20_000, 400);
        let ratio = expected as f64 / real as f64;
        assert!((0.9..1.15).contains(&ratio), "{expected} of {real}");
    }

    #[test]
    fn sizes_of_two_datasets_add_up() {
        let (mut one, two) = (sizes([5, 9]), sizes([7]));
        one.merge(&two);
        assert_eq!(one, sizes([5, 9, 7]));
        assert_eq!(one.longest, [9, 7, 5]);
    }

    #[test]
    fn s_203_a_ppo_batch_holds_its_answers_as_well() {
        let mut hyper = hyper(&[("per_device_train_batch_size", "2")]);
        hyper.max_target_length = 64;
        let load = Load::of(Stage::Ppo, &hyper, &sizes([10, 10, 10]), 3);
        assert_eq!((load.sequences, load.tokens, load.learned), (2, 20 + 128, 128));
    }
}
