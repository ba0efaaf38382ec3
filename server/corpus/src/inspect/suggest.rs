//! Which column plays which part, from names and a sample of rows.

use contract::dataset::{DataFormat, FileKind, Mapping};
use serde_json::Value;

use super::MESSAGE_COLUMNS;
use crate::conversation::is_chat;
use crate::source::Row;

const PROMPTS: &[&str] = &["prompt", "question", "query", "instruction", "input", "user"];
const RESPONSES: &[&str] = &["response", "answer", "output", "completion", "reply", "assistant", "target"];
const CHOSEN: &[&str] =
    &["chosen", "accepted", "preferred", "response_chosen", "chosen_response", "preferred_output"];
const REJECTED: &[&str] =
    &["rejected", "dispreferred", "response_rejected", "rejected_response", "non_preferred_output"];
const TEXTS: &[&str] = &["text", "content", "document", "body"];

/// A mapping that fits the columns; the person may choose another.
pub(super) fn suggest(columns: &[String], sample: &[Row], kind: FileKind) -> Mapping {
    let find = |names: &[&str]| {
        names.iter().find_map(|name| columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned())
    };
    if kind == FileKind::Txt {
        return Mapping { prompt: columns.first().cloned(), ..Mapping::empty(DataFormat::Text) };
    }
    let extras = |format| Mapping {
        history: find(&["history"]),
        system: find(&["system", "system_prompt"]),
        ..Mapping::empty(format)
    };
    if let (Some(chosen), Some(rejected)) = (find(CHOSEN), find(REJECTED)) {
        return Mapping {
            prompt: find(PROMPTS),
            query: find(&["input", "context"]).filter(|_| find(&["instruction", "prompt"]).is_some()),
            chosen: Some(chosen),
            rejected: Some(rejected),
            ..extras(DataFormat::Pairs)
        };
    }
    if let Some(column) = find(MESSAGE_COLUMNS).filter(|column| holds_lists(column, sample)) {
        let system = find(&["system"]);
        return Mapping { messages: Some(column), system, ..Mapping::empty(DataFormat::Messages) };
    }
    let pair = find(RESPONSES).filter(|column| holds_pairs(column, sample));
    if let (Some(prompt), Some(pair)) = (find(PROMPTS), pair) {
        let query = find(&["input", "query", "context"]).filter(|column| *column != prompt);
        return Mapping { prompt: Some(prompt), query, response: Some(pair), ..extras(DataFormat::Pairs) };
    }
    if let (Some(prompt), Some(response)) = (find(&["instruction"]), find(&["output"])) {
        return Mapping {
            prompt: Some(prompt),
            query: find(&["input"]),
            response: Some(response),
            ..extras(DataFormat::Alpaca)
        };
    }
    if let (Some(prompt), Some(response)) = (find(PROMPTS), find(RESPONSES)) {
        let query = find(&["query", "context"]).filter(|column| *column != prompt);
        return Mapping {
            prompt: Some(prompt),
            query,
            response: Some(response),
            ..extras(DataFormat::PromptResponse)
        };
    }
    if let Some(text) = find(TEXTS) {
        return Mapping { prompt: Some(text), ..Mapping::empty(DataFormat::Text) };
    }
    let mut texts = columns.iter().filter(|column| holds_texts(column, sample)).cloned();
    match (texts.next(), texts.next()) {
        (Some(only), None) => Mapping { prompt: Some(only), ..Mapping::empty(DataFormat::Text) },
        // Which of several is asked and which is answered, nobody can tell: a person chooses.
        _ => Mapping::empty(DataFormat::PromptResponse),
    }
}

fn holds_pairs(column: &str, sample: &[Row]) -> bool {
    let text = |item: &Value| item.is_string();
    sample.iter().any(
        |row| matches!(row.get(column), Some(Value::Array(items)) if items.len() == 2 && items.iter().all(text)),
    )
}

fn holds_lists(column: &str, sample: &[Row]) -> bool {
    sample.iter().any(|row| match row.get(column) {
        Some(Value::Array(_)) => true,
        Some(value) => is_chat(value),
        None => false,
    })
}

fn holds_texts(column: &str, sample: &[Row]) -> bool {
    sample.iter().any(|row| matches!(row.get(column), Some(Value::String(text)) if !text.is_empty()))
}
