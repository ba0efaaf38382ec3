//! pt and sft: the plain cross-entropy.

use std::collections::BTreeMap;

use contract::problem::Problem;
use contract::spec::RunSpec;
use contract::stage::Stage;
use corpus::{Encoded, Encoder};
use model::train::losses::perplexity;

use super::predict::{self, Question};
use super::{Facts, Finish, Recipe, pt, sft};
use model::kernels::Kernels;

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

/// Encodes the rows of a specification.
pub(super) fn encode(spec: &RunSpec, encoder: Encoder) -> Result<Text, Problem> {
    let mut questions = Vec::new();
    let mut data = match spec.stage {
        Stage::Pt => pt::data(spec, &encoder)?,
        _ => {
            let rows = sft::data(spec, &encoder)?;
            let asked = rows.eval.iter().filter_map(|row| {
                Some(Question { prompt: row.prompt.clone()?.input_ids, answer: row.answer.clone() })
            });
            questions = asked.take(spec.hyper.predict_samples).collect();
            let encoded = |rows: Vec<sft::SftRow>| rows.into_iter().map(|row| row.encoded).collect();
            TrainData {
                train: encoded(rows.train),
                eval: encoded(rows.eval),
                dropped_rows: rows.dropped_rows,
                cut_rows: rows.cut_rows,
                pad_id: rows.pad_id,
            }
        }
    };
    data.pad_id = encoder.tokenizer.pad_id();
    let batch = spec.hyper.per_device_train_batch_size.max(1);
    Ok(Text { stage: spec.stage, data, batch, questions, encoder })
}

impl Text {
    /// The rows.
    pub(super) fn into_data(self) -> TrainData {
        self.data
    }

    fn rows(&self, numbers: &[u32]) -> Vec<Encoded> {
        numbers.iter().map(|row| self.data.train[*row as usize].clone()).collect()
    }
}

impl<B: Kernels> Recipe<B> for Text {
    fn facts(&self) -> Facts {
        Facts::of(&self.data)
    }

    fn step(&mut self, learner: &mut Learner<B>, step: u64, micro: &[Vec<u32>]) -> Result<Made, Problem> {
        let batches: Vec<_> =
            micro.iter().map(|rows| learner::batch(&self.rows(rows), self.data.pad_id)).collect();
        learner.step(step, &batches)
    }

    fn evaluate(&self, learner: &Learner<B>) -> Result<Measured, Problem> {
        let batches = self.data.eval.chunks(self.batch);
        learner.evaluate(batches.map(|rows| learner::batch(rows, self.data.pad_id)))
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
