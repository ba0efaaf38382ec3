//! One clear error: what is wrong, where, and what to do.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::row_reason::RowReason;

/// Where in a person's input a problem sits. Every part is optional; rows and lines count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File name as the person knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Row (or line), from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Column of a dataset, tensor of a model or key of a form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Byte offset from the start of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
}

/// How a file reads in one of the encodings that it could be in, or how one of its sheets does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Encoding or sheet, as an upload names it.
    pub name: String,
    /// Columns, read so.
    pub columns: Vec<String>,
    /// First rows, one text a column; long ones are cut.
    pub rows: Vec<Vec<String>>,
}

impl Reading {
    fn json(&self) -> serde_json::Value {
        let short = |texts: &[String]| -> Vec<String> {
            texts.iter().take(MAX_COLUMNS).map(|text| cut(text, MAX_SAID)).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(|row| short(row)).collect();
        serde_json::json!({ "name": self.name, "columns": short(&self.columns), "rows": rows })
    }
}

/// Longest text that a problem repeats of a file or a request (a name, a path, a value, another program's words),
/// characters.
pub const MAX_SAID: usize = 300;

/// Longest sentence of a problem, and longest hint, characters.
pub const MAX_SENTENCE: usize = 1000;

/// Columns that a problem shows of a reading.
const MAX_COLUMNS: usize = 100;

/// A text of at most so many characters; what is left out of a longer one is marked by `…`.
pub fn cut(text: impl Into<String>, most: usize) -> String {
    let text = text.into();
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Longest name out of a file in a sentence, characters.
const SHOWN: usize = 100;

/// A name out of a file, short enough for a sentence.
pub fn shown(name: &str) -> String {
    let mut short: String = name.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if name.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// What a problem calls a file or a folder: the last part of its path. Where a server keeps things is for its log.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Under which [`Problem::params`] holds readings, as JSON.
const READINGS: &str = "readings";

/// An error a person can act on. The code is stable and names the kind; the words may change. The words are English; a
/// sentence in another language is made of the code and of [`Problem::params`]. However long what it speaks of is, a
/// problem is short: see [`MAX_SAID`] and [`MAX_SENTENCE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// One sentence that says what is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Names and numbers of the message, by the names that [`Code`] gives them. Problems of older builds have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Why the first row cannot teach, where none can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<RowReason>>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = cut(message, MAX_SENTENCE);
        Self { code, message, hint: None, place: None, params: BTreeMap::new(), reason: None }
    }

    /// Gives a name or a number of the message by itself, so that another language can say it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.params.insert(name.to_owned(), cut(value.to_string(), MAX_SAID));
        self
    }

    /// Adds how a file reads in each way that it could, best first.
    #[must_use]
    pub fn with_readings(mut self, readings: &[Reading]) -> Self {
        let json: serde_json::Value = readings.iter().map(Reading::json).collect();
        self.params.insert(READINGS.to_owned(), json.to_string());
        self
    }

    /// How the file reads in each way that it could, best first; none where nothing is to be chosen.
    pub fn readings(&self) -> Vec<Reading> {
        let json = self.params.get(READINGS);
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(cut(hint, MAX_SENTENCE));
        self
    }

    /// Names the row (or line), from 1.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.place.get_or_insert_default().row = Some(row);
        self
    }

    /// Names the column, tensor or form key.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.place.get_or_insert_default().field = Some(cut(field, MAX_SAID));
        self
    }

    /// Names the byte offset.
    #[must_use]
    pub fn byte(mut self, byte: u64) -> Self {
        self.place.get_or_insert_default().byte = Some(byte);
        self
    }

    /// Names the file.
    #[must_use]
    pub fn file(mut self, file: impl Into<String>) -> Self {
        self.place.get_or_insert_default().file = Some(cut(file, MAX_SAID));
        self
    }

    /// Something of a person's that is not there (any more).
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("This {what} does not exist any more."))
    }

    /// The form key it belongs to, when it belongs to one.
    pub fn form_key(&self) -> Option<&str> {
        self.place.as_ref().and_then(|place| place.field.as_deref())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            let mut parts = Vec::new();
            parts.extend(place.file.clone());
            parts.extend(place.row.map(|row| format!("row {row}")));
            parts.extend(place.field.as_ref().map(|field| format!("field {field}")));
            parts.extend(place.byte.map(|byte| format!("byte {byte}")));
            if !parts.is_empty() {
                write!(f, " ({})", parts.join(", "))?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, " {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_travel_with_a_problem() {
        let reading = |name: &str| Reading {
            name: name.to_owned(),
            columns: vec!["질문".to_owned()],
            rows: vec![vec!["\"네?\"\n".to_owned()]],
        };
        let readings = ["EUC-KR", "GB18030"].map(reading);
        let problem = Problem::new(Code::DatasetEncodingUnsure, "Unclear.").with_readings(&readings);
        let back: Problem = serde_json::from_str(&serde_json::to_string(&problem).unwrap()).unwrap();
        assert_eq!(back.readings(), readings);
        assert!(Problem::new(Code::DatasetEmpty, "No rows.").readings().is_empty());
    }

    #[test]
    fn a_problem_is_short_however_long_what_it_speaks_of_is() {
        let long = "字<".repeat(1 << 19);
        let reading = Reading {
            name: "EUC-KR".to_owned(),
            columns: vec![long.clone(); 200],
            rows: vec![vec![long.clone(); 200]],
        };
        let problem =
            Problem::new(Code::NotFound, &long).with("path", &long).hint(&long).field(&long).file(&long);
        assert_eq!((cut(&long, 3), cut("abc", 3)), ("字<…".to_owned(), "abc".to_owned()));
        assert_eq!(
            (problem.message.chars().count(), problem.params["path"].chars().count()),
            (MAX_SENTENCE, MAX_SAID)
        );
        assert!(problem.params["path"].ends_with('…'));
        assert!(problem.to_string().chars().count() < 2 * MAX_SENTENCE + 2 * MAX_SAID + 20);
        let read = Problem::new(Code::DatasetEncodingUnsure, "Unclear.").with_readings(&[reading]).readings();
        assert_eq!((read[0].columns.len(), read[0].rows[0].len()), (MAX_COLUMNS, MAX_COLUMNS));
        assert_eq!(read[0].columns[0].chars().count(), MAX_SAID);
    }

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = Problem::new(Code::DatasetJsonBroken, "This line is not JSON.")
            .row(3)
            .byte(120)
            .hint("Open the file and mend line 3.");
        assert_eq!(
            problem.to_string(),
            "This line is not JSON. (row 3, byte 120) Open the file and mend line 3."
        );
    }
}
