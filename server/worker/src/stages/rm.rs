//! Reward model: the better answer of a pair is to score higher (S-168, S-186, S-187).

use contract::problem::Problem;
use corpus::EncodedPair;
use model::train::losses::reward::{WANTS, judge};

use super::{Recipe, Source, pairs};
use model::kernels::Kernels;

use crate::data::TrainData;
use crate::learner::{Learner, Made, Measured};
use crate::problems::of_model;

pub(super) struct Rm {
    data: TrainData<EncodedPair>,
}

impl Rm {
    pub(super) fn new(source: &Source) -> Self {
        Self { data: source.data() }
    }
}

impl<B: Kernels> Recipe<B> for Rm {
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        learner.judged_step(step, &pairs::micro(&self.data, micro)?, WANTS, |_, _| Ok(judge))
    }

    fn measure(&self, learner: &Learner<B>, places: &[u32], measured: &mut Measured) -> Result<(), Problem> {
        let pairs = self.data.at(places)?;
        let count = pairs.len();
        if count > 0 {
            let batch = pairs::batch(pairs, self.data.pad_id);
            let rows = learner.trainer_ref().outputs(&batch, WANTS, false).map_err(of_model)?;
            let judged = judge(&rows);
            measured.add(judged.loss, &judged.metrics, count);
        }
        Ok(())
    }
}
