//! One row: named cells, and how JSON text becomes one.

use std::borrow::Cow;

use contract::Code;
use contract::problem::Problem;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::DEPTH_LIMIT;

/// Named cells in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Column name and value; an empty CSV cell is null.
    pub cells: Vec<(String, Value)>,
}

impl Row {
    /// The value of a column, or of a field of one that holds objects, as `translation.en` names it.
    pub fn get(&self, column: &str) -> Option<&Value> {
        let cell = |column: &str| self.cells.iter().find(|(name, _)| name == column).map(|(_, value)| value);
        cell(column).or_else(|| {
            let (name, path) = column.split_once('.')?;
            path.split('.').try_fold(cell(name)?, |value, field| value.get(field))
        })
    }

    /// The row as the original read it: a cell of `false` or zero counts as empty (S-140).
    pub fn without_falsy(&self) -> Cow<'_, Self> {
        let falsy = |value: &Value| value == &Value::Bool(false) || value.as_f64() == Some(0.0);
        if !self.cells.iter().any(|(_, value)| falsy(value)) {
            return Cow::Borrowed(self);
        }
        let mut row = self.clone();
        row.cells.iter_mut().filter(|(_, value)| falsy(value)).for_each(|(_, value)| *value = Value::Null);
        Cow::Owned(row)
    }

    /// Bytes of all names and texts, roughly: what holding the row costs.
    pub fn size(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len() + 32,
                Value::Array(items) => items.iter().map(of).sum::<usize>() + 32,
                Value::Object(map) => map.iter().map(|(key, item)| key.len() + of(item) + 64).sum(),
                Value::Null | Value::Bool(_) | Value::Number(_) => 32,
            }
        }
        self.cells.iter().map(|(name, value)| name.len() + of(value)).sum()
    }

    /// A JSON object as a row; anything else is a [`Problem`] without a place.
    #[cfg(test)]
    pub(crate) fn from_json(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { cells: map.into_iter().collect() }),
            other => Err(not_an_object(&other)),
        }
    }
}

fn not_an_object(value: &Value) -> Problem {
    Problem::new(
        Code::DatasetNotAnObject,
        format!("A row must be a JSON object with named columns; this one is {}.", kind_of(value)),
    )
    .hint("Write each row as {\"instruction\": \"…\", \"output\": \"…\"}.")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Marks the error of a column named twice.
const TWICE: &str = "column named twice: ";

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cells;
        impl<'de> Visitor<'de> for Cells {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some(name) = map.next_key::<String>()? {
                    // Which of the two is meant, nobody can tell: the last one would win silently.
                    if row.get(&name).is_some() {
                        return Err(A::Error::custom(format!("{TWICE}{name}")));
                    }
                    row.cells.push((name, map.next_value()?));
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(Cells)
    }
}

/// Parses one JSON value that began at byte `start` of the file.
pub(crate) fn parse_json(text: &str, row: u64, start: u64) -> Result<Row, Problem> {
    let broken = |error: &serde_json::Error| {
        let byte = start + offset_of(text, error.line(), error.column());
        problem_of(error).row(row).byte(byte)
    };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| broken(&error));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| broken(&error))?;
    Err(not_an_object(&value).row(row).byte(start))
}

fn problem_of(error: &serde_json::Error) -> Problem {
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default();
    if why.contains("recursion limit") {
        return Problem::new(
            Code::DatasetJsonTooDeep,
            format!("This row nests deeper than {DEPTH_LIMIT} levels."),
        )
        .with("most", DEPTH_LIMIT)
        .hint("Flatten the row.");
    }
    if let Some(name) = why.strip_prefix(TWICE) {
        return Problem::new(Code::DatasetColumnTwice, format!("This row names “{name}” twice."))
            .field(name)
            .hint("Keep one of the two.");
    }
    Problem::new(Code::DatasetJsonBroken, format!("This row is not valid JSON: {why}."))
        .with("why", why)
        .hint("Open the file at this row and mend it; a missing quote or comma is the usual cause.")
}

fn offset_of(text: &str, line: usize, column: usize) -> u64 {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)) as u64
}
