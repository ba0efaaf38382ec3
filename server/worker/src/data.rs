//! Rows of a run, read by position from where they were prepared, and which of them a step trains on.

use std::marker::PhantomData;
use std::sync::Arc;

use contract::Code;
use contract::params::Hyper;
use contract::problem::Problem;
use corpus::Encoded;
use corpus::encode::{EncodedPair, EncodedPrompt, Example};
use corpus::prepared::Prepared;
use corpus::sampler::{order, split, windowed_order};

/// A row in the trainer's form.
pub trait TrainRow: Sized {
    /// Takes it out of what was prepared; `None` when that is of another kind.
    fn of(example: Example) -> Option<Self>;
}

impl TrainRow for Encoded {
    fn of(example: Example) -> Option<Self> {
        if let Example::Sequence(row) = example { Some(row) } else { None }
    }
}

impl TrainRow for EncodedPair {
    fn of(example: Example) -> Option<Self> {
        if let Example::Pair(pair) = example { Some(pair) } else { None }
    }
}

impl TrainRow for EncodedPrompt {
    fn of(example: Example) -> Option<Self> {
        if let Example::Prompt(prompt) = example { Some(prompt) } else { None }
    }
}

/// Which rows are trained on and which are held out (S-160), by their place among the prepared ones. Both ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Rows trained on.
    pub train: Vec<u32>,
    /// Rows held out.
    pub eval: Vec<u32>,
}

impl Split {
    /// Holds out `dev_ratio` of so many rows, rounded up.
    pub fn of(rows: u64, hyper: &Hyper) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let (train, eval) = split(rows, hyper.dev_ratio, hyper.seed);
        Self { train, eval }
    }
}

/// What a run learns from and is measured with.
#[derive(Clone, Debug)]
pub struct TrainData<T = Encoded> {
    store: Arc<Prepared>,
    split: Arc<Split>,
    /// Pad id of the tokenizer.
    pub pad_id: u32,
    kind: PhantomData<T>,
}

impl<T: TrainRow> TrainData<T> {
    /// Rows of a store.
    pub fn new(store: Arc<Prepared>, split: Arc<Split>, pad_id: u32) -> Self {
        Self { store, split, pad_id, kind: PhantomData }
    }

    /// Rows trained on, by their numbers in a [`Plan`]; waits for those that are still prepared.
    ///
    /// # Errors
    /// What preparation found.
    pub fn rows(&self, numbers: &[u32]) -> Result<Vec<T>, Problem> {
        numbers.iter().map(|number| self.row(*number as usize)).collect()
    }

    fn row(&self, number: usize) -> Result<T, Problem> {
        let train = &self.split.train;
        if let Some(row) = train.get(number).map(|place| self.read(*place)).transpose()?.flatten() {
            return Ok(row);
        }
        // Rows that the template refused were counted as well: others take their turns.
        let there = self.store.wait()?.examples;
        let left = train.partition_point(|place| u64::from(*place) < there);
        let other = number.checked_rem(left).and_then(|other| train.get(other));
        other.map(|place| self.read(*place)).transpose()?.flatten().ok_or_else(|| {
            Problem::new(Code::DataDamaged, "A prepared row is missing.")
                .hint("Delete the folder of prepared rows; they are made anew.")
        })
    }

    /// Rows by their places among the prepared ones; waits for those that are still prepared. A place behind the last
    /// row, of which a template refused some, has none.
    ///
    /// # Errors
    /// What preparation found.
    pub fn at(&self, places: &[u32]) -> Result<Vec<T>, Problem> {
        places.iter().filter_map(|place| self.read(*place).transpose()).collect()
    }

    fn read(&self, place: u32) -> Result<Option<T>, Problem> {
        Ok(self.store.get(u64::from(place))?.and_then(T::of))
    }
}

/// Which rows each step reads: a function of the step alone, so that a resumed run goes on exactly.
#[derive(Clone, Debug)]
pub struct Plan {
    rows: u32,
    batch: usize,
    accumulate: usize,
    seed: u64,
    window: Option<u32>,
    epoch: u64,
    order: Vec<u32>,
}

impl Plan {
    /// A plan over `rows` rows. With a window, the first round needs no row far ahead of those already read: it is
    /// shuffled within windows of so many rows; later rounds are shuffled as a whole.
    pub fn new(rows: usize, window: Option<u32>, hyper: &Hyper) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let batch = hyper.per_device_train_batch_size.max(1);
        let accumulate = hyper.gradient_accumulation_steps.max(1);
        let plan = Self { rows, batch, accumulate, seed: hyper.seed, window, epoch: 0, order: Vec::new() };
        Self { order: plan.order_of(0), ..plan }
    }

    fn order_of(&self, epoch: u64) -> Vec<u32> {
        match self.window {
            Some(window) if epoch == 0 => windowed_order(self.rows, window, self.seed, epoch),
            _ => order(self.rows, self.seed, epoch),
        }
    }

    fn batches_per_epoch(&self) -> usize {
        (self.rows as usize).div_ceil(self.batch)
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.batches_per_epoch().div_ceil(self.accumulate) as u64).max(1)
    }

    /// Row numbers of each micro-batch of a step (from 1). The last step of a round may have fewer.
    pub fn micro_batches(&mut self, step: u64) -> Vec<Vec<u32>> {
        let (epoch, group) = ((step - 1) / self.steps_per_epoch(), (step - 1) % self.steps_per_epoch());
        if epoch != self.epoch {
            self.epoch = epoch;
            self.order = self.order_of(epoch);
        }
        let size = self.batch * self.accumulate;
        let start = usize::try_from(group).unwrap_or(usize::MAX).saturating_mul(size).min(self.order.len());
        let end = (start + size).min(self.order.len());
        self.order[start..end].chunks(self.batch).map(<[u32]>::to_vec).collect()
    }

    /// Rounds through the data after a step.
    pub fn epoch_after(&self, step: u64) -> f64 {
        let per_epoch = self.steps_per_epoch();
        let within = (step % per_epoch) as usize * self.accumulate;
        (step / per_epoch) as f64 + within as f64 / self.batches_per_epoch().max(1) as f64
    }

    /// Micro-batches read after a step, since the start of the run.
    pub fn micro_batches_after(&self, step: u64) -> u64 {
        let per_epoch = self.steps_per_epoch();
        (step / per_epoch) * self.batches_per_epoch() as u64 + (step % per_epoch) * self.accumulate as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::stage::{Stage, Tuning};

    fn hyper(batch: usize, accumulate: usize) -> Hyper {
        let mut hyper = Hyper::read(&Default::default(), Stage::Sft, Tuning::Lora).expect("defaults");
        hyper.per_device_train_batch_size = batch;
        hyper.gradient_accumulation_steps = accumulate;
        hyper
    }

    #[test]
    fn every_round_reads_every_row_once_and_in_another_order() {
        let mut plan = Plan::new(9, None, &hyper(2, 2));
        let mut rounds = Vec::new();
        for round in 0..2 {
            let steps: Vec<_> = (1..=3).map(|step| plan.micro_batches(round * 3 + step)).collect();
            assert_eq!(
                steps.iter().map(Vec::len).collect::<Vec<_>>(),
                [2, 2, 1],
                "the rest makes a step of its own"
            );
            let rows: Vec<u32> = steps.into_iter().flatten().flatten().collect();
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..9).collect::<Vec<_>>());
            rounds.push(rows);
        }
        assert_ne!(rounds[0], rounds[1]);
        assert_eq!((plan.micro_batches_after(3), plan.micro_batches_after(4)), (5, 7));
        assert!((plan.epoch_after(4) - 1.4).abs() < 1e-12);
    }

    #[test]
    fn a_step_reads_the_same_rows_whenever_it_is_asked() {
        let mut straight = Plan::new(10, None, &hyper(3, 1));
        let all: Vec<_> = (1..=9).map(|step| straight.micro_batches(step)).collect();
        assert_eq!(Plan::new(10, None, &hyper(3, 1)).micro_batches(7), all[6]);
    }

    #[test]
    fn a_first_round_in_windows_stays_near_and_later_ones_do_not() {
        let mut plan = Plan::new(1000, Some(100), &hyper(10, 1));
        let round = |plan: &mut Plan, round: u64| -> Vec<u32> {
            (1..=100).flat_map(|step| plan.micro_batches(round * 100 + step)).flatten().collect()
        };
        let (first, second) = (round(&mut plan, 0), round(&mut plan, 1));
        assert!(first.iter().enumerate().all(|(at, row)| *row as usize / 100 == at / 100));
        assert_ne!(first, (0..1000).collect::<Vec<_>>(), "shuffled within");
        assert!(second.iter().take(100).any(|row| *row >= 100));
        assert_eq!(Plan::new(1000, Some(100), &hyper(10, 1)).micro_batches(42)[0], first[410..420]);
    }

    #[test]
    fn s_160_held_out_rows_are_never_trained_on() {
        let mut hyper = hyper(2, 1);
        hyper.dev_ratio = 0.12;
        let split = Split::of(20, &hyper);
        assert_eq!((split.train.len(), split.eval.len()), (17, 3));
        assert!(split.eval.iter().all(|row| !split.train.contains(row)));
        hyper.dev_ratio = 0.0;
        assert!(Split::of(20, &hyper).eval.is_empty());
    }
}
