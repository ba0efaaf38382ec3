//! A stream whose beginning can be read a second time.

use std::io::{BufRead, Cursor, Read};

pub(super) struct Replay<R> {
    held: Cursor<Vec<u8>>,
    inner: R,
}

impl<R> Replay<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { held: Cursor::new(Vec::new()), inner }
    }

    /// Gives these bytes before those of the stream.
    pub(super) fn again(&mut self, bytes: Vec<u8>) {
        self.held = Cursor::new(bytes);
    }

    fn is_holding(&self) -> bool {
        self.held.position() < self.held.get_ref().len() as u64
    }
}

impl<R: BufRead> BufRead for Replay<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.is_holding() { self.held.fill_buf() } else { self.inner.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        if self.is_holding() {
            self.held.consume(amount);
        } else {
            self.inner.consume(amount);
        }
    }
}

impl<R: BufRead> Read for Replay<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let count = ready.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
