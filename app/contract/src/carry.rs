//! Weights that a browser may carry away, so that a model answers there.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::label;
use crate::problem::Problem;

/// Most bytes a browser is offered: a tab has 4 GiB at best, and the weights lie in it beside what they compute.
pub const MOST_BYTES: u64 = 1_200_000_000;

/// What a target ([`crate::chat::ChatTarget`]) consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Label of the model or the run.
    pub name: String,
    /// Weights of the base model, a number.
    pub parameters: u64,
    /// What the weights are called, as the server's playground says it: `9f2c·41ab + lora 77d0·e3c8`.
    pub digest: String,
    /// Template key.
    pub template: String,
    /// System text the run was trained with.
    #[serde(default)]
    pub system: Option<String>,
    /// Files; those of adapters are named after [`adapter_prefix`].
    pub files: Vec<ParcelFile>,
}

/// What the names of an adapter's files begin with; adapters count from 0, in the order they are applied.
pub fn adapter_prefix(at: usize) -> String {
    format!("adapter{at}/")
}

/// A file of a [`Parcel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelFile {
    /// Name, as the engine knows it.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Under which it is kept: changes whenever the content does.
    pub key: String,
    /// SHA-256, hex, where it is known.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// What the Web Worker tells its page, beside [`crate::chat::ChatDelta`] while it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EngineNews {
    /// What would have to be fetched; `kept` of it lies in this browser already.
    Size {
        /// Bytes of all files.
        bytes: u64,
        /// Bytes that need not be fetched again.
        kept: u64,
    },
    /// Fetching.
    Progress {
        /// Bytes there.
        loaded: u64,
        /// Bytes of all files.
        total: u64,
    },
    /// The model answers here now.
    Loaded {
        /// Whether this browser had room to keep all of it for the next visit.
        kept: bool,
    },
    /// What is kept in this browser.
    Kept {
        /// Models.
        items: Vec<KeptModel>,
    },
    /// It cannot.
    Refused {
        /// Why.
        problem: Problem,
    },
}

/// A model whose files this browser keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptModel {
    /// The query it was asked with; names it when it is to be forgotten.
    pub query: String,
    /// Label.
    pub name: String,
    /// Bytes kept; models of one base share theirs.
    pub bytes: u64,
}

/// How large a page will be that is handed over, but for its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSize {
    /// Bytes with the tuned model alone.
    pub alone: u64,
    /// Bytes with the base model beside it; nothing when a browser cannot hold that one.
    pub both: Option<u64>,
}

/// What a page that is handed over says beside the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Heading.
    pub title: String,
    /// A few sentences below it.
    #[serde(default)]
    pub introduction: String,
    /// Questions to start with, one a line.
    #[serde(default)]
    pub prompts: String,
    /// What the model was trained on, in a sentence.
    #[serde(default)]
    pub trained: String,
    /// Whether the base model answers beside the tuned one.
    #[serde(default)]
    pub both: bool,
}

/// Longest heading, characters.
pub const MAX_TITLE: usize = 120;
/// Longest of the other texts, characters.
pub const MAX_TEXT: usize = 4000;
/// Most questions to start with.
pub const MAX_PROMPTS: usize = 8;

impl HandOver {
    /// Questions, trimmed, without empty lines.
    pub fn questions(&self) -> Vec<&str> {
        self.prompts.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// What does not hold, each with its field.
    pub fn problems(&self) -> Vec<Problem> {
        let too_long = |field: &str, most: usize| {
            Problem::new(Code::FormTooLong, format!("This is longer than {most} characters."))
                .with("most", most)
                .field(field)
        };
        let mut problems = Vec::new();
        if self.title.trim().is_empty() {
            problems.push(Problem::new(Code::FormBlank, "Give the page a heading.").field("title"));
        }
        problems.extend(label::unseen(&self.title).map(|problem| problem.field("title")));
        for (field, text, most) in [
            ("title", &self.title, MAX_TITLE),
            ("introduction", &self.introduction, MAX_TEXT),
            ("prompts", &self.prompts, MAX_TEXT),
            ("trained", &self.trained, MAX_TEXT),
        ] {
            if text.chars().count() > most {
                problems.push(too_long(field, most));
            }
        }
        if self.questions().len() > MAX_PROMPTS {
            let message = format!("There are more than {MAX_PROMPTS} questions.");
            problems
                .push(Problem::new(Code::FormTooMany, message).with("most", MAX_PROMPTS).field("prompts"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_a_heading_and_has_room_for_some_questions() {
        let page =
            HandOver { title: "Ember".to_owned(), prompts: " a \n\nb".to_owned(), ..HandOver::default() };
        assert_eq!((page.questions(), page.problems()), (vec!["a", "b"], Vec::new()));
        let wrong = HandOver { prompts: "q\n".repeat(9), trained: "x".repeat(4001), ..HandOver::default() };
        let fields: Vec<_> =
            wrong.problems().into_iter().filter_map(|problem| problem.place?.field).collect();
        assert_eq!(fields, ["title", "trained", "prompts"]);
    }
}
