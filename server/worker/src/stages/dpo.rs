//! Direct preference optimisation; the reference is the model without its adapter.

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::EncodedPair;
use model::train::losses::dpo::{Dpo, DpoKind, WANTS};

use super::{Recipe, Source, pairs};
use model::kernels::Kernels;

use crate::data::TrainData;
use crate::learner::{Learner, Made, Measured};
use crate::problems::of_model;

pub(super) struct DpoRun {
    data: TrainData<EncodedPair>,
    loss: Dpo,
}

impl DpoRun {
    pub(super) fn new(spec: &RunSpec, source: &Source) -> Self {
        let hyper = &spec.hyper;
        let kind = match hyper.dpo_loss.as_str() {
            "ipo" => DpoKind::Ipo,
            "hinge" => DpoKind::Hinge,
            _ => DpoKind::Sigmoid,
        };
        let loss = Dpo { kind, beta: hyper.dpo_beta, label_smoothing: hyper.dpo_label_smoothing };
        Self { data: source.data(), loss }
    }
}

impl<B: Kernels> Recipe<B> for DpoRun {
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let loss = self.loss;
        learner.judged_step(step, &pairs::micro(&self.data, micro)?, WANTS, |trainer, batch| {
            let reference = trainer.outputs(batch, WANTS, true).map_err(of_model)?;
            Ok(move |rows: &[model::train::Row]| loss.judge(rows, &reference))
        })
    }

    fn measure(&self, learner: &Learner<B>, places: &[u32], measured: &mut Measured) -> Result<(), Problem> {
        let pairs = self.data.at(places)?;
        let count = pairs.len();
        if count > 0 {
            let batch = pairs::batch(pairs, self.data.pad_id);
            let rows = |without| learner.trainer_ref().outputs(&batch, WANTS, without).map_err(of_model);
            let judged = self.loss.judge(&rows(false)?, &rows(true)?);
            measured.add(judged.loss, &judged.metrics, count);
        }
        Ok(())
    }
}
