//! One JSON array of objects, element by element; also objects simply following one another.

use std::io::BufRead;

use contract::Code;
use contract::problem::Problem;

use super::row::is_half_a_character;
use super::spared::Read;
use super::{DEPTH_LIMIT, ROW_LIMIT, io_problem, parse_json, too_long, utf8};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    /// Inside the array, before an element; `true`: an element must follow (after a comma).
    Element(bool),
    AfterElement,
    /// Objects without an array around them.
    Loose,
    End,
}

pub(super) struct JsonRows<R> {
    input: R,
    offset: u64,
    row: u64,
    state: State,
}

impl<R: BufRead> JsonRows<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { input, offset, row: 0, state: State::Start }
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

    /// Reads one value's bytes by counting brackets outside strings.
    fn element(&mut self) -> Result<Read, Problem> {
        let (row, start) = (self.row + 1, self.offset);
        let mut bytes = Vec::new();
        let mut scan = Scan::default();
        let mut done = false;
        while !done {
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
                if scan.depth > DEPTH_LIMIT {
                    return Err(Problem::new(
                        Code::DatasetJsonTooDeep,
                        format!("This row nests deeper than {DEPTH_LIMIT} levels."),
                    )
                    .with("most", DEPTH_LIMIT)
                    .row(row)
                    .byte(self.offset + take as u64)
                    .hint("Flatten the row."));
                }
            }
            if bytes.len() + take > ROW_LIMIT {
                return Err(too_long(row, start));
            }
            bytes.extend_from_slice(&buffer[..take]);
            self.input.consume(take);
            self.offset += take as u64;
        }
        let parsed = parse_json(utf8(&bytes, row, start)?, row, start);
        self.row = row;
        match parsed {
            Err(problem) if is_half_a_character(&problem) => Ok(Err(problem)),
            parsed => parsed.map(Ok),
        }
    }

    fn read(&mut self) -> Result<Option<Read>, Problem> {
        loop {
            let byte = self.peek_past_space()?;
            match (self.state, byte) {
                (State::Start, Some(b'[')) => {
                    self.bump();
                    self.state = State::Element(false);
                }
                (State::Start, Some(b'{')) => self.state = State::Loose,
                (State::Start, Some(_)) => return Err(self.broken("it does not begin with [")),
                (State::Element(false) | State::AfterElement, Some(b']')) => {
                    self.bump();
                    self.state = State::End;
                }
                (State::Element(_), Some(b',' | b']' | b'}' | b':')) => {
                    return Err(self.broken("an element is missing"));
                }
                (State::Element(_), Some(_)) => {
                    self.state = State::AfterElement;
                    return self.element().map(Some);
                }
                (State::AfterElement, Some(b',')) => {
                    self.bump();
                    self.state = State::Element(true);
                }
                (State::AfterElement, Some(_)) => return Err(self.broken("a comma is missing between rows")),
                (State::Element(_) | State::AfterElement, None) => {
                    return Err(self.broken("it ends before the closing ]"));
                }
                (State::Loose, Some(b'{')) => return self.element().map(Some),
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

enum Step {
    More,
    /// The byte belongs to the value and ends it.
    Last,
    /// The byte does not belong to the value.
    Stop,
}

#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn step(&mut self, byte: u8) -> Step {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Step::Last;
                    }
                }
                _ => {}
            }
            return Step::More;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth <= 1 => {
                return if self.depth == 1 { Step::Last } else { Step::Stop };
            }
            b'}' | b']' => self.depth -= 1,
            b',' if self.depth == 0 => return Step::Stop,
            _ => {}
        }
        Step::More
    }
}
