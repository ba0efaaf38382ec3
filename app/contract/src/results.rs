//! How a run ended, in numbers, under the names that transformers and the original give them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Numbers by their names.
pub type Numbers = BTreeMap<String, f64>;

/// The numbers of a run, each part as far as there is one (S-161, S-162, S-167).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// `train_loss`, `train_runtime` (seconds), `train_samples_per_second`, `train_steps_per_second`, `epoch`,
    /// `global_step`, `best_eval_loss`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub train: Numbers,
    /// `eval_loss`, `eval_runtime`, `eval_samples_per_second`, `eval_steps_per_second`, `perplexity`, and `eval_`
    /// before the numbers of the stage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub eval: Numbers,
    /// `predict_` before the scores of the answers, `predict_runtime`, `predict_samples_per_second`,
    /// `predict_steps_per_second`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub predict: Numbers,
}

/// File of all numbers together.
pub const ALL_FILE: &str = "all_results.json";

impl Results {
    /// Each part with its name; its file is `NAME_results.json`.
    pub fn parts(&self) -> [(&'static str, &Numbers); 3] {
        [("train", &self.train), ("eval", &self.eval), ("predict", &self.predict)]
    }

    /// All numbers together.
    pub fn all(&self) -> Numbers {
        self.parts().into_iter().flat_map(|(_, numbers)| numbers.clone()).collect()
    }
}

/// What `transformers` calls speed metrics: seconds, and how many samples and steps went by in each.
pub fn speed(part: &str, samples: f64, steps: f64, seconds: f64) -> Numbers {
    let each = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
    [("runtime", seconds), ("samples_per_second", each(samples)), ("steps_per_second", each(steps))]
        .map(|(name, value)| (format!("{part}_{name}"), value))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_161_s_162_parts_stand_by_themselves_and_together() {
        let eval = Numbers::from([("eval_loss".to_owned(), 2.0), ("perplexity".to_owned(), 2.0_f64.exp())]);
        let results = Results { train: speed("train", 30.0, 6.0, 3.0), eval, ..Results::default() };
        assert_eq!(results.train["train_samples_per_second"], 10.0);
        assert_eq!((results.all().len(), results.parts()[2].1.len()), (5, 0));
        assert_eq!(speed("eval", 5.0, 1.0, 0.0)["eval_steps_per_second"], 0.0, "JSON has no infinity");
        let line = serde_json::to_string(&results).expect("writes");
        assert!(!line.contains("predict"));
        assert_eq!(serde_json::from_str::<Results>(&line).expect("reads"), results);
    }
}
