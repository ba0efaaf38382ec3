//! One message of a chat: who says what.

use contract::row_reason::RowReason;
use serde_json::Value;

use super::cell::scalar;
use crate::source::Row;

/// Keys of the role, best first; one that is null counts as absent.
pub(crate) const ROLES: &[&str] = &["role", "from", "speaker", "author"];
/// Keys of what is said, best first.
pub(crate) const CONTENTS: &[&str] = &["content", "value", "text", "message"];
/// Keys of a call that an assistant makes.
const CALLS: &[&str] = &["tool_calls", "function_call", "tool_call"];
/// Keys of a turn written as one object, and whose they are.
const TURN: [(&str, Role); 3] =
    [("system", Role::System), ("input", Role::User), ("output", Role::Assistant)];
/// Columns of what may be called.
const TOOLS: &[&str] = &["tools", "functions"];

/// Whose a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions for the whole chat.
    System,
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
    /// None of these, as it is written.
    Other(String),
}

impl Role {
    /// Reads a name, blanks and capitals aside; `None`: a tool's, or a call of one.
    fn of(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        Some(match name.as_str() {
            "system" | "developer" => Self::System,
            "user" | "human" | "prompter" => Self::User,
            "assistant" | "gpt" | "model" | "bot" | "chatgpt" | "ai" => Self::Assistant,
            "tool" | "function" | "ipython" | "observation" => return None,
            "function_call" | "function_response" | "tool_call" | "tool_response" | "tool_result" => {
                return None;
            }
            _ => Self::Other(name),
        })
    }
}

/// Whether messages of a role of this name are read.
pub(crate) fn knows_role(name: &str) -> bool {
    !matches!(Role::of(name), Some(Role::Other(_)))
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Whose it is.
    pub(super) role: Role,
    /// What it says; empty where it says nothing.
    pub(super) content: String,
    /// Whether it is learned where it is an answer: not with `weight` 0.
    pub(super) learn: bool,
}

/// Reads the items of a list.
///
/// # Errors
/// The first that is no message, or one of a tool.
pub(super) fn all(items: &[Value]) -> Result<Vec<Message>, RowReason> {
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let number = index + 1;
        if is_turn(item) {
            for (key, role) in TURN {
                let content = item.get(key).filter(|value| !value.is_null());
                let content = content.map(|value| scalar(value).ok_or(RowReason::BrokenMessage { number }));
                if let Some(content) = content.transpose()? {
                    messages.push(Message { role, content, learn: true });
                }
            }
        } else {
            messages.push(read(item, number)?);
        }
    }
    Ok(messages)
}

fn read(item: &Value, number: usize) -> Result<Message, RowReason> {
    let broken = || RowReason::BrokenMessage { number };
    let role = first(item, ROLES).and_then(Value::as_str).ok_or_else(broken)?;
    let calls = CALLS.iter().any(|key| item.get(key).is_some_and(holds_something));
    let role = Role::of(role).filter(|_| !calls).ok_or(RowReason::ToolMessage { number })?;
    let content = match first(item, CONTENTS) {
        Some(Value::Array(parts)) => {
            let texts: Option<Vec<_>> =
                parts.iter().map(|part| part.as_str().or_else(|| part.get("text")?.as_str())).collect();
            texts.ok_or_else(broken)?.concat()
        }
        Some(value) => scalar(value).ok_or_else(broken)?,
        // A key that is there, be it null, says that nothing is said.
        None if CONTENTS.iter().any(|key| item.get(key).is_some()) => String::new(),
        None => return Err(broken()),
    };
    let learn = item.get("weight").and_then(Value::as_f64) != Some(0.0);
    Ok(Message { role, content, learn })
}

fn first<'v>(item: &'v Value, keys: &[&str]) -> Option<&'v Value> {
    keys.iter().find_map(|key| item.get(key).filter(|value| !value.is_null()))
}

/// Whether an object names whose message it is, or is a whole turn.
pub(super) fn has_role(item: &Value) -> bool {
    first(item, ROLES).is_some_and(Value::is_string) || is_turn(item)
}

/// Whether an object has a role and a content, or is a whole turn.
pub(super) fn is_whole(item: &Value) -> bool {
    has_role(item) && (is_turn(item) || CONTENTS.iter().any(|key| item.get(key).is_some()))
}

/// Whether an object is a question with its answer: `{"input": "…", "output": "…"}`.
fn is_turn(item: &Value) -> bool {
    first(item, ROLES).is_none() && item.get("input").is_some() && item.get("output").is_some()
}

/// A chat that may call tools means another thing without them.
///
/// # Errors
/// The column that holds them: beside the messages, or in the object of the column itself.
pub(super) fn without_tools(row: &Row, column: &str) -> Result<(), RowReason> {
    let of_tools = |name: &str| RowReason::ToolColumn { column: name.to_owned() };
    let beside = TOOLS.iter().find(|name| **name != column && row.get(name).is_some_and(holds_something));
    if let Some(name) = beside {
        return Err(of_tools(name));
    }
    let inside = row
        .get(column)
        .is_some_and(|value| TOOLS.iter().any(|name| value.get(name).is_some_and(holds_something)));
    if inside { Err(of_tools(column)) } else { Ok(()) }
}

/// Whether a value is a list or an object that is not empty, as itself or as text.
fn holds_something(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(|value| !value.is_null()),
        Value::String(text) => {
            let text = text.trim();
            text.starts_with(['[', '{']) && text.chars().filter(|c| !c.is_whitespace()).count() > 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
