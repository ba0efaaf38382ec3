//! Encoded rows in memory, and which of them a step trains on.

use contract::params::Hyper;
use corpus::Encoded;
use corpus::encode::{EncodedPair, EncodedPrompt};
use corpus::sampler::{order, split};

/// What a run learns from and is measured with.
#[derive(Clone, Debug)]
pub struct TrainData<T = Encoded> {
    /// Rows (or blocks) trained on.
    pub train: Vec<T>,
    /// Rows held out.
    pub eval: Vec<T>,
    /// Rows left out because they cannot teach.
    pub dropped_rows: u64,
    /// Rows that lost tokens to the length limits.
    pub cut_rows: u64,
    /// Pad id of the tokenizer.
    pub pad_id: u32,
}

impl<T> Default for TrainData<T> {
    fn default() -> Self {
        Self { train: Vec::new(), eval: Vec::new(), dropped_rows: 0, cut_rows: 0, pad_id: 0 }
    }
}

/// A row in the trainer's form.
pub trait TrainRow {
    /// Tokens lost to the length limits.
    fn cut(&self) -> usize;
    /// Tokens of its longest sequence.
    fn tokens(&self) -> usize;
}

impl TrainRow for Encoded {
    fn cut(&self) -> usize {
        self.cut
    }

    fn tokens(&self) -> usize {
        self.input_ids.len()
    }
}

impl TrainRow for EncodedPair {
    fn cut(&self) -> usize {
        self.chosen.cut + self.rejected.cut
    }

    fn tokens(&self) -> usize {
        self.chosen.input_ids.len().max(self.rejected.input_ids.len())
    }
}

impl TrainRow for EncodedPrompt {
    fn cut(&self) -> usize {
        self.cut
    }

    fn tokens(&self) -> usize {
        self.input_ids.len()
    }
}

impl<T: TrainRow> TrainData<T> {
    /// Tokens of the longest row trained on.
    pub fn longest(&self) -> usize {
        self.train.iter().map(TrainRow::tokens).max().unwrap_or(0)
    }

    /// Splits encoded rows (S-160): `dev_ratio` of them, rounded up, are held out.
    pub fn split(mut rows: Vec<T>, hyper: &Hyper) -> Self {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let (_, eval) = split(count, hyper.dev_ratio, hyper.seed);
        let cut_rows = rows.iter().filter(|row| row.cut() > 0).count() as u64;
        let held: std::collections::BTreeSet<u32> = eval.into_iter().collect();
        let (mut train, mut eval) = (Vec::new(), Vec::new());
        for (index, row) in rows.drain(..).enumerate() {
            let held = u32::try_from(index).is_ok_and(|index| held.contains(&index));
            if held { eval.push(row) } else { train.push(row) }
        }
        Self { train, eval, cut_rows, ..Self::default() }
    }
}

/// Which rows each step reads: a function of the step alone, so that a resumed run goes on exactly.
#[derive(Clone, Debug)]
pub struct Plan {
    rows: u32,
    batch: usize,
    accumulate: usize,
    seed: u64,
    epoch: u64,
    order: Vec<u32>,
}

impl Plan {
    /// A plan over `rows` rows.
    pub fn new(rows: usize, hyper: &Hyper) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let batch = hyper.per_device_train_batch_size.max(1);
        let accumulate = hyper.gradient_accumulation_steps.max(1);
        Self { rows, batch, accumulate, seed: hyper.seed, epoch: 0, order: order(rows, hyper.seed, 0) }
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
            self.order = order(self.rows, self.seed, epoch);
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
        let mut plan = Plan::new(9, &hyper(2, 2));
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
        let mut straight = Plan::new(10, &hyper(3, 1));
        let all: Vec<_> = (1..=9).map(|step| straight.micro_batches(step)).collect();
        assert_eq!(Plan::new(10, &hyper(3, 1)).micro_batches(7), all[6]);
    }

    #[test]
    fn s_160_held_out_rows_are_never_trained_on() {
        let rows: Vec<_> = (0..20_u32)
            .map(|id| Encoded { input_ids: vec![id], labels: vec![0], cut: usize::from(id == 3) })
            .collect();
        let mut hyper = hyper(2, 1);
        hyper.dev_ratio = 0.12;
        let data = TrainData::split(rows.clone(), &hyper);
        assert_eq!((data.train.len(), data.eval.len(), data.cut_rows), (17, 3, 1));
        assert!(data.eval.iter().all(|row| !data.train.contains(row)));
        hyper.dev_ratio = 0.0;
        assert!(TrainData::split(rows, &hyper).eval.is_empty());
    }
}
