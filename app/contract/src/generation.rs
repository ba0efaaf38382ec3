//! Generation settings: defaults and bounds (S-042), written once.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::problem::Problem;
use crate::stage::Stage;

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationSettings {
    /// Draw from the distribution; false: always the likeliest token (greedy).
    pub do_sample: bool,
    /// Divides the logits; 0.01 to 2.
    pub temperature: f64,
    /// Keep the likeliest tokens whose probabilities sum to this; 0.01 to 1 (1: all).
    pub top_p: f64,
    /// Keep this many tokens; 0: all.
    pub top_k: u32,
    /// Longest answer in tokens; 1 to 2048.
    pub max_new_tokens: u32,
    /// Above 1: tokens already said become less likely; 0.5 to 2.
    pub repetition_penalty: f64,
    /// Keep tokens at least this share as likely as the likeliest; 0 to 0.99 (0: all).
    pub min_p: f64,
    /// Sequences searched at a time without drawing; 1 to 16 (1: greedy).
    pub num_beams: u32,
    /// With beams: above 0 longer answers are favoured, below 0 shorter ones; -5 to 5.
    pub length_penalty: f64,
    /// The answer ends before any of these texts; at most 8 of at most 100 characters.
    pub stop: Vec<String>,
    /// Seed of the draw; `None`: a new one each time.
    pub seed: Option<u64>,
}

/// Most beams of a search.
pub const MAX_BEAMS: u32 = 16;

/// Most stop texts, and most characters of one.
const MOST_STOPS: (usize, usize) = (8, 100);

impl Default for GenerationSettings {
    fn default() -> Self {
        Self {
            do_sample: true,
            temperature: 0.95,
            top_p: 0.7,
            top_k: 50,
            max_new_tokens: 256,
            repetition_penalty: 1.0,
            min_p: 0.0,
            num_beams: 1,
            length_penalty: 1.0,
            stop: Vec::new(),
            seed: None,
        }
    }
}

impl GenerationSettings {
    /// Always the likeliest token: the same question gets the same answer.
    pub fn greedy() -> Self {
        Self { do_sample: false, ..Self::default() }
    }

    /// What a conversation opens with; `stage` is that of the run whose weights speak, `None`: a base model.
    ///
    /// A run that learned given answers (sft) or to prefer one of two (dpo) is asked for what it learned, and drawing
    /// may turn a taught name into another: it answers greedily. Base models and runs that learned to continue text
    /// or practised (pt, ppo) draw, as everywhere else (S-042).
    pub fn opening(stage: Option<Stage>) -> Self {
        match stage {
            Some(Stage::Sft | Stage::Dpo) => Self::greedy(),
            Some(Stage::Pt | Stage::Rm | Stage::Ppo) | None => Self::default(),
        }
    }

    /// Every setting that is out of bounds.
    pub fn problems(&self) -> Vec<Problem> {
        let out = |key: &str, low: f64, high: f64| {
            Problem::new(Code::FormOutOfRange, format!("{key} must lie between {low} and {high}."))
                .with("min", low)
                .with("max", high)
                .field(key)
        };
        let mut problems = Vec::new();
        let mut bound = |key: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                problems.push(out(key, low, high));
            }
        };
        bound("temperature", self.temperature, 0.01, 2.0);
        bound("top_p", self.top_p, 0.01, 1.0);
        bound("top_k", f64::from(self.top_k), 0.0, 1000.0);
        bound("max_new_tokens", f64::from(self.max_new_tokens), 1.0, 2048.0);
        bound("repetition_penalty", self.repetition_penalty, 0.5, 2.0);
        bound("min_p", self.min_p, 0.0, 0.99);
        bound("num_beams", f64::from(self.num_beams), 1.0, f64::from(MAX_BEAMS));
        bound("length_penalty", self.length_penalty, -5.0, 5.0);
        if self.do_sample && self.num_beams > 1 {
            problems.push(
                Problem::new(
                    Code::GenerationBeamsDraw,
                    "Beams take the likeliest sequences and draw nothing.",
                )
                .field("num_beams")
                .hint("Choose the likeliest token instead of drawing, or one beam."),
            );
        }
        let (most, longest) = MOST_STOPS;
        let too_long = |stop: &String| stop.is_empty() || stop.chars().count() > longest;
        if self.stop.len() > most || self.stop.iter().any(too_long) {
            let message = format!("There can be {most} stop texts of 1 to {longest} characters.");
            let problem =
                Problem::new(Code::GenerationStop, message).with("most", most).with("longest", longest);
            problems.push(problem.field("stop"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_bounds_and_nan_is_not() {
        assert!(GenerationSettings::default().problems().is_empty());
        let broken = GenerationSettings { temperature: f64::NAN, ..Default::default() };
        assert_eq!(broken.problems()[0].form_key(), Some("temperature"));
    }

    #[test]
    fn a_run_on_answers_opens_greedy_and_a_base_draws() {
        let draws = |stage| GenerationSettings::opening(stage).do_sample;
        assert!(!draws(Some(Stage::Sft)) && !draws(Some(Stage::Dpo)));
        assert!(draws(None) && draws(Some(Stage::Pt)) && draws(Some(Stage::Ppo)));
        assert!(GenerationSettings::greedy().problems().is_empty());
    }

    #[test]
    fn s_042_every_setting_has_its_bounds_and_beams_do_not_draw() {
        let base = || GenerationSettings { do_sample: false, ..Default::default() };
        let keys = |settings: GenerationSettings| -> Vec<String> {
            settings.problems().iter().filter_map(|problem| problem.form_key().map(str::to_owned)).collect()
        };
        assert!(keys(GenerationSettings { num_beams: 4, length_penalty: -1.0, ..base() }).is_empty());
        assert_eq!(keys(GenerationSettings { num_beams: 4, ..Default::default() }), ["num_beams"]);
        assert_eq!(keys(GenerationSettings { num_beams: 17, ..base() }), ["num_beams"]);
        assert_eq!(keys(GenerationSettings { min_p: 1.0, ..base() }), ["min_p"]);
        assert_eq!(keys(GenerationSettings { length_penalty: f64::NAN, ..base() }), ["length_penalty"]);
        assert_eq!(keys(GenerationSettings { stop: vec![String::new()], ..base() }), ["stop"]);
        assert!(keys(GenerationSettings { stop: vec!["\nUser:".to_owned()], ..base() }).is_empty());
    }

    #[test]
    fn settings_of_an_older_version_are_read() {
        let old = r#"{"do_sample":false,"temperature":0.5,"top_p":0.9,"top_k":0,"max_new_tokens":8,"repetition_penalty":1.0,"seed":3}"#;
        let read: GenerationSettings = serde_json::from_str(old).expect("reads");
        assert_eq!((read.num_beams, read.min_p, read.stop.len()), (1, 0.0, 0));
    }
}
