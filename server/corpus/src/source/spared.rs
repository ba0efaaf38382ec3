//! Rows that cannot be read while the file around them can: each is left out by itself, unless the file holds no others.

use std::collections::VecDeque;

use contract::problem::Problem;

use super::Row;

/// A row, or why it is none; the rows after it are there all the same.
pub(super) type Read = Result<Row, Problem>;

/// Rows at the start of a file that cannot be read before the file is taken for something else.
const PATIENCE: usize = 20;

/// Makes unreadable rows rows with a fault. A file whose every row is such, or whose first twenty are, ends with the
/// problem of its first row.
pub(super) struct Spared<I> {
    inner: I,
    /// Problems of the rows so far, until the first that can be read; then they go out, and nothing waits any more.
    waiting: VecDeque<Problem>,
    ready: VecDeque<Row>,
    settled: bool,
}

impl<I> Spared<I> {
    pub(super) fn new(inner: I) -> Self {
        Self { inner, waiting: VecDeque::new(), ready: VecDeque::new(), settled: false }
    }
}

impl<I: Iterator<Item = Result<Read, Problem>>> Iterator for Spared<I> {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(Ok(row));
            }
            let first_problem = match self.inner.next() {
                Some(Ok(Ok(row))) => {
                    self.settled = true;
                    self.ready.extend(self.waiting.drain(..).map(Row::unreadable));
                    self.ready.push_back(row);
                    None
                }
                Some(Ok(Err(problem))) if self.settled => {
                    self.ready.push_back(Row::unreadable(problem));
                    None
                }
                Some(Ok(Err(problem))) => {
                    self.waiting.push_back(problem);
                    let lost = self.waiting.len() >= PATIENCE;
                    lost.then(|| self.waiting.pop_front()).flatten()
                }
                Some(Err(problem)) => return Some(Err(problem)),
                None => return self.waiting.pop_front().map(Err),
            };
            if let Some(problem) = first_problem {
                return Some(Err(problem));
            }
        }
    }
}
