//! pt and sft: the plain cross-entropy.

use std::collections::BTreeMap;

use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use model::kernels::Kernels;
use model::train::losses::perplexity;

use super::questions::Questions;
use super::{Finish, Recipe, Source, predict};
use crate::data::TrainData;
use crate::learner::{self, Learner, Made, Measured};

/// Rows of pt or sft.
pub(super) struct Text {
    stage: Stage,
    data: TrainData,
    questions: Questions,
}

impl Text {
    /// What a specification asks of these rows; so many held-out questions are answered at the end.
    pub(super) fn new(spec: &RunSpec, source: &Source, answers: u64) -> Self {
        let most = usize::try_from(answers).unwrap_or(usize::MAX);
        Self {
            stage: spec.stage,
            data: source.data(),
            questions: source.questions(source.draw(most, spec.hyper.seed)),
        }
    }
}

impl<B: Kernels> Recipe<B> for Text {
    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let batch = |rows: &Vec<u32>| Ok(learner::batch(&self.data.rows(rows)?, self.data.pad_id));
        learner.step(step, &micro.iter().map(batch).collect::<Result<Vec<_>, Problem>>()?)
    }

    fn measure(&self, learner: &Learner<B>, places: &[u32], measured: &mut Measured) -> Result<(), Problem> {
        let rows = self.data.at(places)?;
        if rows.is_empty() {
            return Ok(());
        }
        learner.measure(&learner::batch(&rows, self.data.pad_id), measured)
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
    ) -> Result<Option<BTreeMap<String, f64>>, Problem> {
        if self.questions.count() == 0 {
            return Ok(Some(BTreeMap::new()));
        }
        predict::run(learner.model(), &self.questions, end)
    }
}
