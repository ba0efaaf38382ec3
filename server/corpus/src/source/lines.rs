//! Lines of bytes with their offsets, none longer than the row limit.

use contract::limits::Limit;
use std::io::BufRead;

use contract::problem::Problem;

use super::{io_problem, too_long};
/// Reads lines; `offset` is the byte of the file the next line begins at.
pub(super) struct Lines<R> {
    input: R,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { input, offset }
    }

    /// The next line without its end (`\n` or `\r\n`) and the byte it began at; `row` is for the error.
    pub(super) fn next(&mut self, row: u64) -> Result<Option<(u64, Vec<u8>)>, Problem> {
        let start = self.offset;
        let mut line = Vec::new();
        loop {
            let buffer = self.input.fill_buf().map_err(|error| io_problem(&error, self.offset))?;
            if buffer.is_empty() {
                return Ok((self.offset > start).then(|| (start, trimmed(line))));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let take = end.unwrap_or(buffer.len());
            if line.len() + take > Limit::RowBytes.get() {
                return Err(too_long(row, start));
            }
            line.extend_from_slice(&buffer[..take]);
            let consumed = take + usize::from(end.is_some());
            self.input.consume(consumed);
            self.offset += consumed as u64;
            if end.is_some() {
                return Ok(Some((start, trimmed(line))));
            }
        }
    }
}

fn trimmed(mut line: Vec<u8>) -> Vec<u8> {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    line
}
