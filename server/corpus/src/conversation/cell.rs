//! Cells as the texts and lists a conversation is made of.

use contract::row_reason::RowReason;
use serde_json::Value;

use crate::source::Row;

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

/// A list, or a list written as JSON text in one cell, as CSV files have it.
pub(super) fn list(value: Option<&Value>, column: &str) -> Result<Vec<Value>, RowReason> {
    let not_a_list = || Err(RowReason::NotAList { column: column.to_owned() });
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => Ok(items),
            _ => not_a_list(),
        },
        Some(_) => not_a_list(),
    }
}
