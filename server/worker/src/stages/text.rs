//! pt and sft: the plain cross-entropy.

use std::collections::BTreeMap;

use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use corpus::Encoder;
use model::kernels::Kernels;
use model::train::losses::perplexity;

use super::predict::{self, Question};
use super::{Finish, Recipe, Source};
use crate::data::TrainData;
use crate::learner::{self, Learner, Made, Measured};

/// Rows of pt or sft.
pub(super) struct Text {
    stage: Stage,
    data: TrainData,
    batch: usize,
    questions: Vec<Question>,
    encoder: Encoder,
}

impl Text {
    /// What a specification asks of these rows.
    pub(super) fn new(spec: &RunSpec, source: &Source) -> Result<Self, Problem> {
        let hyper = &spec.hyper;
        let asked = spec.stage == Stage::Sft && hyper.predict_with_generate;
        Ok(Self {
            stage: spec.stage,
            data: source.data(),
            batch: hyper.per_device_train_batch_size,
            questions: if asked { source.questions(hyper.predict_samples)? } else { Vec::new() },
            encoder: source.encoder().clone(),
        })
    }
}

impl<B: Kernels> Recipe<B> for Text {
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let batch = |rows: &Vec<u32>| Ok(learner::batch(&self.data.rows(rows)?, self.data.pad_id));
        learner.step(step, &micro.iter().map(batch).collect::<Result<Vec<_>, Problem>>()?)
    }

    fn evaluate(&self, learner: &Learner<B>) -> Result<Measured, Problem> {
        let batches = self.data.held_out(self.batch);
        learner.evaluate(batches.map(|rows| Ok(learner::batch(&rows?, self.data.pad_id))))
    }

    fn extend(&self, loss: Option<f64>, metrics: &mut BTreeMap<String, f64>) {
        if let (Stage::Pt, Some(loss)) = (self.stage, loss) {
            metrics.insert("perplexity".to_owned(), perplexity(loss));
        }
    }

    fn finish(
        &mut self,
        learner: &Learner<B>,
        end: &mut Finish<'_>,
    ) -> Result<BTreeMap<String, f64>, Problem> {
        if self.questions.is_empty() {
            return Ok(BTreeMap::new());
        }
        predict::run(learner.model(), &self.encoder, &self.questions, end)
    }
}
