//! The declaration of a hyperparameter: form, validation, help and defaults all come from it.

use crate::code::Code;
use crate::problem::Problem;
use crate::stage::{Stage, Tuning};

/// A sentence in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

/// The section of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// How long and how fast.
    Size,
    /// What learns: LoRA, freeze.
    Lora,
    /// What the preference stages ask.
    Preference,
    /// Lengths, held-out rows.
    Data,
    /// For people who know: hidden until opened.
    Expert,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A decimal number within bounds (both included).
    Float {
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// A whole number within bounds (both included).
    Int {
        /// Lowest.
        min: i64,
        /// Highest.
        max: i64,
    },
    /// One of a list.
    Choice(&'static [(&'static str, Words)]),
    /// A comma-separated list out of the names given; a name may be several of them, joined by dots.
    Names(&'static [&'static str]),
    /// Any text; it may be empty.
    Text {
        /// Most characters.
        longest: usize,
    },
}

/// One hyperparameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Key: the field's standard name.
    pub key: &'static str,
    /// Label.
    pub label: Words,
    /// Unit; empty when there is none.
    pub unit: Words,
    /// What it does and what happens when it is raised.
    pub help: Words,
    /// What it may be.
    pub kind: Kind,
    /// Section.
    pub group: Group,
    /// Default by stage and method, as the form shows it.
    pub default: fn(Stage, Tuning) -> &'static str,
    /// Whether it plays a part.
    pub applies: fn(Stage, Tuning) -> bool,
    /// Where the default comes from.
    pub source: &'static str,
}

impl Param {
    /// Checks one typed value.
    pub fn check(&self, text: &str) -> Result<(), Problem> {
        let text = text.trim();
        match self.kind {
            Kind::Float { min, max } => {
                let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
                let value = value.ok_or_else(|| self.not_a_number(text))?;
                self.within(value, min, max)
            }
            Kind::Int { min, max } => {
                let value = text.parse::<i64>().map_err(|_| self.not_a_number(text))?;
                self.within(value as f64, min as f64, max as f64)
            }
            Kind::Choice(options) => {
                let known = options.iter().any(|(key, _)| *key == text);
                let keys: Vec<_> = options.iter().map(|(key, _)| *key).collect();
                known.then_some(()).ok_or_else(|| {
                    self.problem(
                        Code::FormUnknownChoice,
                        format!("\"{text}\" is none of {}.", keys.join(", ")),
                    )
                })
            }
            Kind::Text { longest } => (text.chars().count() <= longest).then_some(()).ok_or_else(|| {
                self.problem(
                    Code::FormTooLong,
                    format!("{} is longer than {longest} characters.", self.label.en),
                )
                .with("most", longest)
            }),
            Kind::Names(names) => {
                let chosen: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
                if chosen.is_empty() {
                    return Err(
                        self.problem(Code::FormEmpty, format!("{} needs at least one name.", self.label.en))
                    );
                }
                let known = |name: &str| name.split('.').all(|part| names.contains(&part));
                match chosen.iter().find(|name| !known(name)) {
                    Some(name) => Err(self.problem(
                        Code::FormUnknownChoice,
                        format!("\"{name}\" is none of {}.", names.join(", ")),
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    fn within(&self, value: f64, min: f64, max: f64) -> Result<(), Problem> {
        if (min..=max).contains(&value) {
            return Ok(());
        }
        let message = format!("{} must lie between {min} and {max}; it is {value}.", self.label.en);
        Err(self.problem(Code::FormOutOfRange, message).with("min", min).with("max", max))
    }

    fn not_a_number(&self, text: &str) -> Problem {
        let (what, example) = match self.kind {
            Kind::Int { .. } => ("a whole number", (self.default)(Stage::Sft, Tuning::Lora)),
            _ => ("a number", (self.default)(Stage::Sft, Tuning::Lora)),
        };
        self.problem(
            Code::FormNotANumber,
            format!("{} must be {what}, for example {example}; \"{text}\" is not.", self.label.en),
        )
    }

    fn problem(&self, code: Code, message: String) -> Problem {
        Problem::new(code, message).field(self.key)
    }
}
