//! Supervised fine-tuning: only the answers count in the loss (S-142).

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{Conversation, Encoded, EncodedPrompt, Encoder};

use super::rows;
use crate::data::{TrainData, TrainRow};

/// A row to learn, and the question to be asked when answers are measured.
#[derive(Clone, Debug, Default)]
pub struct SftRow {
    /// What is trained on.
    pub encoded: Encoded,
    /// The question without its answer.
    pub prompt: Option<EncodedPrompt>,
    /// The reference answer as text.
    pub answer: String,
}

impl TrainRow for SftRow {
    fn cut(&self) -> usize {
        self.encoded.cut
    }

    fn tokens(&self) -> usize {
        self.encoded.input_ids.len()
    }
}

/// Encodes every row that can teach and splits them; prompts are kept where answers are to be measured.
///
/// # Errors
/// A broken file or template, naming the row; or no row that can teach.
pub fn data(spec: &RunSpec, encoder: &Encoder) -> Result<TrainData<SftRow>, Problem> {
    rows::read(spec, |row| match Conversation::from_row(row, &spec.dataset.mapping) {
        Ok(conversation) => {
            let asked = spec.hyper.predict_with_generate;
            let prompt = asked.then(|| encoder.encode_prompt(&conversation)).transpose()?;
            let answer = conversation.turns.last().filter(|_| asked).map(|turn| turn.1.clone());
            let encoded = encoder.encode_sft(&conversation)?;
            Ok(Ok(SftRow { encoded, prompt, answer: answer.unwrap_or_default() }))
        }
        Err(reason) => Ok(Err(reason)),
    })
}
