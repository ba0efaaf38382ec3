//! Cells as the texts and message lists a conversation is made of.

use contract::row_reason::RowReason;
use serde_json::Value;

use super::literal;
use super::message::{self, Message};
use crate::source::Row;

/// What stands in the cell of a question or an answer.
pub(super) enum Part {
    /// Nothing: null, missing, or an empty text.
    Empty,
    /// A text.
    Text(String),
    /// Messages.
    Messages(Vec<Message>),
}

/// A text, number or truth value as text, the latter as Python writes it; `None`: nothing, a list or an object.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text of a cell; `None` when the column is not mapped or the cell is empty.
pub(super) fn text(row: &Row, column: Option<&str>) -> Result<Option<String>, RowReason> {
    let Some(column) = column else { return Ok(None) };
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) if items.is_empty() => Ok(None),
        Some(Value::Array(_)) => Err(RowReason::IsList { column: column.to_owned() }),
        Some(Value::Object(map)) if map.is_empty() => Ok(None),
        Some(Value::Object(_)) => Err(RowReason::IsObject { column: column.to_owned() }),
        Some(value) => Ok(scalar(value).filter(|text| !text.is_empty())),
    }
}

/// A question or an answer: a text, or messages, these also as JSON or a Python literal in a text.
pub(super) fn part(row: &Row, column: &str) -> Result<Part, RowReason> {
    let value = row.get(column);
    match value.and_then(messages) {
        Some(items) => {
            message::without_tools(row, column)?;
            message::all(&items).map(Part::Messages)
        }
        None => Ok(text(row, Some(column))?.map_or(Part::Empty, Part::Text)),
    }
}

/// An answer: as [`part`], or the first of the answers to a question, as tables of questions about a text list them:
/// `{"text": ["…"], "answer_start": [1]}`, `[{"text": "…"}]`, a list of one.
pub(super) fn answer(row: &Row, column: &str) -> Result<Part, RowReason> {
    part(row, column).or_else(|reason| {
        let first = row.get(column).and_then(|value| match value {
            Value::Array(items) if items.len() == 1 && scalar(&items[0]).is_some() => Some(&items[0]),
            Value::Array(items) if items.iter().all(Value::is_object) => items.first()?.get("text"),
            Value::Object(_) => match value.get("text").or_else(|| value.get("value"))? {
                Value::Array(texts) => Some(texts.first().unwrap_or(&Value::Null)),
                other => Some(other),
            },
            _ => None,
        });
        match first {
            Some(Value::Null) => Ok(Part::Empty),
            Some(only) => {
                Ok(scalar(only).map(|text| if text.is_empty() { Part::Empty } else { Part::Text(text) }))
                    .and_then(|part| part.ok_or(reason))
            }
            None => Err(reason),
        }
    })
}

/// The items of a list of messages; `None` when the value is none. A text must be unmistakable: every item has a role
/// and a content.
pub(super) fn messages(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => {
            let objects = !items.is_empty() && items.iter().all(Value::is_object);
            (objects && items.iter().any(message::has_role)).then(|| items.clone())
        }
        Value::Object(map) => match map.get("messages") {
            Some(Value::Array(items)) => Some(items.clone()),
            _ => message::is_whole(value).then(|| vec![value.clone()]),
        },
        Value::String(text) => {
            let found = structured(text).and_then(|value| messages(&value))?;
            found.iter().all(message::is_whole).then_some(found)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A list or an object written as text: JSON, or a Python literal.
fn structured(text: &str) -> Option<Value> {
    let begins = |starts: &[&str]| starts.iter().any(|start| text.trim_start().starts_with(start));
    if !begins(&["[", "{", "(", "array("]) {
        return None;
    }
    serde_json::from_str(text).ok().or_else(|| literal::parse(text))
}

/// A list, or a list written as text in one cell, as CSV files have it.
pub(super) fn list(value: Option<&Value>, column: &str) -> Result<Vec<Value>, RowReason> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => match structured(text) {
            Some(Value::Array(items)) => Ok(items),
            Some(object) => messages(&object).ok_or(column),
            None => Err(column),
        }
        .map_err(|column| RowReason::NotAList { column: column.to_owned() }),
        Some(other) => messages(other).ok_or_else(|| RowReason::NotAList { column: column.to_owned() }),
    }
}
