//! pt and sft: the plain cross-entropy.

use std::collections::BTreeMap;

use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use model::kernels::Kernels;
use model::train::losses::perplexity;

use super::questions::Questions;
use super::{Answers, Finish, Recipe, Source, predict};
use crate::data::TrainData;
use crate::learner::{self, Learner, Made, Measured};

/// Rows of pt or sft.
pub(super) struct Text {
    /// Whether the perplexity is told beside the loss (S-162).
    perplexity: bool,
    data: TrainData,
    questions: Questions,
}

impl Text {
    /// What a specification asks of these rows; so many held-out questions are answered at the end.
    pub(super) fn new(spec: &RunSpec, source: &Source, answers: u64) -> Self {
        let most = usize::try_from(answers).unwrap_or(usize::MAX);
        Self {
            perplexity: spec.stage == Stage::Pt || !spec.tuning.learns(),
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
        // The original gives it in pt alone; where nothing learns it costs nothing to say it of answers, too.
        if let Some(loss) = loss.filter(|_| self.perplexity) {
            metrics.insert("perplexity".to_owned(), perplexity(loss));
        }
    }

    fn finish(&mut self, learner: &Learner<B>, end: &mut Finish<'_>) -> Result<Answers, Problem> {
        if self.questions.count() == 0 {
            return Ok(Answers::NotAsked);
        }
        let scored = predict::run(learner.model(), &self.questions, end)?;
        Ok(scored.map_or(Answers::Stopped, Answers::Scored))
    }
}
