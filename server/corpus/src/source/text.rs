//! Plain text: one document a line, in the column `text`. Empty lines stay rows, as datasets' own loader has it.

use std::io::BufRead;

use contract::problem::Problem;
use serde_json::Value;

use super::lines::Lines;
use super::{Row, utf8};

pub(super) struct TextRows<R> {
    lines: Lines<R>,
    row: u64,
}

impl<R: BufRead> TextRows<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { lines: Lines::new(input, offset), row: 0 }
    }

    fn read(&mut self) -> Result<Option<Row>, Problem> {
        self.row += 1;
        let Some((start, line)) = self.lines.next(self.row)? else { return Ok(None) };
        let text = utf8(&line, self.row, start)?;
        Ok(Some(Row::new(vec![("text".to_owned(), Value::from(text))])))
    }
}

impl<R: BufRead> Iterator for TextRows<R> {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
