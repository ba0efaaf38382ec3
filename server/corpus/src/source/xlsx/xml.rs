//! The XML of a spreadsheet's parts, one token after the other: no document types, no other entities than XML's own,
//! no nesting without end.

use std::borrow::Cow;

use contract::problem::Problem;
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesEnd, BytesStart, Event};

use super::package::{Overrun, Part, broken, too_much};

/// Deepest nesting of elements; spreadsheets come to about ten.
const DEPTH: usize = 64;

/// What comes next.
pub(super) enum Token<'x> {
    /// An element begins. One without content ends at once.
    Open(BytesStart<'x>),
    /// An element ends.
    Close(BytesEnd<'x>),
    /// Text between tags, or a piece of it.
    Text(Cow<'x, str>),
    /// Nothing that matters here.
    Other,
    /// The part has ended.
    End,
}

/// A part, read as XML.
pub(super) struct Xml<'p> {
    reader: Reader<Part<'p>>,
    buffer: Vec<u8>,
    depth: usize,
}

impl<'p> Xml<'p> {
    pub(super) fn new(part: Part<'p>) -> Self {
        let mut reader = Reader::from_reader(part);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0 }
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// `dataset.xlsx_broken`, and `dataset.xlsx_too_much` of one that is longer than a row may be.
    pub(super) fn next(&mut self) -> Result<Token<'_>, Problem> {
        self.buffer.clear();
        self.reader.get_mut().get_mut().begin();
        let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| problem_of(&error))?;
        Ok(match event {
            Event::Start(tag) => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(broken(format!("its elements nest deeper than {DEPTH} levels")));
                }
                Token::Open(tag)
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                Token::Close(tag)
            }
            Event::Text(text) => Token::Text(text.xml10_content()),
            Event::CData(text) => Token::Text(text.xml10_content()),
            Event::GeneralRef(name) => {
                let char = match &*name {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    other => name
                        .resolve_char_ref()
                        .map_err(|error| problem_of(&error))?
                        .ok_or_else(|| broken(format!("it names an entity “{other}” of its own")))?,
                };
                Token::Text(char.to_string().into())
            }
            Event::DocType(_) => return Err(broken("one of its parts brings a document type")),
            Event::Eof if self.depth > 0 => return Err(broken("one of its parts ends too early")),
            Event::Eof => Token::End,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Token::Other,
        })
    }
}

fn problem_of(error: &quick_xml::Error) -> Problem {
    let quick_xml::Error::Io(io) = error else { return broken(error) };
    match io.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(overrun @ Overrun::Piece) => too_much(overrun),
        _ => broken(io),
    }
}

/// The value of an attribute, whatever stands before a colon in its name.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Problem> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(broken)?;
        if attribute.key.local_name().as_ref() == name {
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| problem_of(&error))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

/// Whether an attribute says yes.
pub(super) fn says_yes(tag: &BytesStart<'_>, name: &str) -> Result<bool, Problem> {
    Ok(attribute(tag, name)?.is_some_and(|value| matches!(value.trim(), "1" | "true" | "on")))
}

/// The text with characters for `_x000D_` and the like, which stand for those that XML cannot hold.
pub(super) fn unescaped(text: String) -> String {
    if !text.contains("_x") {
        return text;
    }
    let mut units: Vec<u16> = Vec::new();
    let (mut made, mut rest) = (String::with_capacity(text.len()), text.as_str());
    let flush = |units: &mut Vec<u16>, made: &mut String| {
        made.extend(
            char::decode_utf16(units.drain(..)).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
    };
    while let Some(at) = rest.find("_x") {
        if at > 0 {
            flush(&mut units, &mut made);
            made.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        match escape(rest) {
            Some(unit) => {
                units.push(unit);
                rest = &rest[7..];
            }
            None => {
                flush(&mut units, &mut made);
                made.push_str("_x");
                rest = &rest[2..];
            }
        }
    }
    flush(&mut units, &mut made);
    made.push_str(rest);
    made
}

/// The number of `_x000D_` at the start of a text.
fn escape(text: &str) -> Option<u16> {
    let digits = text.get(2..6)?;
    let whole = text.get(6..7)? == "_" && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if whole { u16::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_cannot_hold_are_written_as_numbers() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("a_x000D_\nb", "a\r\nb"),
            ("_x005F_x000D_", "_x000D_"),
            ("_xD83D__xDE00_!", "😀!"),
            ("_xD83D_!", "\u{FFFD}!"),
            ("_x12_x水_x00", "_x12_x水_x00"),
            ("max_xyz_", "max_xyz_"),
        ] {
            assert_eq!(unescaped(text.to_owned()), wanted, "{text}");
        }
    }
}
