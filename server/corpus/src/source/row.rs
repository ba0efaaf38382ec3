//! One row: named cells, and how JSON text becomes one.

use contract::limits::Limit;
use std::borrow::Cow;
use std::collections::HashSet;

use super::limits::{Values, name_too_long, told, too_many_columns, too_many_values};
use contract::Code;
use contract::problem::Problem;
use contract::row_reason::RowReason;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
/// Named cells in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Column name and value; an empty CSV cell is null.
    pub cells: Vec<(String, Value)>,
    /// Why the row could not be read, where the file around it could; it holds no cells then.
    pub fault: Option<RowReason>,
}

impl Row {
    /// A row of these cells.
    pub fn new(cells: Vec<(String, Value)>) -> Self {
        Self { cells, fault: None }
    }

    /// A row that holds nothing because of `problem`, which the row's own number places.
    pub(super) fn unreadable(problem: Problem) -> Self {
        let problem = Box::new(Problem { place: None, ..problem });
        Self { cells: Vec::new(), fault: Some(RowReason::Unreadable { problem }) }
    }

    /// Whether the row could be read.
    ///
    /// # Errors
    /// The reason why not.
    pub fn sound(&self) -> Result<(), RowReason> {
        self.fault.clone().map_or(Ok(()), Err)
    }

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

    /// Bytes that holding the row costs, roughly: those of names and texts, and of the values themselves.
    pub fn size(&self) -> usize {
        self.cells.iter().map(|(name, value)| size_of::<String>() + name.len() + size_of_value(value)).sum()
    }

    /// A JSON object as a row; anything else is a [`Problem`] without a place.
    #[cfg(test)]
    pub(crate) fn from_json(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self::new(map.into_iter().collect())),
            other => Err(not_an_object(&other)),
        }
    }
}

/// Bytes that holding a value costs, roughly.
pub(super) fn size_of_value(value: &Value) -> usize {
    /// A member of an object without its value: the name, its hash and its place.
    const MEMBER: usize = size_of::<String>() + 32;
    /// An object's table of places.
    const OBJECT: usize = 128;
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size_of_value).sum(),
        Value::Object(map) => {
            OBJECT + map.iter().map(|(key, item)| MEMBER + key.len() + size_of_value(item)).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inside
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

/// Marks the error of a column with too long a name.
const LONG_NAME: &str = "column with a long name: ";

/// Marks the error of more columns than a file may have.
const MANY: &str = "too many columns";

/// Columns of a row up to which looking through all of them is as quick as looking a name up.
const FEW: usize = 16;

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
                let mut known = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if row.cells.len() == FEW {
                        known.extend(row.cells.iter().map(|(name, _)| name.clone()));
                    }
                    let again = match row.cells.len() {
                        ..FEW => row.cells.iter().any(|(known, _)| *known == name),
                        many if many >= Limit::Columns.get() => return Err(A::Error::custom(MANY)),
                        _ => !known.insert(name.clone()),
                    };
                    // Which of the two is meant, nobody can tell: the last one would win silently.
                    if again {
                        return Err(A::Error::custom(format!("{TWICE}{}", told(&name))));
                    }
                    if name.len() > Limit::NameBytes.get() {
                        return Err(A::Error::custom(format!("{LONG_NAME}{}", told(&name))));
                    }
                    row.cells.push((name, map.next_value()?));
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(Cells)
    }
}

/// Parses one JSON value that began at byte `start` of the file. The numbers that Python writes and JSON has not are
/// null.
pub(crate) fn parse_json(text: &str, row: u64, start: u64) -> Result<Row, Problem> {
    parse_json_of(text, row, start, Limit::RowValues.get())
}

/// As [`parse_json`], of `most` values.
pub(super) fn parse_json_of(text: &str, row: u64, start: u64, most: usize) -> Result<Row, Problem> {
    if Values::exceed(text, most) {
        return Err(too_many_values(most).row(row).byte(start));
    }
    let (error, shift) = match parse(text) {
        Ok(parsed) => return parsed.map_err(|problem| problem.row(row).byte(start)),
        Err(first) => match without_nan(text) {
            None => (first, Vec::new()),
            Some((text, shift)) => match parse(&text) {
                Ok(parsed) => return parsed.map_err(|problem| problem.row(row).byte(start)),
                Err(error) => (error, shift),
            },
        },
    };
    let (error, byte) = error;
    let longer = shift.iter().take_while(|at| **at < byte).count();
    Err(problem_of(&error).row(row).byte(start + (byte - longer) as u64))
}

/// A row, or what else the JSON is; an error with the byte of the text it is found at.
fn parse(text: &str) -> Result<Result<Row, Problem>, (serde_json::Error, usize)> {
    let placed = |error: serde_json::Error| {
        let byte = offset_of(text, error.line(), error.column());
        (error, byte)
    };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map(Ok).map_err(placed);
    }
    let value: Value = serde_json::from_str(text).map_err(placed)?;
    // A list of texts is as good as a column of them.
    if value.is_string() {
        return Ok(Ok(Row::new(vec![("text".to_owned(), value)])));
    }
    Ok(Err(not_an_object(&value)))
}

/// The text with null for NaN, Infinity and -Infinity outside strings, and the bytes of the new text before which it
/// grew by one; `None` where there are none.
fn without_nan(text: &str) -> Option<(String, Vec<usize>)> {
    // As long as the name where that is possible, so that places stay.
    const NAMES: [(&str, &str); 3] = [("NaN", "null"), ("-Infinity", "null     "), ("Infinity", "null    ")];
    let (mut made, mut shift, mut copied) = (String::new(), Vec::new(), 0);
    let bytes = text.as_bytes();
    let (mut at, mut in_string) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'-' | b'I' if !in_string => {
                let found = NAMES.iter().find(|(name, _)| bytes[at..].starts_with(name.as_bytes()));
                let before = at.checked_sub(1).map(|before| bytes[before]);
                if let Some((name, null)) = found
                    && ends(before)
                    && ends(bytes.get(at + name.len()).copied())
                {
                    made.push_str(&text[copied..at]);
                    made.push_str(null);
                    at += name.len() - 1;
                    copied = at + 1;
                    shift.extend((null.len() > name.len()).then_some(made.len() - 1));
                }
            }
            _ => {}
        }
        at += 1;
    }
    (copied > 0).then(|| {
        made.push_str(&text[copied..]);
        (made, shift)
    })
}

/// Whether a value may stand beside the byte.
fn ends(byte: Option<u8>) -> bool {
    byte.is_none_or(|byte| byte.is_ascii_whitespace() || b",:[]{}".contains(&byte))
}

/// Whether the problem is one of a character of which a text holds a half only.
pub(super) fn is_half_a_character(problem: &Problem) -> bool {
    let why = problem.params.get("why").map_or("", String::as_str);
    problem.code == Code::DatasetJsonBroken && why.contains("hex escape")
}

fn problem_of(error: &serde_json::Error) -> Problem {
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default();
    if why.contains("recursion limit") {
        return Problem::new(
            Code::DatasetJsonTooDeep,
            format!("This row nests deeper than {} levels.", Limit::ValueDepth.get()),
        )
        .with("most", Limit::ValueDepth.get())
        .hint("Flatten the row.");
    }
    if why == MANY {
        return too_many_columns();
    }
    if let Some(name) = why.strip_prefix(LONG_NAME) {
        return name_too_long(name);
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

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> Value {
        parse_json(text, 1, 0).expect("reads").get("a").cloned().expect("a cell")
    }

    #[test]
    fn what_is_no_number_is_null_outside_strings_only() {
        for (text, wanted) in [
            (r#"{"a":NaN}"#, "null"),
            (r#"{"a": -Infinity , "NaN": Infinity}"#, "null"),
            (r#"{"a":["NaN, Infinity", NaN,-Infinity,1.5]}"#, r#"["NaN, Infinity",null,null,1.5]"#),
            (r#"{"a":{"b\\":[Infinity,"\\\" NaN "]}}"#, r#"{"b\\":[null,"\\\" NaN "]}"#),
        ] {
            assert_eq!(cell(text).to_string(), wanted, "{text}");
        }
        for text in [r#"{"a":NaNs}"#, r#"{"a":-NaN}"#, r#"{"a":nan}"#, r#"{"a":1NaN}"#] {
            assert_eq!(parse_json(text, 1, 0).unwrap_err().code, Code::DatasetJsonBroken, "{text}");
        }
    }

    #[test]
    fn an_error_behind_them_keeps_its_place() {
        let byte = |text: &str| parse_json(text, 1, 100).unwrap_err().place.and_then(|place| place.byte);
        for (text, same) in [
            (r#"{"a":NaN,"b":NaN,"c":tru}"#, r#"{"a":123,"b":123,"c":tru}"#),
            (r#"{"a":Infinity,"b" 2}"#, r#"{"a":12345678,"b" 2}"#),
            ("{\"a\":NaN,\n\"b\":NaN,,}", "{\"a\":123,\n\"b\":123,,}"),
            (r#"{"a" 1,"b":NaN}"#, r#"{"a" 1,"b":123}"#),
        ] {
            assert_eq!(byte(text), byte(same), "{text}");
        }
    }

    #[test]
    fn a_nul_written_as_an_escape_is_text() {
        assert_eq!(cell(r#"{"a":"x\u0000y"}"#), Value::from("x\0y"));
    }
}
