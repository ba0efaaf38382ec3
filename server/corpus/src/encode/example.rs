//! From a row to what a stage trains on, in one step (S-145).

use std::borrow::Cow;

use contract::dataset::{Behaviour, Mapping};
use contract::problem::Problem;
use contract::row_reason::RowReason;
use contract::stage::Stage;

use super::{Encoded, EncodedPair, EncodedPrompt, Encoder, IGNORED};
use crate::conversation::{Conversation, Pair, column_of, text_of};
use crate::source::Row;

/// An encoded row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Example {
    /// A sequence with labels: sft (S-142), or a block of pre-training (S-141).
    Sequence(Encoded),
    /// Two sequences: rm and dpo (S-144).
    Pair(EncodedPair),
    /// A prompt and a reference: ppo, and sft that generates (S-143).
    Prompt(EncodedPrompt),
    /// Ids of a text that is yet to be cut into blocks (S-141).
    Text(Vec<u32>),
}

impl Example {
    /// Tokens of the longest sequence: what a batch is padded to.
    pub fn longest(&self) -> usize {
        match self {
            Self::Sequence(row) => row.input_ids.len(),
            Self::Pair(pair) => pair.chosen.input_ids.len().max(pair.rejected.input_ids.len()),
            Self::Prompt(prompt) => prompt.input_ids.len(),
            Self::Text(ids) => ids.len(),
        }
    }

    /// Tokens of all sequences that a model reads, and how many of them count in the loss.
    pub fn size(&self) -> (u64, u64) {
        let of = |row: &Encoded| {
            let learned = row.labels.iter().filter(|label| **label != IGNORED).count();
            (row.input_ids.len() as u64, learned as u64)
        };
        match self {
            Self::Sequence(row) => of(row),
            Self::Pair(pair) => {
                let (chosen, rejected) = (of(&pair.chosen), of(&pair.rejected));
                (chosen.0 + rejected.0, chosen.1 + rejected.1)
            }
            Self::Prompt(prompt) => (prompt.input_ids.len() as u64, 0),
            Self::Text(ids) => (ids.len() as u64, ids.len() as u64),
        }
    }

    /// Tokens lost to the length limits.
    pub fn cut(&self) -> usize {
        match self {
            Self::Sequence(row) => row.cut,
            Self::Pair(pair) => pair.chosen.cut + pair.rejected.cut,
            Self::Prompt(prompt) => prompt.cut,
            Self::Text(_) => 0,
        }
    }
}

/// A row read for a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Plain text.
    Text(String),
    /// Questions and answers; for ppo the last answer may be empty.
    Talk(Conversation),
    /// A better and a worse answer.
    Pair(Pair),
}

impl Taken {
    /// Reads a row as the stage needs it (S-140). The original left rows without an answer out even in ppo, which
    /// writes its own answers, and took `false` and zero for no answer; corrected, a question is enough there, and
    /// these are texts like others.
    ///
    /// # Errors
    /// The reason why the row cannot teach.
    pub fn from_row(
        row: &Row,
        mapping: &Mapping,
        stage: Stage,
        behaviour: Behaviour,
    ) -> Result<Self, RowReason> {
        let row = &*match behaviour {
            Behaviour::Original => row.without_falsy(),
            Behaviour::Corrected => Cow::Borrowed(row),
        };
        match (stage, behaviour) {
            (Stage::Pt, Behaviour::Original) => column_of(row, mapping).map(Self::Text),
            (Stage::Pt, Behaviour::Corrected) => text_of(row, mapping).map(Self::Text),
            (Stage::Rm | Stage::Dpo, _) => Pair::from_row(row, mapping).map(Self::Pair),
            (Stage::Ppo, Behaviour::Corrected) => Conversation::asked(row, mapping).map(Self::Talk),
            (Stage::Sft, _) | (Stage::Ppo, Behaviour::Original) => {
                Conversation::from_row(row, mapping).map(Self::Talk)
            }
        }
    }

    /// Gives the row a system text where it has none of its own (S-079).
    pub fn with_prefix(mut self, prefix: Option<&str>) -> Self {
        let slot = match &mut self {
            Self::Text(_) => return self,
            Self::Talk(talk) => &mut talk.system,
            Self::Pair(pair) => &mut pair.chosen.system,
        };
        if slot.is_none() {
            *slot = prefix.filter(|text| !text.is_empty()).map(str::to_owned);
        }
        self
    }
}

impl Encoder {
    /// Encodes a row for this encoder's stage. The inner error is the reason why it is left out.
    ///
    /// # Errors
    /// When the template refuses the row or the tokenizer fails.
    pub fn encode_row(
        &self,
        row: &Row,
        mapping: &Mapping,
        prefix: Option<&str>,
    ) -> Result<Result<Example, RowReason>, Problem> {
        match Taken::from_row(row, mapping, self.stage, self.behaviour) {
            Ok(taken) => self.encode_taken(&taken.with_prefix(prefix)).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Encodes what was read from a row (S-145): pre-training to ids, sft to a labelled sequence, rm and dpo to a
    /// pair, ppo to a prompt.
    ///
    /// # Errors
    /// When the template refuses it or the tokenizer fails.
    pub fn encode_taken(&self, taken: &Taken) -> Result<Example, Problem> {
        match taken {
            Taken::Text(text) => self.text_ids(text, false).map(Example::Text),
            Taken::Pair(pair) => self.encode_pair(pair).map(Example::Pair),
            Taken::Talk(talk) if self.stage == Stage::Ppo => self.encode_prompt(talk).map(Example::Prompt),
            Taken::Talk(talk) => self.encode_sft(talk).map(Example::Sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::dataset::DataFormat;
    use serde_json::{Value, json};

    use super::*;

    fn taken(
        value: Value,
        format: DataFormat,
        stage: Stage,
        behaviour: Behaviour,
    ) -> Result<Taken, RowReason> {
        let row = Row::from_json(value).unwrap();
        let mapping = Mapping {
            query: Some("input".into()),
            history: Some("history".into()),
            system: Some("system".into()),
            ..Mapping::empty(format)
        };
        Taken::from_row(&row, &mapping, stage, behaviour)
    }

    fn corrected(value: Value, format: DataFormat, stage: Stage) -> Result<Taken, RowReason> {
        taken(value, format, stage, Behaviour::Corrected)
    }

    /// Numbers and truth values, and the texts they are.
    const VALUES: [(&str, &str); 6] =
        [("0", "0"), ("0.0", "0.0"), ("-0.0", "-0.0"), ("false", "False"), ("true", "True"), ("7", "7")];

    #[test]
    fn s_140_false_and_zero_are_texts_in_every_column_that_is_read() {
        for (value, text) in VALUES {
            let value: Value = serde_json::from_str(value).unwrap();
            let as_value = |value: &Value| {
                [
                    corrected(
                        json!({"instruction": value, "input": value, "output": value, "system": value,
                            "history": [[value, value]]}),
                        DataFormat::Alpaca,
                        Stage::Sft,
                    ),
                    corrected(
                        json!({"messages": [{"role": "user", "content": value}, {"role": "assistant", "content": value}]}),
                        DataFormat::Messages,
                        Stage::Sft,
                    ),
                    corrected(
                        json!({"prompt": value, "chosen": value, "rejected": value}),
                        DataFormat::Pairs,
                        Stage::Dpo,
                    ),
                    corrected(
                        json!({"prompt": value, "output": [value, value]}),
                        DataFormat::Pairs,
                        Stage::Rm,
                    ),
                    corrected(json!({"text": value}), DataFormat::Text, Stage::Pt),
                    corrected(json!({"text": value}), DataFormat::Text, Stage::Ppo),
                ]
            };
            let as_text = as_value(&Value::from(text));
            assert!(as_text.iter().all(Result::is_ok), "{as_text:?}");
            assert_eq!(as_value(&value), as_text);
        }
    }

    #[test]
    fn s_140_the_original_leaves_false_and_zero_out() {
        for value in [json!(0), json!(0.0), json!(false)] {
            let made = |row: Value| taken(row, DataFormat::Alpaca, Stage::Sft, Behaviour::Original);
            let reason = made(json!({"instruction": "q", "output": value})).unwrap_err();
            assert_eq!(reason, RowReason::EmptyAnswer { column: "output".into() });
            let reason = made(json!({"instruction": value, "output": "a"})).unwrap_err();
            assert_eq!(reason, RowReason::EmptyQuestion { column: "instruction".into() });
            let Ok(Taken::Talk(talk)) = made(json!({"instruction": "q", "input": value, "output": "a"}))
            else {
                panic!("left out")
            };
            assert_eq!(talk.turns, [("q".to_owned(), "a".to_owned())]);
            assert!(made(json!({"instruction": "q", "output": "0"})).is_ok(), "a text is never false");
        }
    }

    #[test]
    fn empty_null_and_missing_answers_are_empty() {
        for row in [
            json!({"prompt": "q", "response": ""}),
            json!({"prompt": "q", "response": null}),
            json!({"prompt": "q"}),
        ] {
            let reason = corrected(row, DataFormat::PromptResponse, Stage::Sft).unwrap_err();
            assert_eq!(reason, RowReason::EmptyAnswer { column: "response".into() });
        }
    }
}
