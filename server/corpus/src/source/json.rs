//! One JSON array of objects, element by element; also objects simply following one another, and the ways in which one
//! object holds rows (a list of them inside, one a member, or columns).

mod replay;
mod scan;
mod shape;

use contract::limits::Limit;
use std::collections::VecDeque;
use std::io::BufRead;

use contract::Code;
use contract::problem::Problem;

use super::limits::COLUMN_VALUES_LIMIT;
use super::row::{is_half_a_character, parse_json_of};
use super::spared::Read;
use super::{io_problem, too_long, utf8};
use replay::Replay;
use scan::{Scan, Step};
use shape::{Columns, Shape};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    /// Inside the array, before an element; `true`: an element must follow (after a comma).
    Element(bool),
    AfterElement,
    /// Inside the object that holds the rows, before a member; `true`: a member must follow.
    Member(bool),
    AfterMember,
    /// Objects without an array around them.
    Loose,
    End,
}

pub(super) struct JsonRows<R> {
    input: Replay<R>,
    offset: u64,
    row: u64,
    state: State,
    /// How the one object of the file holds its rows.
    shape: Shape,
    ready: VecDeque<Read>,
    /// The rows of an object of columns that are still to come.
    columns: Option<Columns>,
}

/// A value as it stands in the file.
struct Raw {
    start: u64,
    bytes: Vec<u8>,
    /// Whether it is longer than a row may be; the bytes are its beginning then.
    cut: bool,
}

/// Whether a file begins like one array of objects, or with an object of which the first line holds the brace alone.
pub(super) fn spans_lines(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let object = |text: &[u8]| text.trim_ascii_start().starts_with(b"{");
    let brace = text.split(|byte| *byte == b'\n').next().is_some_and(|line| line.trim_ascii() == b"{");
    brace || text.strip_prefix(b"[").is_some_and(object)
}

impl<R: BufRead> JsonRows<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self {
            input: Replay::new(input),
            offset,
            row: 0,
            state: State::Start,
            shape: Shape::Row,
            ready: VecDeque::new(),
            columns: None,
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, Problem> {
        let offset = self.offset;
        Ok(self.input.fill_buf().map_err(|error| io_problem(&error, offset))?.first().copied())
    }

    fn bump(&mut self) {
        self.input.consume(1);
        self.offset += 1;
    }

    fn peek_past_space(&mut self) -> Result<Option<u8>, Problem> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.bump();
        }
        Ok(None)
    }

    fn broken(&self, why: &str) -> Problem {
        Problem::new(Code::DatasetJsonBroken, format!("The file is not a valid JSON array: {why}."))
            .with("why", why)
            .row(self.row + 1)
            .byte(self.offset)
            .hint("A .json file holds one array of objects: [{…}, {…}].")
    }

    /// Reads one value's bytes by counting brackets outside strings; those of a value that is passed over are let go.
    fn raw(&mut self, kept: bool) -> Result<Raw, Problem> {
        let (row, start) = (self.row + 1, self.offset);
        let mut raw = Raw { start, bytes: Vec::new(), cut: false };
        let mut scan = Scan::default();
        let mut done = false;
        while !done && !raw.cut {
            let offset = self.offset;
            let buffer = self.input.fill_buf().map_err(|error| io_problem(&error, offset))?;
            if buffer.is_empty() {
                break;
            }
            let mut take = 0;
            while take < buffer.len() {
                match scan.step(buffer[take]) {
                    Step::Stop => {
                        done = true;
                        break;
                    }
                    Step::Last => {
                        take += 1;
                        done = true;
                        break;
                    }
                    Step::More => take += 1,
                }
                if scan.depth > Limit::ValueDepth.get() {
                    return Err(Problem::new(
                        Code::DatasetJsonTooDeep,
                        format!("This row nests deeper than {} levels.", Limit::ValueDepth.get()),
                    )
                    .with("most", Limit::ValueDepth.get())
                    .row(row)
                    .byte(self.offset + take as u64)
                    .hint("Flatten the row."));
                }
            }
            if kept {
                raw.bytes.extend_from_slice(&buffer[..take]);
                raw.cut = raw.bytes.len() > Limit::RowBytes.get();
            }
            self.input.consume(take);
            self.offset += take as u64;
        }
        Ok(raw)
    }

    fn parsed(&self, raw: &Raw, values: usize) -> Result<Read, Problem> {
        let row = self.row + 1;
        if raw.cut {
            return Err(too_long(row, raw.start));
        }
        match parse_json_of(utf8(&raw.bytes, row, raw.start)?, row, raw.start, values) {
            Err(problem) if is_half_a_character(&problem) => Ok(Err(problem)),
            parsed => parsed.map(Ok),
        }
    }

    /// Reads one row of a list, or several where the list is one of articles with questions.
    fn element(&mut self) -> Result<(), Problem> {
        let raw = self.raw(true)?;
        let read = self.parsed(&raw, Limit::RowValues.get())?;
        let enveloped = matches!(self.shape, Shape::Envelope(_));
        match read {
            Ok(row) if enveloped => {
                let rows = shape::rows_of_element(row).ok_or_else(|| too_long(self.row + 1, raw.start))?;
                self.ready.extend(rows.into_iter().map(Ok));
            }
            read => self.ready.push_back(read),
        }
        Ok(())
    }

    /// Reads the first object of a file that begins with one, and finds out what it is.
    fn first_object(&mut self) -> Result<(), Problem> {
        let raw = self.raw(true)?;
        let alone = raw.cut || self.peek_past_space()?.is_none();
        if alone {
            self.shape = Shape::of(&scan::members(&raw.bytes), !raw.cut);
        }
        match self.shape {
            Shape::Envelope(_) | Shape::Keyed => {
                // Read again, member by member.
                self.offset = raw.start;
                self.input.again(raw.bytes);
                self.state = State::Member(false);
                self.bump();
            }
            Shape::Columns => {
                self.state = State::End;
                match self.parsed(&raw, COLUMN_VALUES_LIMIT)? {
                    Ok(row) => match Columns::of(row) {
                        Ok(columns) => self.columns = Some(columns),
                        Err(row) => self.ready.push_back(Ok(row)),
                    },
                    Err(problem) => return Err(problem),
                }
            }
            Shape::Row => {
                self.state = State::Loose;
                let read = self.parsed(&raw, Limit::RowValues.get())?;
                self.ready.push_back(read);
            }
        }
        Ok(())
    }

    /// Reads a member of the object that holds the rows.
    fn member(&mut self) -> Result<(), Problem> {
        let raw = self.raw(true)?;
        let Ok(name) = serde_json::from_slice::<String>(&raw.bytes) else {
            return Err(self.broken("a name is missing"));
        };
        if self.peek_past_space()? != Some(b':') {
            return Err(self.broken("a colon is missing"));
        }
        self.bump();
        self.state = State::AfterMember;
        let next = self.peek_past_space()?;
        match (&self.shape, next) {
            (_, None | Some(b',' | b']' | b'}' | b':')) => Err(self.broken("a value is missing")),
            (Shape::Envelope(rows), Some(b'[')) if *rows == name => {
                self.bump();
                self.state = State::Element(false);
                Ok(())
            }
            (Shape::Keyed, Some(_)) => self.element(),
            (_, Some(_)) => self.raw(false).map(drop),
        }
    }

    fn read(&mut self) -> Result<Option<Read>, Problem> {
        loop {
            if let Some(read) = self.ready.pop_front() {
                self.row += 1;
                return Ok(Some(read));
            }
            if let Some(row) = self.columns.as_mut().and_then(Iterator::next) {
                self.row += 1;
                return Ok(Some(Ok(row)));
            }
            let byte = self.peek_past_space()?;
            match (self.state, byte) {
                (State::Start, Some(b'[')) => {
                    self.bump();
                    self.state = State::Element(false);
                }
                (State::Start, Some(b'{')) => self.first_object()?,
                (State::Start, Some(_)) => return Err(self.broken("it does not begin with [")),
                (State::Element(false) | State::AfterElement, Some(b']')) => {
                    self.bump();
                    let inside = self.shape != Shape::Row;
                    self.state = if inside { State::AfterMember } else { State::End };
                }
                (State::Element(_), Some(b',' | b']' | b'}' | b':')) => {
                    return Err(self.broken("an element is missing"));
                }
                (State::Element(_), Some(_)) => {
                    self.state = State::AfterElement;
                    self.element()?;
                }
                (State::AfterElement, Some(b',')) => {
                    self.bump();
                    self.state = State::Element(true);
                }
                (State::AfterElement, Some(_)) => return Err(self.broken("a comma is missing between rows")),
                (State::Element(_) | State::AfterElement, None) => {
                    return Err(self.broken("it ends before the closing ]"));
                }
                (State::Member(false) | State::AfterMember, Some(b'}')) => {
                    self.bump();
                    self.state = State::End;
                }
                (State::Member(_), Some(b'"')) => self.member()?,
                (State::Member(_), Some(_)) => return Err(self.broken("a name is missing")),
                (State::AfterMember, Some(b',')) => {
                    self.bump();
                    self.state = State::Member(true);
                }
                (State::AfterMember, Some(_)) => {
                    return Err(self.broken("a comma is missing between members"));
                }
                (State::Member(_) | State::AfterMember, None) => {
                    return Err(self.broken("it ends before the closing }"));
                }
                (State::Loose, Some(b'{')) => self.element()?,
                (State::Loose | State::End, Some(_)) => return Err(self.broken("more text follows")),
                (State::Start | State::Loose | State::End, None) => return Ok(None),
            }
        }
    }
}

impl<R: BufRead> Iterator for JsonRows<R> {
    type Item = Result<Read, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
