//! Preference rows: one question, a better and a worse answer (S-144).

use contract::dataset::{DataFormat, Mapping};
use contract::row_reason::RowReason;
use serde_json::Value;

use super::cell::{self, Part, list, part, scalar};
use super::talk::Talk;
use super::{Conversation, closed, opened_with, transcript};
use crate::source::Row;

/// A conversation that ends with the better answer, and the worse one to the same last question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Turns, the last answer being the better one.
    pub chosen: Conversation,
    /// The worse answer.
    pub rejected: String,
}

impl Pair {
    /// The same turns, ending with the worse answer.
    pub fn worse(&self) -> Conversation {
        let mut worse = self.chosen.clone();
        if let Some(last) = worse.turns.last_mut() {
            last.1.clone_from(&self.rejected);
        }
        worse
    }

    /// Reads a row: columns `chosen` and `rejected` as texts, as messages or as dialogues in one text, else one column
    /// that holds a list of two, the better first. What comes before the last answers is the prompt.
    ///
    /// # Errors
    /// The reason why the row holds no pair.
    pub fn from_row(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        let Some(better) = better_column(row, mapping) else { return from_list(row, mapping) };
        let worse = mapping
            .rejected
            .as_deref()
            .or_else(|| known(row, &["rejected"]))
            .ok_or(RowReason::NoWorseColumn)?;
        let chosen = side(row, mapping, better)?;
        let mut other = side(row, mapping, worse)?;
        let rejected = other.turns.pop().map(|(question, answer)| {
            let before = chosen.turns.split_last().map(|(last, rest)| (&last.0, rest));
            (before == Some((&question, other.turns.as_slice())) && chosen.system == other.system)
                .then_some(answer)
        });
        match rejected {
            Some(Some(rejected)) => Ok(Self { chosen, rejected }),
            _ => Err(RowReason::DifferentQuestions { better: better.to_owned(), worse: worse.to_owned() }),
        }
    }
}

/// Columns of the question where none is named, best first.
const PROMPTS: &[&str] = &["prompt", "instruction", "question"];

fn known(row: &Row, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| row.get(name).is_some())
}

/// The column of the better answer; `None`: one column holds both.
fn better_column<'m>(row: &Row, mapping: &'m Mapping) -> Option<&'m str> {
    mapping
        .chosen
        .as_deref()
        .or_else(|| if mapping.response.is_some() { None } else { known(row, &["chosen"]) })
}

/// The conversation with the better answer, which is enough for fine-tuning.
pub(super) fn chosen(row: &Row, mapping: &Mapping) -> Result<Conversation, RowReason> {
    match better_column(row, mapping) {
        Some(better) => side(row, mapping, better),
        None => from_list(row, mapping).map(|pair| pair.chosen),
    }
}

/// The conversation up to its last question, which is enough for ppo.
pub(super) fn asked(row: &Row, mapping: &Mapping) -> Result<Conversation, RowReason> {
    let prompt = prompt_column(row, mapping);
    chosen(row, mapping).or_else(|reason| match prompted(row, mapping) {
        Ok(talk) => talk.asked(prompt),
        Err(_) => Err(reason),
    })
}

fn prompt_column<'m>(row: &Row, mapping: &'m Mapping) -> &'m str {
    let named = mapping.prompt.as_deref().or(mapping.messages.as_deref());
    named.unwrap_or_else(|| known(row, PROMPTS).unwrap_or("prompt"))
}

/// What is asked. A dialogue in one text that ends where the answer begins is its turns.
fn prompted(row: &Row, mapping: &Mapping) -> Result<Talk, RowReason> {
    let column = prompt_column(row, mapping);
    match part(row, column)? {
        Part::Text(text) => match transcript::prompt(&text) {
            Some(messages) => opened_with(row, mapping, Part::Messages(messages), column),
            None => opened_with(row, mapping, Part::Text(text), column),
        },
        other => opened_with(row, mapping, other, column),
    }
}

/// The conversation that ends with the answer of a column.
fn side(row: &Row, mapping: &Mapping, column: &str) -> Result<Conversation, RowReason> {
    let prompt = prompt_column(row, mapping);
    let answer = match cell::answer(row, column)? {
        Part::Text(text) => dialogue(text, &part(row, prompt)?),
        other => other,
    };
    closed(row, mapping, (prompt, prompted(row, mapping)), (column, answer))
}

/// An answer that is a whole dialogue as its messages: there is no prompt beside it, or the dialogue begins with it.
fn dialogue(text: String, prompt: &Part) -> Part {
    let found = transcript::messages(&text);
    match (prompt, found) {
        (Part::Empty, Some(messages)) => Part::Messages(messages),
        (Part::Text(asked), Some(messages)) if text.starts_with(asked.as_str()) => Part::Messages(messages),
        (Part::Text(asked), _) if transcript::prompt(asked).is_some() => Part::Text(text.trim().to_owned()),
        _ => Part::Text(text),
    }
}

/// One column with a list of two.
fn from_list(row: &Row, mapping: &Mapping) -> Result<Pair, RowReason> {
    let column = mapping.response.as_deref().unwrap_or("output");
    let single = mapping.format != DataFormat::Pairs;
    let items = match list(row.get(column), column) {
        Err(_) if single => return Err(RowReason::NoWorseColumn),
        Ok(items) if items.is_empty() && single && mapping.response.is_none() => {
            return Err(RowReason::NoWorseColumn);
        }
        items => items?,
    };
    if items.is_empty() {
        return Err(RowReason::EmptyAnswer { column: column.to_owned() });
    }
    let side = |value: &Value| match value {
        Value::Null => Some(String::new()),
        other => scalar(other),
    };
    match items.as_slice() {
        [better, worse] => {
            let texts = side(better).zip(side(worse));
            let (better, rejected) =
                texts.ok_or_else(|| RowReason::NotTwoTexts { column: column.to_owned() })?;
            let prompt = (prompt_column(row, mapping), prompted(row, mapping));
            Ok(Pair { chosen: closed(row, mapping, prompt, (column, Part::Text(better)))?, rejected })
        }
        other => Err(RowReason::AnswerCount { column: column.to_owned(), count: other.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::dataset::DataFormat;
    use serde_json::json;

    fn pair(value: Value, mapping: &Mapping) -> Result<Pair, RowReason> {
        Pair::from_row(&Row::from_json(value).unwrap(), mapping)
    }

    fn pairs() -> Mapping {
        Mapping::empty(DataFormat::Pairs)
    }

    #[test]
    fn s_144_a_list_of_two_and_two_columns_give_the_same_pair() {
        let listed = Mapping {
            prompt: Some("q".into()),
            query: Some("more".into()),
            response: Some("output".into()),
            ..pairs()
        };
        let by_list = pair(json!({"q": "Add", "more": "1 2", "output": ["3", "4"]}), &listed).unwrap();
        let columns = Mapping { query: Some("more".into()), ..pairs() };
        let row = json!({"prompt": "Add", "more": "1 2", "chosen": "3", "rejected": "4"});
        assert_eq!(by_list, pair(row, &columns).unwrap());
        assert_eq!(by_list.chosen.turns, [("Add\n1 2".to_owned(), "3".to_owned())]);
        assert_eq!(by_list.worse().turns, [("Add\n1 2".to_owned(), "4".to_owned())]);
    }

    #[test]
    fn whole_conversations_share_their_question() {
        let user = json!({"role": "user", "content": "q"});
        let says = |words: &str| json!({"role": "assistant", "content": words});
        let row = json!({"chosen": [user, says("good")], "rejected": [user, says("bad")]});
        let made = pair(row, &pairs()).unwrap();
        assert_eq!((made.chosen.turns[0].1.as_str(), made.rejected.as_str()), ("good", "bad"));
        let only = json!({"prompt": "q", "chosen": [says("good")], "rejected": [says("bad")]});
        assert_eq!(pair(only, &pairs()).unwrap(), made);
        let other = json!({"role": "user", "content": "another"});
        let row = json!({"chosen": [user, says("good")], "rejected": [other, says("bad")]});
        assert_eq!(
            pair(row, &pairs()).unwrap_err().to_string(),
            "chosen and rejected answer different questions"
        );
    }

    #[test]
    fn rows_without_a_pair_say_why() {
        let listed = Mapping { response: Some("output".into()), ..pairs() };
        let reason = |value: Value, mapping: &Mapping| pair(value, mapping).unwrap_err().to_string();
        assert_eq!(
            reason(json!({"prompt": "q", "output": ["a"]}), &listed),
            "output holds 1 answers where two are needed"
        );
        assert_eq!(reason(json!({"prompt": "q", "output": "a"}), &listed), "output is not a list");
        assert_eq!(
            reason(json!({"prompt": "q", "chosen": "a", "rejected": ""}), &pairs()),
            "rejected is empty"
        );
        assert_eq!(
            reason(json!({"prompt": "q", "chosen": "a"}), &pairs()),
            "no column holds the worse answer"
        );
        assert_eq!(
            reason(json!({"prompt": "", "chosen": "a", "rejected": "b"}), &pairs()),
            "prompt is empty"
        );
    }
}
