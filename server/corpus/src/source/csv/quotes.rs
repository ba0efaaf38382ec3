//! The quotes of a table, looked at before its cells are split: blanks around them are dropped (and empty lines with
//! them), and one that swallows what follows is an error that says where it opens.

use contract::limits::Limit;
use std::collections::VecDeque;
use std::io::{BufRead, Read};

/// Blanks before a quote that are held back; text that is indented further is text.
const INDENT: usize = 256;

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before the first character of a cell that is no blank.
    Start,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the cell, or half of a quote that stands for itself.
    Quote,
    /// After the closing quote and a blank.
    After,
}

/// A quote that never closes, or that closes where the cell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenQuote {
    /// Records before the one in which it opens; 0: the header.
    pub(super) record: u64,
    /// Cells before its own.
    pub(super) cell: usize,
    /// Byte of the input it stands at.
    pub(super) byte: u64,
    /// Whether it closes.
    pub(super) closes: bool,
}

/// Why a table cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A quote.
    Quote(OpenQuote),
    /// A record of more cells than a file may have columns.
    Cells,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quote(open) => write!(f, "the quote at byte {} does not close its cell", open.byte),
            Self::Cells => f.write_str("a record of too many cells"),
        }
    }
}

impl std::error::Error for Fault {}

/// Gives the bytes of a table without empty lines and blanks around quotes; fails with a [`Fault`].
pub(super) struct Quotes<R> {
    input: R,
    separator: u8,
    state: State,
    /// Records that ended, and whether the one being read has a byte.
    records: u64,
    begun: bool,
    cell: usize,
    opened: u64,
    /// Bytes taken from the input.
    taken: u64,
    /// Bytes made ready for the reader.
    made: u64,
    /// Blanks that are text unless a quote follows.
    held: Vec<u8>,
    /// Bytes made before some were dropped, and how many were by then.
    drops: VecDeque<(u64, u64)>,
    dropped: u64,
    out: Vec<u8>,
    at: usize,
    fault: Option<Fault>,
    ended: bool,
}

impl<R: BufRead> Quotes<R> {
    pub(super) fn new(input: R, separator: u8) -> Self {
        Self {
            input,
            separator,
            state: State::Start,
            records: 0,
            begun: false,
            cell: 0,
            opened: 0,
            taken: 0,
            made: 0,
            held: Vec::new(),
            drops: VecDeque::new(),
            dropped: 0,
            out: Vec::new(),
            at: 0,
            fault: None,
            ended: false,
        }
    }

    /// The byte of the input that became byte `made` of the output.
    pub(super) fn place(&self, made: u64) -> u64 {
        let after = self.drops.partition_point(|(at, _)| *at <= made);
        let before = after.checked_sub(1).and_then(|last| self.drops.get(last));
        made + before.map_or(0, |(_, dropped)| *dropped)
    }

    /// Forgets places before byte `made` of the output.
    pub(super) fn forget(&mut self, made: u64) {
        while self.drops.get(1).is_some_and(|(at, _)| *at <= made) {
            self.drops.pop_front();
        }
    }

    fn push(&mut self, byte: u8) {
        self.out.push(byte);
        self.made += 1;
    }

    fn leave_out(&mut self, count: usize) {
        if count > 0 {
            self.dropped += count as u64;
            // One for each place, however much is dropped there.
            match self.drops.back_mut() {
                Some((made, dropped)) if *made == self.made => *dropped = self.dropped,
                _ => self.drops.push_back((self.made, self.dropped)),
            }
        }
    }

    fn release(&mut self) {
        self.made += self.held.len() as u64;
        self.out.append(&mut self.held);
    }

    fn open(&self, closes: bool) -> Fault {
        Fault::Quote(OpenQuote { record: self.records, cell: self.cell, byte: self.opened, closes })
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        let separates = byte == self.separator;
        let ends_line = matches!(byte, b'\n' | b'\r');
        let blank = !separates && matches!(byte, b' ' | b'\t');
        match self.state {
            State::Quoted => {
                self.state = if byte == b'"' { State::Quote } else { State::Quoted };
            }
            State::Quote if byte == b'"' => self.state = State::Quoted,
            State::Quote | State::After if blank => {
                self.state = State::After;
                self.leave_out(1);
                return Ok(());
            }
            State::Quote | State::After if !separates && !ends_line => return Err(self.open(true)),
            State::Start if blank && self.held.len() < INDENT => {
                self.held.push(byte);
                self.begun = true;
                return Ok(());
            }
            State::Start if ends_line && !self.begun => {
                self.leave_out(1);
                return Ok(());
            }
            State::Start if byte == b'"' => {
                let indent = std::mem::take(&mut self.held).len();
                self.leave_out(indent);
                self.opened = self.taken - 1;
                self.state = State::Quoted;
                self.begun = true;
            }
            State::Start | State::Plain | State::Quote | State::After => {
                self.release();
                self.state = if separates || ends_line { State::Start } else { State::Plain };
                self.cell = if ends_line { 0 } else { self.cell + usize::from(separates) };
                if self.cell >= Limit::Columns.get() {
                    return Err(Fault::Cells);
                }
                self.records += u64::from(ends_line && self.begun);
                self.begun = !ends_line;
            }
        }
        self.push(byte);
        Ok(())
    }

    /// Takes what the input has ready.
    fn fill(&mut self) -> std::io::Result<()> {
        self.out.clear();
        self.at = 0;
        let chunk = self.input.fill_buf()?.to_vec();
        self.input.consume(chunk.len());
        if chunk.is_empty() {
            self.ended = true;
            self.release();
            self.fault = (self.state == State::Quoted).then(|| self.open(false));
        }
        for byte in chunk {
            self.taken += 1;
            if let Err(fault) = self.step(byte) {
                self.fault = Some(fault);
                self.ended = true;
                break;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at >= self.out.len() {
            match self.fault {
                Some(fault) => return Err(std::io::Error::other(fault)),
                None if self.ended => return Ok(0),
                None => self.fill()?,
            }
        }
        let count = (&self.out[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, OpenQuote> {
        // Three bytes at a time: states outlive the ends of buffers.
        let input = std::io::BufReader::with_capacity(3, text.as_bytes());
        let mut out = String::new();
        let read = Quotes::new(input, b',').read_to_string(&mut out);
        read.map(|_| out).map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<Fault>()) {
                Some(Fault::Quote(open)) => *open,
                other => panic!("{other:?} is no open quote"),
            }
        })
    }

    #[test]
    fn blanks_around_quotes_and_empty_lines_go_and_all_else_stays() {
        for (text, wanted) in [
            ("a, \"b, c\" ,d\n", "a,\"b, c\",d\n"),
            ("a,\t\"b\"\t\n \"c\"", "a,\"b\"\n\"c\""),
            ("a,  b , \" \"\"c\"\" \"\n", "a,  b ,\" \"\"c\"\" \"\n"),
            ("a b \"c\", d", "a b \"c\", d"),
            ("  ", "  "),
            ("\"\",\"\"\r\n", "\"\",\"\"\r"),
            ("a,\"b\r\n\r\nc\"\r\n\r\nd,e", "a,\"b\r\n\r\nc\"\rd,e"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text:?}");
        }
    }

    #[test]
    fn a_quote_that_swallows_the_rest_is_found_where_it_opens() {
        for (text, record, cell, byte, closes) in [
            ("q,a\nQ,\"A\nR,B\n", 1, 1, 6, false),
            ("q,a\r\nx,y\r\n\r\n \"Q,A\r\nR,B", 2, 0, 13, false),
            ("q,a\nQ,\"A\nR,\"B\"\n", 1, 1, 6, true),
            ("q,a\n\"Q\" x,A\n", 1, 0, 4, true),
            ("q,\"a\n\"x\",y\n", 0, 1, 2, true),
            ("问,答\r\"一\"\"\r二,三", 1, 0, 8, false),
        ] {
            assert_eq!(read(text), Err(OpenQuote { record, cell, byte, closes }), "{text:?}");
        }
    }

    #[test]
    fn places_are_those_of_the_input() {
        let mut quotes = Quotes::new("a, \"b\"  ,  \"c\"".as_bytes(), b',');
        let mut out = String::new();
        quotes.read_to_string(&mut out).expect("reads");
        assert_eq!(out, "a,\"b\",\"c\"");
        let places: Vec<u64> = (0..out.len() as u64).map(|made| quotes.place(made)).collect();
        assert_eq!(places, [0, 1, 3, 4, 5, 8, 11, 12, 13]);
        quotes.forget(7);
        assert_eq!((quotes.place(7), quotes.place(8)), (12, 13));
    }

    #[test]
    fn what_is_dropped_at_one_place_is_noted_once() {
        let text = format!("\"a\"{}\n{}b\n", " ".repeat(10_000), "\n".repeat(10_000));
        let mut quotes = Quotes::new(text.as_bytes(), b',');
        let mut out = String::new();
        quotes.read_to_string(&mut out).expect("reads");
        assert_eq!((out.as_str(), quotes.drops.len()), ("\"a\"\nb\n", 2));
        assert_eq!(quotes.place(4), text.len() as u64 - 2);
    }
}
