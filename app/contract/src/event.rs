//! What a worker says while it works. One JSON object a line in `attempts/NNNN/events.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::results::Results;

/// One line of an attempt's event log. `seq` counts from 0 without gaps within the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number within the attempt, dense from 0.
    pub seq: u64,
    /// Wall clock, milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub what: What,
}

/// A known kind, or whatever a newer worker wrote: kept and shown, never fatal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// A kind this build knows.
    Known(Kind),
    /// A kind it does not.
    Unknown(serde_json::Value),
}

impl What {
    /// The event, if this build knows its kind.
    pub fn known(&self) -> Option<&Kind> {
        match self {
            Self::Known(kind) => Some(kind),
            Self::Unknown(_) => None,
        }
    }
}

impl From<Kind> for What {
    fn from(kind: Kind) -> Self {
        Self::Known(kind)
    }
}

/// How held-out rows are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// By their loss.
    Loss,
    /// By the answers the model gives to their questions.
    Answers,
}

/// What became of the rows of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRows {
    /// Its label.
    pub name: String,
    /// Rows read.
    pub rows: u64,
    /// Of these, rows left out (S-140).
    pub dropped: u64,
    /// Of these, rows that lose tokens to the length limits; `None` while they are still prepared.
    pub cut: Option<u64>,
}

/// The kinds of event. Losses are natural-log cross-entropy; NaN and infinity are written as null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The worker is busy before its first step.
    Preparing {
        /// `loading_model`, `reading_data`, `tokenizing`.
        phase: String,
    },
    /// Training begins (or goes on, when `from_step` is above 0).
    Started {
        /// First step to be made minus one.
        from_step: u64,
        /// Steps of the whole run.
        total_steps: u64,
        /// `cpu` or `cuda:0`.
        device: String,
        /// Weights that learn.
        trainable_params: u64,
        /// All weights.
        total_params: u64,
        /// Rows trained on.
        train_rows: u64,
        /// Rows held out.
        eval_rows: u64,
        /// Rows left out (S-140).
        dropped_rows: u64,
        /// Rows that lose tokens to the length limits.
        cut_rows: u64,
        /// What each dataset of the run gave, in their order; empty of an older worker.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        datasets: Vec<DatasetRows>,
        /// Version of the worker.
        worker: String,
    },
    /// One optimizer step was made.
    Step {
        /// Step, from 1.
        step: u64,
        /// Mean loss of the step.
        loss: Option<f64>,
        /// Learning rate the step was made with.
        learning_rate: f64,
        /// L2 norm of all gradients before clipping.
        grad_norm: Option<f64>,
        /// Rounds through the data so far.
        epoch: f64,
        /// Tokens read a second (padding not counted).
        tokens_per_second: f64,
        /// Resident memory of the worker, bytes.
        memory_bytes: u64,
        /// Seconds left, estimated.
        remaining_s: Option<f64>,
        /// Numbers of the stage by the keys of [`crate::metric::METRICS`]. A newer worker may send others; a number
        /// that is not finite is left out.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metrics: BTreeMap<String, f64>,
    },
    /// The held-out rows were measured. Step 0 is before training.
    Eval {
        /// Step it was measured after.
        step: u64,
        /// Mean loss over held-out answer tokens.
        eval_loss: Option<f64>,
        /// Numbers of the stage: `perplexity` (pt), `accuracy`, `margin` (rm, dpo), `rouge-1`, `rouge-2`, `rouge-l`,
        /// `bleu-4`, `exact_match` (sft with generation). Those of all held-out rows, where a draw of them is measured on the way, end
        /// in `_all_rows`, with `loss_all_rows` beside them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        metrics: BTreeMap<String, f64>,
    },
    /// Held-out rows are being measured: written when that begins and now and then until an `eval` follows.
    Measuring {
        /// Step after which they are measured.
        step: u64,
        /// How.
        by: Measure,
        /// Rows measured so far.
        done: u64,
        /// Rows to be measured this time.
        of: u64,
        /// Seconds left of the whole run, estimated.
        remaining_s: Option<f64>,
    },
    /// An answer the model gave: in ppo one of the batch it learns from, in sft one that is measured.
    Sample {
        /// Step it was given after.
        step: u64,
        /// The prompt as the model saw it.
        prompt: String,
        /// The answer.
        answer: String,
        /// The reference answer.
        #[serde(default)]
        reference: Option<String>,
        /// Its numbers: `reward` and `kl`, or `rouge-l` and `bleu-4`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        scores: BTreeMap<String, f64>,
        /// Why there is no answer (S-191).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// A checkpoint is complete on disk.
    Checkpoint {
        /// Step it holds.
        step: u64,
        /// Folder name under `checkpoints/`.
        folder: String,
        /// Eval loss at that step, when measured.
        eval_loss: Option<f64>,
        /// Whether its eval loss is the lowest so far, and lower than before training where that was measured.
        best: bool,
        /// SHA-256 of the trained weights file, hex.
        digest: String,
    },
    /// Everything was made and measured: the numbers of the run.
    Results {
        /// Part by part.
        results: Results,
    },
    /// A line for the log pane.
    Log {
        /// `info`, `warn` or `error`.
        level: String,
        /// The sentence.
        text: String,
    },
    /// A person stopped it; the checkpoint of `step` is complete.
    Stopped {
        /// Last step made.
        step: u64,
    },
    /// The last step was made and saved.
    Finished {
        /// Last step made.
        step: u64,
        /// Wall-clock seconds of this attempt.
        seconds: f64,
        /// Peak resident memory, bytes.
        peak_memory_bytes: u64,
    },
    /// It cannot go on.
    Failed {
        /// Why, and what to do.
        problem: Problem,
        /// Last step made.
        step: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_kept() {
        let line = r#"{"seq":4,"at_ms":1,"what":{"kind":"levitated","height":3}}"#;
        let event: Event = serde_json::from_str(line).expect("reads");
        assert!(matches!(event.what, What::Unknown(_)));
        assert_eq!(serde_json::to_string(&event).expect("writes"), line);
    }

    #[test]
    fn a_known_kind_goes_round() {
        let event = Event {
            seq: 0,
            at_ms: 5,
            what: Kind::Eval { step: 3, eval_loss: None, metrics: BTreeMap::new() }.into(),
        };
        let line = serde_json::to_string(&event).expect("writes");
        assert_eq!(line, r#"{"seq":0,"at_ms":5,"what":{"kind":"eval","step":3,"eval_loss":null}}"#);
        assert_eq!(serde_json::from_str::<Event>(&line).expect("reads"), event);
    }

    #[test]
    fn a_measuring_says_how_far_it_is() {
        let kind =
            Kind::Measuring { step: 3, by: Measure::Answers, done: 120, of: 256, remaining_s: Some(9.5) };
        let line = serde_json::to_string(&kind).expect("writes");
        let said = r#"{"kind":"measuring","step":3,"by":"answers","done":120,"of":256,"remaining_s":9.5}"#;
        assert_eq!(line, said);
        assert_eq!(serde_json::from_str::<Kind>(said).expect("reads"), kind);
    }

    #[test]
    fn a_line_of_an_older_worker_has_no_numbers_of_its_stage() {
        let line = r#"{"kind":"eval","step":3,"eval_loss":1.5}"#;
        let kind: Kind = serde_json::from_str(line).expect("reads");
        assert_eq!(kind, Kind::Eval { step: 3, eval_loss: Some(1.5), metrics: BTreeMap::new() });
        let metrics = BTreeMap::from([("accuracy".to_owned(), 0.5)]);
        let line = serde_json::to_string(&Kind::Eval { step: 3, eval_loss: None, metrics }).expect("writes");
        assert_eq!(line, r#"{"kind":"eval","step":3,"eval_loss":null,"metrics":{"accuracy":0.5}}"#);
    }
}
