//! Reward model: the better answer of a pair is to score higher (S-168, S-186, S-187).

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{EncodedPair, Encoder};
use model::train::losses::reward::{WANTS, judge};

use super::{Facts, Recipe, pairs};
use model::kernels::Kernels;

use crate::data::TrainData;
use crate::learner::{Learner, Made, Measured};
use crate::problems::of_model;

pub(super) struct Rm {
    data: TrainData<EncodedPair>,
    batch: usize,
}

pub(super) fn encode(spec: &RunSpec, encoder: &Encoder) -> Result<Rm, Problem> {
    let batch = spec.hyper.per_device_train_batch_size.max(1);
    Ok(Rm { data: pairs::data(spec, encoder)?, batch })
}

impl<B: Kernels> Recipe<B> for Rm {
    fn facts(&self) -> Facts {
        Facts::of(&self.data)
    }

    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        learner.judged_step(step, &pairs::micro(&self.data, micro), WANTS, |_, _| Ok(judge))
    }

    fn evaluate(&self, learner: &Learner<B>) -> Result<Measured, Problem> {
        let mut measured = Measured::default();
        for pairs in self.data.eval.chunks(self.batch) {
            let batch = pairs::batch(pairs.iter(), self.data.pad_id);
            let rows = learner.trainer_ref().outputs(&batch, WANTS, false).map_err(of_model)?;
            let judged = judge(&rows);
            measured.add(judged.loss, &judged.metrics, pairs.len());
        }
        Ok(measured)
    }
}
