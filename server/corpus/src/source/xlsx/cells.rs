//! The cells of a sheet, one row after the other.

use contract::limits::Limit;
use contract::problem::Problem;
use quick_xml::events::BytesStart;
use serde_json::Value;

use super::super::too_long;
use super::book::{Texts, text};
use super::formats::Format;
use super::package::{Part, broken};
use super::xml::{Token, Xml, attribute, says_yes, unescaped};

/// Rows of a sheet, at most, as spreadsheet programs have it.
const MOST_ROWS: u64 = 1_048_576;

/// Columns of a sheet, at most.
const MOST_COLUMNS: u32 = 16_384;

/// A row with something in it.
#[derive(Debug, Default)]
pub(super) struct SheetRow {
    /// Its number in the sheet, from 1.
    pub(super) number: u64,
    /// Not shown by the program that made it.
    pub(super) hidden: bool,
    /// Column, from 0, and value, in the order of columns. A cell of an error holds nothing.
    pub(super) cells: Vec<(u32, Value)>,
    /// Cells of errors, such as `#N/A`.
    pub(super) errors: u64,
}

/// Reads the rows of a sheet.
pub(super) struct Cells<'b> {
    xml: Xml<'b>,
    texts: &'b Texts,
    formats: &'b [Format],
    since_1904: bool,
    /// Row read last.
    last: u64,
    over: bool,
}

/// What a cell holds.
enum Content {
    Nothing,
    Error,
    Value(Value),
}

impl<'b> Cells<'b> {
    pub(super) fn new(part: Part<'b>, texts: &'b Texts, formats: &'b [Format], since_1904: bool) -> Self {
        Self { xml: Xml::new(part), texts, formats, since_1904, last: 0, over: false }
    }

    /// The next row with something in it.
    pub(super) fn next(&mut self) -> Result<Option<SheetRow>, Problem> {
        while !self.over {
            match self.xml.next()? {
                Token::Open(tag) if tag.local_name().as_ref() == "row" => {
                    let (named, hidden) = (attribute(&tag, "r")?, says_yes(&tag, "hidden")?);
                    let row = self.row(named, hidden)?;
                    if !row.cells.is_empty() || row.errors > 0 {
                        return Ok(Some(row));
                    }
                }
                Token::Close(tag) if tag.local_name().as_ref() == "sheetData" => self.over = true,
                Token::End => self.over = true,
                Token::Open(_) | Token::Close(_) | Token::Text(_) | Token::Other => {}
            }
        }
        Ok(None)
    }

    fn row(&mut self, named: Option<String>, hidden: bool) -> Result<SheetRow, Problem> {
        let number = match &named {
            Some(text) => number(text.trim()).ok_or_else(|| broken(format!("it has a row “{text}”")))?,
            None => self.last + 1,
        };
        let mut row = SheetRow { number, hidden, ..SheetRow::default() };
        let (mut next, mut size) = (0, 0);
        loop {
            match self.xml.next()? {
                Token::Open(tag) if tag.local_name().as_ref() == "c" => {
                    let place = Place::of(&tag, row.number, next)?;
                    // A row without a number has that of its first cell.
                    if named.is_none() && next == 0 {
                        row.number = place.row;
                    }
                    if place.row != row.number || place.column < next || place.column >= MOST_COLUMNS {
                        return Err(broken(format!("its cell {place} is out of place")).row(row.number));
                    }
                    next = place.column + 1;
                    let style = attribute(&tag, "s")?.and_then(|style| style.trim().parse::<usize>().ok());
                    let format = style.and_then(|style| self.formats.get(style)).copied().unwrap_or_default();
                    let kind = attribute(&tag, "t")?;
                    let content = self.content(kind.as_deref(), format, &place);
                    match content.map_err(|problem| problem.row(place.row).field(place.to_string()))? {
                        Content::Nothing => {}
                        Content::Error => row.errors += 1,
                        Content::Value(value) => {
                            size += value.as_str().map_or(16, str::len);
                            row.cells.push((place.column, value));
                        }
                    }
                    if size > Limit::RowBytes.get() {
                        return Err(too_long(row.number, 0));
                    }
                }
                Token::Close(tag) if tag.local_name().as_ref() == "row" => break,
                Token::End => break,
                Token::Open(_) | Token::Close(_) | Token::Text(_) | Token::Other => {}
            }
        }
        if row.number <= self.last || row.number > MOST_ROWS {
            return Err(broken(format!("its row {} is out of place", row.number)).row(row.number));
        }
        self.last = row.number;
        Ok(row)
    }

    /// What a cell that has just begun holds, up to its end.
    fn content(&mut self, kind: Option<&str>, format: Format, place: &Place) -> Result<Content, Problem> {
        let (mut value, mut inline, mut inside) = (None::<String>, None, false);
        loop {
            match self.xml.next()? {
                Token::Open(tag) => match tag.local_name().as_ref() {
                    "v" => {
                        inside = true;
                        value.get_or_insert_default();
                    }
                    "is" => inline = Some(text(&mut self.xml, "is")?),
                    _ => {}
                },
                Token::Text(text) if inside => value.get_or_insert_default().push_str(&text),
                Token::Close(tag) => match tag.local_name().as_ref() {
                    "v" => inside = false,
                    "c" => break,
                    _ => {}
                },
                Token::End => break,
                Token::Text(_) | Token::Other => {}
            }
        }
        let wrong = |what: &str, text: &str| {
            let short: String = text.chars().take(40).collect();
            broken(format!("its cell {place} holds no {what}: “{short}”"))
        };
        let value = match (kind, inline, value) {
            (Some("inlineStr"), Some(text), _) | (_, Some(text), None) => Value::from(text),
            (_, _, None) => return Ok(Content::Nothing),
            (Some("s"), _, Some(index)) => {
                let found = index.trim().parse().ok().and_then(|index| self.texts.get(index));
                Value::from(found.ok_or_else(|| wrong("text of the workbook", &index))?)
            }
            (Some("str" | "inlineStr"), _, Some(text)) => Value::from(unescaped(text)),
            (Some("b"), _, Some(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" => Value::Bool(true),
                "0" | "false" => Value::Bool(false),
                _ => return Err(wrong("truth value", &text)),
            },
            (Some("e"), _, Some(_)) => return Ok(Content::Error),
            (Some("d"), _, Some(text)) => Value::from(text.trim()),
            (None | Some("n"), _, Some(text)) if text.trim().is_empty() => Value::Null,
            (None | Some("n"), _, Some(text)) => {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                format.value(number.ok_or_else(|| wrong("number", &text))?, self.since_1904)
            }
            (Some(other), _, Some(_)) => {
                return Err(broken(format!("its cell {place} is of a kind “{other}”")));
            }
        };
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        Ok(if empty { Content::Nothing } else { Content::Value(value) })
    }
}

/// Where a cell stands.
#[derive(Debug, PartialEq)]
struct Place {
    /// From 1.
    row: u64,
    /// From 0.
    column: u32,
}

impl Place {
    /// As the cell says, else the next one of the row.
    fn of(tag: &BytesStart<'_>, row: u64, next: u32) -> Result<Self, Problem> {
        match attribute(tag, "r")? {
            None => Ok(Self { row, column: next }),
            Some(text) => Self::parse(&text)
                .ok_or_else(|| broken(format!("its cell “{text}” is in no column of a sheet")).row(row)),
        }
    }

    /// Reads a place such as `AB12`. `None`: it is none, or is beyond any sheet.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, digits) =
            text.split_at_checked(letters).filter(|(letters, _)| (1..=3).contains(&letters.len()))?;
        let column = letters
            .bytes()
            .fold(0, |column, letter| column * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1);
        let row = number(digits).filter(|row| (1..=MOST_ROWS).contains(row))?;
        (column <= MOST_COLUMNS).then(|| Self { row, column: column - 1 })
    }
}

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", letters(self.column), self.row)
    }
}

/// The letters of a column, counted from 0.
fn letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = column + 1;
    while left > 0 {
        letters.push(b'A' + u8::try_from((left - 1) % 26).unwrap_or(0));
        left = (left - 1) / 26;
    }
    letters.iter().rev().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_letters_and_a_number() {
        for (text, wanted) in [
            ("A1", Some((1, 0))),
            ("z9", Some((9, 25))),
            ("AA10", Some((10, 26))),
            ("XFD1048576", Some((1_048_576, 16_383))),
            ("XFE1", None),
            ("AAAAAAAAAAAA1", None),
            ("A1048577", None),
            ("A99999999999999999999999", None),
            ("A0", None),
            ("A", None),
            ("1", None),
            ("水1", None),
            ("A+1", None),
            ("", None),
        ] {
            let found = Place::parse(text);
            assert_eq!(found.as_ref().map(|place| (place.row, place.column)), wanted, "{text}");
            if let Some(place) = found {
                assert_eq!(place.to_string(), text.to_uppercase());
            }
        }
    }
}
