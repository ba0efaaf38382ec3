//! Decoding ids one at a time without ever printing half a character.

use std::ops::Deref;

use super::ModelTokenizer;
use super::halves::{Halves, byte_piece, level_bytes};

/// Longest wait for the rest of a character, in tokens; then U+FFFD is printed.
const PATIENCE: usize = 16;

/// What bytes that form no character show as.
const HALF: char = '\u{FFFD}';

/// Text of a growing list of ids. The joined pieces equal the decoding of the whole list, but for half a character at
/// its end, which is left out. `T` is a reference to the tokenizer, or a counted one where the stream outlives a borrow.
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
        if text.len() <= self.prefix.len() || (text.ends_with(HALF) && waiting < PATIENCE) {
            return None;
        }
        self.take(ModelTokenizer::decode)
    }

    /// The rest, once no more ids come. It ends with the last whole character: what an answer was cut off within is not
    /// said.
    pub fn finish(&mut self) -> Option<String> {
        self.take(ModelTokenizer::decode_answer)
    }

    fn take(&mut self, decode: fn(&ModelTokenizer, &[u32], bool) -> String) -> Option<String> {
        let text = decode(&self.tokenizer, &self.ids, self.skip_special);
        let waiting = self.ids.get(self.printed..).unwrap_or_default();
        let new = match text.strip_prefix(&self.prefix) {
            Some(new) => new.to_owned(),
            // Half a character turns all bytes beside it into U+FFFD in SentencePiece's decoder, those of whole
            // characters that are printed already as well.
            None if waiting.first().is_some_and(|id| self.tokenizer.byte_piece(*id).is_some()) => {
                decode(&self.tokenizer, waiting, self.skip_special)
            }
            None => {
                let same = text.chars().zip(self.prefix.chars()).take_while(|(new, old)| new == old);
                let same = same.count();
                text.chars().skip(same).collect()
            }
        };
        self.ids.drain(..self.printed);
        self.prefix = self.tokenizer.decode(&self.ids, self.skip_special);
        self.printed = self.ids.len();
        (!new.is_empty()).then_some(new)
    }
}

impl ModelTokenizer {
    /// Text of an answer up to its last whole character, wherever it was cut off. Half a character in its middle shows as
    /// U+FFFD.
    pub fn decode_answer(&self, ids: &[u32], skip_special: bool) -> String {
        let hidden = |id: &&u32| skip_special && self.is_special(**id);
        let ids = &ids[..ids.len() - ids.iter().rev().take_while(hidden).count()];
        let mut pieces: Vec<u8> = ids.iter().rev().map_while(|id| self.byte_piece(*id)).collect();
        pieces.reverse();
        // Left in, they would turn the whole characters before them into U+FFFD as well.
        let mut text = self.decode(&ids[..ids.len() - Halves::at_end(&pieces).bytes], skip_special);
        if pieces.is_empty() && text.ends_with(HALF) {
            let level = |id: &u32| level_bytes(&self.token(*id)?).filter(|_| !self.is_special(*id));
            let mut tail: Vec<Vec<u8>> = ids.iter().rev().map_while(level).collect();
            tail.reverse();
            for _ in 0..Halves::at_end(&tail.concat()).marks {
                text.truncate(text.strip_suffix(HALF).unwrap_or(&text).len());
            }
        }
        text
    }

    fn byte_piece(&self, id: u32) -> Option<u8> {
        byte_piece(&self.token(id)?)
    }
}
