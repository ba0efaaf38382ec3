//! One JSON object a line; blank lines are skipped and are no rows.

use std::io::BufRead;

use contract::Code;
use contract::problem::Problem;

use super::lines::Lines;
use super::spared::Read;
use super::{parse_json, utf8};

pub(super) struct JsonlRows<R> {
    lines: Lines<R>,
    row: u64,
}

impl<R: BufRead> JsonlRows<R> {
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self { lines: Lines::new(input, offset), row: 0 }
    }

    fn read(&mut self) -> Result<Option<Read>, Problem> {
        let row = self.row + 1;
        while let Some((start, line)) = self.lines.next(row)? {
            let text = utf8(&line, row, start)?;
            if text.trim().is_empty() {
                continue;
            }
            self.row = row;
            return match parse_json(text, row, start) {
                // The next line begins anew, so the others are none the worse for it.
                Err(problem)
                    if matches!(problem.code, Code::DatasetJsonBroken | Code::DatasetNotAnObject) =>
                {
                    Ok(Some(Err(problem)))
                }
                parsed => parsed.map(|row| Some(Ok(row))),
            };
        }
        Ok(None)
    }
}

impl<R: BufRead> Iterator for JsonlRows<R> {
    type Item = Result<Read, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
