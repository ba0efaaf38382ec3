//! A row becomes turns of question and answer, or is left out with a reason.

mod cell;
mod literal;
mod message;
mod pairs;
mod talk;
mod transcript;

use contract::dataset::{DataFormat, Mapping};
use contract::row_reason::RowReason;
use serde_json::Value;

use crate::source::Row;
use cell::{Part, list, part, scalar, text};
pub(crate) use message::{CONTENTS, ROLES, knows_role};
pub use pairs::Pair;
use talk::Talk;

/// Turns of one row, the last answer included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// System text (the ancestor's `prefix`); `None`: the template's own.
    pub system: Option<String>,
    /// Question and answer of each turn, oldest first; never empty when made from a row.
    pub turns: Vec<(String, String)>,
    /// Turns, from 0, whose answer is read but not learned; in order.
    pub unlearned: Vec<usize>,
}

impl Conversation {
    /// Reads a row under a mapping (S-078, S-140, S-223).
    ///
    /// # Errors
    /// The reason why the row cannot teach.
    pub fn from_row(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        let read = match mapping.format {
            DataFormat::Text => Err(RowReason::PlainText),
            DataFormat::Messages => {
                let (column, talk) = from_messages(row, mapping)?;
                talk.answered(column)
            }
            DataFormat::Pairs => pairs::chosen(row, mapping),
            DataFormat::Alpaca | DataFormat::PromptResponse => {
                let (prompt, response) = columns(mapping);
                let asked = opened(row, mapping, prompt)?;
                closed(row, mapping, (prompt, Ok(asked)), (response, cell::answer(row, response)?))
            }
        }?;
        if read.unlearned.len() == read.turns.len() {
            return Err(RowReason::NothingLearned);
        }
        Ok(read)
    }

    /// Reads a row whose answer is not needed, as ppo does: where there is none, the last answer is empty. A plain
    /// text is a question.
    ///
    /// # Errors
    /// The reason why the row holds no question.
    pub fn asked(row: &Row, mapping: &Mapping) -> Result<Self, RowReason> {
        row.sound()?;
        match mapping.format {
            DataFormat::Text => {
                Ok(Self { turns: vec![(text_of(row, mapping)?, String::new())], ..Self::default() })
            }
            DataFormat::Messages => {
                let (column, talk) = from_messages(row, mapping)?;
                talk.asked(column)
            }
            DataFormat::Pairs => pairs::asked(row, mapping),
            DataFormat::Alpaca | DataFormat::PromptResponse => {
                let (prompt, response) = columns(mapping);
                let talk = opened(row, mapping, prompt)?;
                let whole = cell::answer(row, response)
                    .and_then(|answer| closed(row, mapping, (prompt, Ok(talk.clone())), (response, answer)));
                whole.or_else(|_| talk.asked(prompt))
            }
        }
    }
}

/// The text of a row for pre-training: the prompt column of plain text (S-141); of a conversation its system text,
/// questions and answers, each beginning on a line of its own.
///
/// # Errors
/// The reason why the row holds no text.
pub fn text_of(row: &Row, mapping: &Mapping) -> Result<String, RowReason> {
    if mapping.format == DataFormat::Text {
        return column_of(row, mapping);
    }
    let Conversation { system, turns, .. } = Conversation::asked(row, mapping)?;
    let said = turns.into_iter().flat_map(|(question, answer)| [question, answer]);
    let texts: Vec<String> = system.into_iter().chain(said).filter(|text| !text.is_empty()).collect();
    Ok(texts.join("\n"))
}

/// The prompt column alone, as the original pre-trained on it whatever else the row holds (S-141).
///
/// # Errors
/// The reason why it holds no text.
pub fn column_of(row: &Row, mapping: &Mapping) -> Result<String, RowReason> {
    row.sound()?;
    let column = mapping.prompt.as_deref().unwrap_or("text");
    text(row, Some(column))?.ok_or_else(|| RowReason::EmptyText { column: column.to_owned() })
}

/// Whether a cell holds messages, as a list or written as text.
pub(crate) fn is_chat(value: &Value) -> bool {
    cell::messages(value).is_some()
}

/// Columns of the question and of the answer.
fn columns(mapping: &Mapping) -> (&str, &str) {
    let alpaca = mapping.format == DataFormat::Alpaca;
    let prompt = mapping.prompt.as_deref().unwrap_or(if alpaca { "instruction" } else { "prompt" });
    let response = mapping.response.as_deref().unwrap_or(if alpaca { "output" } else { "response" });
    (prompt, response)
}

/// What is asked: the prompt column and the turns before it.
fn opened(row: &Row, mapping: &Mapping, column: &str) -> Result<Talk, RowReason> {
    opened_with(row, mapping, part(row, column)?, column)
}

/// What is asked, the query column appended on a new line (S-140).
fn opened_with(row: &Row, mapping: &Mapping, asked: Part, column: &str) -> Result<Talk, RowReason> {
    let history = match mapping.history.as_deref() {
        Some(column) => history(row.get(column), column)?,
        None => Vec::new(),
    };
    let talk = Talk::after(text(row, mapping.system.as_deref())?, history);
    let mut talk = match asked {
        Part::Empty => return Err(RowReason::EmptyQuestion { column: column.to_owned() }),
        Part::Text(question) => talk.ask(question),
        Part::Messages(messages) => talk.extend(&messages)?,
    };
    if let Some(query) = text(row, mapping.query.as_deref())? {
        talk.append(&query);
    }
    Ok(talk)
}

/// The conversation with its answer.
fn closed(
    row: &Row,
    mapping: &Mapping,
    (prompt, asked): (&str, Result<Talk, RowReason>),
    (response, answer): (&str, Part),
) -> Result<Conversation, RowReason> {
    match answer {
        Part::Empty => Err(RowReason::EmptyAnswer { column: response.to_owned() }),
        Part::Text(text) => asked?.answer(text, prompt)?.answered(response),
        Part::Messages(messages) => {
            let system = text(row, mapping.system.as_deref())?;
            Talk::followed(asked, system, &messages)?.answered(response)
        }
    }
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

/// `{role, content}` or ShareGPT's `{from, value}`: an optional system text, then questions and answers in turn. Gives
/// the column as well.
fn from_messages<'m>(row: &Row, mapping: &'m Mapping) -> Result<(&'m str, Talk), RowReason> {
    let column = match mapping.messages.as_deref() {
        Some(column) => column,
        None => {
            let known = super::inspect::MESSAGE_COLUMNS.iter().copied();
            known.into_iter().find(|name| row.get(name).is_some()).unwrap_or("messages")
        }
    };
    let items = list(row.get(column), column)?;
    message::without_tools(row, column)?;
    let talk = Talk::after(text(row, mapping.system.as_deref())?, Vec::new());
    Ok((column, talk.extend(&message::all(&items)?)?))
}

/// Texts of a conversation.
pub(crate) fn texts(conversation: &Conversation) -> impl Iterator<Item = &str> + Clone {
    let turns = conversation.turns.iter().flat_map(|(question, answer)| [question.as_str(), answer.as_str()]);
    conversation.system.as_deref().into_iter().chain(turns)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod rows {
    use super::*;
    use contract::row_reason::Side;
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
