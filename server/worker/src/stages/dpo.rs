//! Direct preference optimisation; the reference is the model without its adapter.

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{EncodedPair, Encoder};
use model::train::losses::dpo::{Dpo, DpoKind, WANTS};

use super::{Facts, Recipe, pairs};
use model::kernels::Kernels;

use crate::data::TrainData;
use crate::learner::{Learner, Made, Measured};
use crate::problems::of_model;

pub(super) struct DpoRun {
    data: TrainData<EncodedPair>,
    batch: usize,
    loss: Dpo,
}

pub(super) fn encode(spec: &RunSpec, encoder: &Encoder) -> Result<DpoRun, Problem> {
    let hyper = &spec.hyper;
    let kind = match hyper.dpo_loss.as_str() {
        "ipo" => DpoKind::Ipo,
        "hinge" => DpoKind::Hinge,
        _ => DpoKind::Sigmoid,
    };
    let loss = Dpo { kind, beta: hyper.dpo_beta, label_smoothing: hyper.dpo_label_smoothing };
    let batch = hyper.per_device_train_batch_size.max(1);
    Ok(DpoRun { data: pairs::data(spec, encoder)?, batch, loss })
}

impl<B: Kernels> Recipe<B> for DpoRun {
    fn facts(&self) -> Facts {
        Facts::of(&self.data)
    }

    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let loss = self.loss;
        learner.judged_step(step, &pairs::micro(&self.data, micro), WANTS, |trainer, batch| {
            let reference = trainer.outputs(batch, WANTS, true).map_err(of_model)?;
            Ok(move |rows: &[model::train::Row]| loss.judge(rows, &reference))
        })
    }

    fn evaluate(&self, learner: &Learner<B>) -> Result<Measured, Problem> {
        let mut measured = Measured::default();
        for pairs in self.data.eval.chunks(self.batch) {
            let batch = pairs::batch(pairs.iter(), self.data.pad_id);
            let rows = |without| learner.trainer_ref().outputs(&batch, WANTS, without).map_err(of_model);
            let judged = self.loss.judge(&rows(false)?, &rows(true)?);
            measured.add(judged.loss, &judged.metrics, pairs.len());
        }
        Ok(measured)
    }
}
