//! Built-in templates: prefix, prompt, separator (S-220 to S-223).

use contract::templates::{Builtin, UserTemplate};

use super::{Piece, shield};
use crate::conversation::Conversation;

/// A template of plain parts, built in or a person's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// System text where none is given.
    pub prefix: String,
    /// How a system text is written, with `{system}`; `None`: followed by `sep`.
    pub system: Option<String>,
    /// One turn, with `{query}`.
    pub prompt: String,
    /// Text between turns.
    pub sep: String,
    /// Whether earlier turns are kept.
    pub use_history: bool,
}

impl From<&Builtin> for Words {
    fn from(builtin: &Builtin) -> Self {
        Self {
            prefix: builtin.prefix.to_owned(),
            system: None,
            prompt: builtin.prompt.to_owned(),
            sep: builtin.sep.to_owned(),
            use_history: builtin.use_history,
        }
    }
}

/// A template with what it writes behind answers.
#[derive(Clone, Debug)]
pub struct BuiltinTemplate {
    words: Words,
    end: String,
    /// Whether system text and earlier turns are cut before the question. The ancestor's own templates are cut at the
    /// end, as it cut them (S-142, S-143).
    spares: bool,
}

impl BuiltinTemplate {
    /// Joins words and end token; without an end token answers end with nothing.
    pub(super) fn new(words: &Builtin, eos: Option<&str>) -> Self {
        Self { words: words.into(), end: eos.unwrap_or_default().to_owned(), spares: false }
    }

    /// A person's own: its first stop word takes the place of the end token.
    pub(super) fn own(own: &UserTemplate, eos: Option<&str>) -> Self {
        let words = Words {
            prefix: own.prefix.clone(),
            system: Some(own.system.clone()).filter(|form| !form.is_empty()),
            prompt: own.prompt.clone(),
            sep: own.sep.clone(),
            use_history: own.use_history,
        };
        let end = own.stop_words.first().map(String::as_str).or(eos).unwrap_or_default().to_owned();
        Self { words, end, spares: true }
    }

    /// Tokens, of `added` ones, that it writes as marks around turns.
    pub(super) fn turn_marks(&self, added: &[String]) -> Vec<String> {
        let words = &self.words;
        let (before, opening) = words.prompt.split_once("{query}").unwrap_or((&words.prompt, ""));
        let system = words.system.as_deref().unwrap_or_default();
        shield::turn_marks(added, &[&words.prefix, system, before, &words.sep, &self.end], &[opening])
    }

    /// Prefix, earlier turns and the last question, without end tokens between them.
    pub(super) fn joined_prompt(&self, conversation: &Conversation) -> Piece {
        let mut dialog = self.dialog(conversation);
        dialog.pop();
        Piece::asked(dialog.into_iter().map(|piece| piece.text).collect())
    }

    /// Pieces of the training text, or with `answered` false, of the prompt (last answer dropped).
    pub(super) fn pieces(&self, conversation: &Conversation, answered: bool) -> Vec<Piece> {
        let mut dialog = self.dialog(conversation);
        if !answered {
            dialog.pop();
        }
        for answer in dialog.iter_mut().skip(1).step_by(2) {
            *answer = Piece::answer(format!("{}{}", answer.text, self.end), self.end.len());
        }
        dialog
    }

    /// Questions, with where their words and the system text stand, and answers without their end.
    fn dialog(&self, conversation: &Conversation) -> Vec<Piece> {
        let Some(((query, response), history)) = conversation.turns.split_last() else { return Vec::new() };
        let system = conversation.system.as_deref().filter(|text| !text.is_empty());
        let texts = get_dialog(&self.words, query, response, history, system);
        let after = self.words.prompt.split_once("{query}").map_or(0, |(_, after)| after.len());
        let questions = conversation.turns.iter().skip(conversation.turns.len() - texts.len() / 2);
        let mut dialog: Vec<Piece> = texts.into_iter().map(Piece::asked).collect();
        for (piece, (question, _)) in dialog.iter_mut().step_by(2).zip(questions) {
            let end = piece.text.len() - after;
            piece.question = Some(end - question.len()..end);
        }
        if let (Some(system), Some(first), true) = (system, dialog.first_mut(), self.spares) {
            let start = self.words.system.as_deref().and_then(|form| form.find("{system}")).unwrap_or(0);
            first.spare.push(start..start + system.len());
        }
        dialog
    }
}

/// Alternating questions and answers as text: `[q1, a1, …, qn, an]` (S-221, S-222). Earlier turns are kept only
/// where the template uses history; an empty prefix means the template's own.
pub fn get_dialog(
    words: &Words,
    query: &str,
    response: &str,
    history: &[(String, String)],
    prefix: Option<&str>,
) -> Vec<String> {
    let prefix = prefix.filter(|text| !text.is_empty()).unwrap_or(&words.prefix);
    let head = match &words.system {
        _ if prefix.is_empty() => String::new(),
        Some(form) => form.replacen("{system}", prefix, 1),
        None => format!("{prefix}{}", words.sep),
    };
    let history = if words.use_history { history } else { &[] };
    let turns = history.iter().map(|(q, a)| (q.as_str(), a.as_str())).chain([(query, response)]);
    let mut dialog = Vec::with_capacity(history.len() * 2 + 2);
    for (index, (question, answer)) in turns.enumerate() {
        let before = if index == 0 { &head } else { &words.sep };
        dialog.push(format!("{before}{}", words.prompt.replacen("{query}", question, 1)));
        dialog.push(answer.to_owned());
    }
    dialog
}

/// The prompt as the ancestor joined it, without end tokens between turns (S-222).
pub fn get_prompt(words: &Words, query: &str, history: &[(String, String)], prefix: Option<&str>) -> String {
    let mut dialog = get_dialog(words, query, "", history, prefix);
    dialog.pop();
    dialog.concat()
}
