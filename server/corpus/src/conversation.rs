//! A row becomes turns of question and answer, or is left out with a reason.

mod cell;
mod pairs;

use contract::dataset::{DataFormat, Mapping};
use contract::row_reason::{RowReason, Side};
use serde_json::Value;

use crate::source::Row;
use cell::{list, scalar, text};
pub use pairs::Pair;

/// Turns of one row, the last answer included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// System text (the ancestor's `prefix`); `None`: the template's own.
    pub system: Option<String>,
    /// Question and answer of each turn, oldest first; never empty when made from a row.
    pub turns: Vec<(String, String)>,
}

impl Conversation {
    /// Reads a row under a mapping (S-078, S-140, S-223).
    ///
    /// # Errors
    /// The reason why the row cannot teach.
    pub fn from_row(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        match mapping.format {
            DataFormat::Text => Err(RowReason::PlainText),
            DataFormat::Messages => from_messages(row, mapping),
            DataFormat::Pairs => Pair::from_row(row, mapping).map(|pair| pair.chosen),
            DataFormat::Alpaca | DataFormat::PromptResponse => from_columns(row, mapping, true),
        }
    }

    /// Reads a row whose answer is not needed, as ppo does: where there is none, the last answer is empty. A plain
    /// text is a question.
    ///
    /// # Errors
    /// The reason why the row holds no question.
    pub fn asked(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        match mapping.format {
            DataFormat::Alpaca | DataFormat::PromptResponse => from_columns(row, mapping, false),
            DataFormat::Text => {
                Ok(Self { system: None, turns: vec![(text_of(row, mapping)?, String::new())] })
            }
            _ => Self::from_row(row, mapping),
        }
    }
}

/// The text of a row for pre-training: the prompt column (S-141).
///
/// # Errors
/// The reason why the row holds no text.
pub fn text_of(row: &Row, mapping: &Mapping) -> Result<String, RowReason> {
    row.sound()?;
    let column = mapping.prompt.as_deref().unwrap_or("text");
    let text = text(row, Some(column))?.ok_or_else(|| RowReason::EmptyText { column: column.to_owned() })?;
    Ok(text)
}

fn from_columns(row: &Row, mapping: &Mapping, answered: bool) -> Result<Conversation, RowReason> {
    let alpaca = mapping.format == DataFormat::Alpaca;
    let prompt = mapping.prompt.as_deref().unwrap_or(if alpaca { "instruction" } else { "prompt" });
    let response = mapping.response.as_deref().unwrap_or(if alpaca { "output" } else { "response" });
    let question = question(row, mapping, prompt)?;
    let answer = match text(row, Some(response)) {
        Ok(Some(answer)) => answer,
        _ if !answered => String::new(),
        found => found?.ok_or_else(|| RowReason::EmptyAnswer { column: response.to_owned() })?,
    };
    let mut turns = match mapping.history.as_deref() {
        Some(column) => history(row.get(column), column)?,
        None => Vec::new(),
    };
    turns.push((question, answer));
    Ok(Conversation { system: text(row, mapping.system.as_deref())?, turns })
}

/// The prompt column, the query column appended on a new line (S-140).
fn question(row: &Row, mapping: &Mapping, prompt: &str) -> Result<String, RowReason> {
    let question = text(row, Some(prompt))?;
    let mut question = question.ok_or_else(|| RowReason::EmptyQuestion { column: prompt.to_owned() })?;
    if let Some(query) = text(row, mapping.query.as_deref())? {
        question.push('\n');
        question.push_str(&query);
    }
    Ok(question)
}

/// Earlier turns: a list of `[question, answer]` (S-223).
fn history(value: Option<&Value>, column: &str) -> Result<Vec<(String, String)>, RowReason> {
    let side = |value: &Value| match value {
        Value::Null => Some(String::new()),
        other => scalar(other),
    };
    let mut turns = Vec::new();
    for (index, item) in list(value, column)?.iter().enumerate() {
        let pair = item.as_array().filter(|pair| pair.len() == 2);
        let turn = pair.and_then(|pair| Some((side(&pair[0])?, side(&pair[1])?)));
        turns.push(
            turn.ok_or_else(|| RowReason::BrokenTurn { number: index + 1, column: column.to_owned() })?,
        );
    }
    Ok(turns)
}

/// `{role, content}` or ShareGPT's `{from, value}`: an optional system text, then questions and answers in turn.
fn from_messages(row: &Row, mapping: &Mapping) -> Result<Conversation, RowReason> {
    let column = match mapping.messages.as_deref() {
        Some(column) => column,
        None => {
            let known = super::inspect::MESSAGE_COLUMNS.iter().copied();
            known.into_iter().find(|name| row.get(name).is_some()).unwrap_or("messages")
        }
    };
    let items = list(row.get(column), column)?;
    from_items(&items, column, text(row, mapping.system.as_deref())?)
}

/// Turns of a message list.
fn from_items(items: &[Value], column: &str, system: Option<String>) -> Result<Conversation, RowReason> {
    let mut conversation = Conversation { system, turns: Vec::new() };
    let mut question: Option<String> = None;
    for (index, item) in items.iter().enumerate() {
        let number = index + 1;
        let (role, content) = message(item).ok_or(RowReason::BrokenMessage { number })?;
        match (role.to_ascii_lowercase().as_str(), question.take()) {
            ("system", None) if index == 0 => {
                conversation.system = Some(content).filter(|text| !text.is_empty())
            }
            ("user" | "human" | "prompter", None) => {
                if content.is_empty() {
                    return Err(RowReason::EmptyMessage { number, side: Side::User });
                }
                question = Some(content);
            }
            ("assistant" | "gpt" | "model" | "bot" | "chatgpt", Some(asked)) => {
                if content.is_empty() {
                    return Err(RowReason::EmptyMessage { number, side: Side::Assistant });
                }
                conversation.turns.push((asked, content));
            }
            (other, waiting) => {
                let wanted = if waiting.is_some() { Side::Assistant } else { Side::User };
                return Err(RowReason::WrongRole { number, role: other.to_owned(), wanted });
            }
        }
    }
    if conversation.turns.is_empty() {
        return Err(RowReason::NoAnswer { column: column.to_owned() });
    }
    Ok(conversation)
}

fn message(item: &Value) -> Option<(String, String)> {
    let role = item.get("role").or_else(|| item.get("from"))?.as_str()?;
    let content = match item.get("content").or_else(|| item.get("value"))? {
        Value::Null => String::new(),
        Value::Array(parts) => {
            let texts: Option<Vec<_>> = parts.iter().map(|part| part.get("text")?.as_str()).collect();
            texts?.concat()
        }
        other => scalar(other)?,
    };
    Some((role.to_owned(), content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: Value) -> Row {
        Row::from_json(value).unwrap()
    }

    fn alpaca() -> Mapping {
        Mapping {
            query: Some("input".into()),
            history: Some("history".into()),
            ..Mapping::empty(DataFormat::Alpaca)
        }
    }

    #[test]
    fn s_140_query_is_appended_and_empty_cells_leave_the_row_out() {
        let made = |value| Conversation::from_row(&row(value), &alpaca());
        let whole = made(json!({"instruction": "Add", "input": "1 2", "output": "3"})).unwrap();
        assert_eq!(whole.turns, [("Add\n1 2".to_owned(), "3".to_owned())]);
        let plain = made(json!({"instruction": " ", "input": "", "output": "0"})).unwrap();
        assert_eq!(plain.turns, [(" ".to_owned(), "0".to_owned())]);
        assert_eq!(
            made(json!({"instruction": "Add", "output": ""})).unwrap_err(),
            RowReason::EmptyAnswer { column: "output".into() }
        );
        assert_eq!(
            made(json!({"instruction": null, "output": "x"})).unwrap_err(),
            RowReason::EmptyQuestion { column: "instruction".into() }
        );
        assert!(
            made(json!({"instruction": "Add", "output": ["a", "b"]})).unwrap_err()
                == RowReason::IsList { column: "output".into() }
        );
    }

    #[test]
    fn s_223_history_comes_before_the_question() {
        let value = json!({"instruction": "q2", "output": "a2", "history": [["q1", "a1"]]});
        let made = Conversation::from_row(&row(value), &alpaca()).unwrap();
        assert_eq!(made.turns, [("q1".to_owned(), "a1".to_owned()), ("q2".to_owned(), "a2".to_owned())]);
        let value = json!({"instruction": "q2", "output": "a2", "history": [["q1"]]});
        let reason = Conversation::from_row(&row(value), &alpaca()).unwrap_err();
        assert_eq!(reason, RowReason::BrokenTurn { number: 1, column: "history".into() });
    }

    #[test]
    fn messages_and_sharegpt_give_the_same_turns() {
        let mapping = Mapping::empty(DataFormat::Messages);
        let chat = json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
            {"role": "assistant", "content": "a"}, {"role": "user", "content": "unanswered"}]});
        let share = json!({"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "q"},
            {"from": "gpt", "value": "a"}]});
        let made = Conversation::from_row(&row(chat), &mapping).unwrap();
        assert_eq!(made, Conversation::from_row(&row(share), &mapping).unwrap());
        assert_eq!((made.system.as_deref(), made.turns.len()), (Some("s"), 1));
        let twice = json!({"messages": [{"role": "user", "content": "q"}, {"role": "user", "content": "q"}]});
        let reason = Conversation::from_row(&row(twice), &mapping).unwrap_err();
        assert_eq!(reason, RowReason::WrongRole { number: 2, role: "user".into(), wanted: Side::Assistant });
    }
}
