//! Measured answers: a line of `generated_predictions.jsonl` each (S-190), and how a page asks for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// File of the answers, at the root of a run.
pub const FILE: &str = "generated_predictions.jsonl";

/// A question, what the data answers and what the model did. `label` and `predict` are the original's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prediction {
    /// What the model read, control tokens included.
    pub prompt: String,
    /// The last question as the data has it.
    pub question: String,
    /// The reference answer.
    pub label: String,
    /// The model's answer.
    pub predict: String,
    /// Label of the dataset it is from.
    pub dataset: String,
    /// Row there, from 1; 0: not noted.
    pub row: u64,
    /// Its scores, 0 to 100, by the keys of [`crate::metric::METRICS`].
    pub scores: BTreeMap<String, f64>,
    /// Why there is no answer (S-191).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl Prediction {
    /// Whether the answer is another one than the reference; spaces around them do not count.
    pub fn differs(&self) -> bool {
        self.predict.trim() != self.label.trim()
    }

    /// Whether any of its texts holds `wanted`, in capitals or not; `wanted` is in lower case.
    pub fn holds(&self, wanted: &str) -> bool {
        [&self.question, &self.label, &self.predict]
            .into_iter()
            .any(|text| text.to_lowercase().contains(wanted))
    }
}

/// Which answers a page shows, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PredictionQuery {
    /// Only those that hold this text; empty: all.
    pub search: String,
    /// Only those that differ from their reference.
    pub differing: bool,
    /// By this score instead of the order of the data; empty: that order.
    pub score: String,
    /// The highest score first, not the lowest.
    pub highest_first: bool,
    /// How many of them stand before the first that is shown.
    pub offset: u64,
}

/// A page of answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PredictionPage {
    /// Answers there are.
    pub all: u64,
    /// Answers that are asked for.
    pub found: u64,
    /// Names of the scores, in the order of pages.
    pub scores: Vec<String>,
    /// These of them, each with its number in the file, from 1.
    pub rows: Vec<(u64, Prediction)>,
}

/// Answers of a page.
pub const PAGE: u64 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_190_lines_of_the_original_and_of_older_workers_are_read() {
        let line = r#"{"label": "Red.", "predict": " Red.\n"}"#;
        let read: Prediction = serde_json::from_str(line).expect("reads");
        assert!(!read.differs() && read.holds("red") && !read.holds("blue"));
        let other = Prediction { predict: "Blue.".to_owned(), ..read };
        assert!(other.differs() && other.holds("blue"));
    }
}
