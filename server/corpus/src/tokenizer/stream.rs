//! Decoding ids one at a time without ever printing half a character.

use std::ops::Deref;

use super::ModelTokenizer;

/// Longest wait for the rest of a character, in tokens; then U+FFFD is printed.
const PATIENCE: usize = 16;

/// Text of a growing list of ids. The joined pieces equal the decoding of the whole list. `T` is a reference to the
/// tokenizer, or a counted one where the stream outlives a borrow.
#[derive(Clone, Debug)]
pub struct DecodeStream<T: Deref<Target = ModelTokenizer>> {
    tokenizer: T,
    skip_special: bool,
    /// Ids from the last piece on: those already printed (for context), then the waiting ones.
    ids: Vec<u32>,
    printed: usize,
    prefix: String,
}

impl<T: Deref<Target = ModelTokenizer>> DecodeStream<T> {
    /// An empty stream; `skip_special` leaves special tokens out.
    pub fn new(tokenizer: T, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, ids: Vec::new(), printed: 0, prefix: String::new() }
    }

    /// Takes the next id; gives the text that became certain, if any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids, self.skip_special);
        let waiting = self.ids.len() - self.printed;
        if text.len() <= self.prefix.len() || (text.ends_with('\u{FFFD}') && waiting < PATIENCE) {
            return None;
        }
        self.take(&text)
    }

    /// The rest, once no more ids come: an unfinished character shows as U+FFFD.
    pub fn finish(&mut self) -> Option<String> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special);
        self.take(&text)
    }

    fn take(&mut self, text: &str) -> Option<String> {
        let common: usize = text
            .chars()
            .zip(self.prefix.chars())
            .take_while(|(new, old)| new == old)
            .map(|(new, _)| new.len_utf8())
            .sum();
        let new = text[common..].to_owned();
        self.ids.drain(..self.printed);
        self.prefix = self.tokenizer.decode(&self.ids, self.skip_special);
        self.printed = self.ids.len();
        (!new.is_empty()).then_some(new)
    }
}
