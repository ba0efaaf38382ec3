//! Bytes of tokens, and which of them at the end of an answer form no character yet.

/// The byte of a SentencePiece token such as `<0xE2>`.
pub(super) fn byte_piece(token: &str) -> Option<u8> {
    u8::from_str_radix(token.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

/// The bytes of a token of a byte-level vocabulary; `None` when it is of no such vocabulary.
pub(super) fn level_bytes(token: &str) -> Option<Vec<u8>> {
    token.chars().map(level_byte).collect()
}

/// Byte-level vocabularies write a printable byte as the letter of that number, and all others, in order, as the letters
/// from U+0100 on.
fn level_byte(letter: char) -> Option<u8> {
    let number = u32::from(letter);
    let byte = match number {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => number,
        0x100..=0x120 => number - 0x100,
        0x121..=0x142 => number - 0x121 + 0x7F,
        0x143 => 0xAD,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

/// What stands behind the last whole character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves {
    /// Bytes.
    pub(super) bytes: usize,
    /// Marks U+FFFD they show as.
    pub(super) marks: usize,
}

impl Halves {
    /// Those of a text's bytes.
    pub(super) fn at_end(bytes: &[u8]) -> Self {
        let mut halves = Self::default();
        for chunk in bytes.utf8_chunks() {
            if !chunk.valid().is_empty() {
                halves = Self::default();
            }
            halves.bytes += chunk.invalid().len();
            halves.marks += usize::from(!chunk.invalid().is_empty());
        }
        halves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let letters = (0..=0x150).filter_map(char::from_u32).filter_map(level_byte);
        let mut bytes: Vec<u8> = letters.collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(level_bytes("Ġðł"), Some(vec![0x20, 0xF0, 0xA0]));
        assert_eq!((level_bytes("▁a"), byte_piece("<0xE2>"), byte_piece("<0xE>a")), (None, Some(0xE2), None));
    }

    #[test]
    fn only_what_follows_the_last_whole_character_is_half() {
        let halves = |bytes: &[u8]| (Halves::at_end(bytes).bytes, Halves::at_end(bytes).marks);
        assert_eq!(halves("a🫖".as_bytes()), (0, 0));
        assert_eq!(halves(&"a🫖".as_bytes()[..4]), (3, 1));
        assert_eq!(halves(b"\xF0\x9F"), (2, 1));
        assert_eq!(halves(b"\xF0\x9Fa\x80\x80"), (2, 2), "those in the middle stay");
        assert_eq!(halves("\u{FFFD}".as_bytes()), (0, 0), "a character of its own");
    }
}
