//! A digest of a file as people write it: SHA-1, as the original's register has it (S-070), or SHA-256.

use crate::code::Code;
use crate::problem::Problem;

/// A digest, in small hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// 40 digits.
    Sha1(String),
    /// 64 digits.
    Sha256(String),
}

impl Digest {
    /// Digits of a SHA-1.
    const SHA1: usize = 40;
    /// Digits of a SHA-256.
    const SHA256: usize = 64;

    /// Reads a digest as it is copied from a page or from `sha256sum`: blanks around it, a name of the function before
    /// it and a name of the file behind it are passed over. Its length says which one it is.
    ///
    /// # Errors
    /// `dataset.bad_digest` with the byte of the text that is no digit, or of its end where digits are missing.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let word = text.split_whitespace().next().unwrap_or_default();
        let hex = ["sha1:", "sha256:", "sha1-", "sha256-"]
            .iter()
            .find_map(|name| word.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name)))
            .map_or(word, |head| &word[head.len()..]);
        let begins = text.find(word).unwrap_or(0) + word.len() - hex.len();
        if let Some((at, odd)) = hex.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
            return Err(bad(format!("“{odd}” is no hexadecimal digit"), begins + at));
        }
        match hex.len() {
            Self::SHA1 => Ok(Self::Sha1(hex.to_ascii_lowercase())),
            Self::SHA256 => Ok(Self::Sha256(hex.to_ascii_lowercase())),
            digits => Err(bad(format!("it has {digits} digits"), begins + hex.len())),
        }
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha1(hex) | Self::Sha256(hex) => hex,
        }
    }
}

fn bad(why: String, byte: usize) -> Problem {
    Problem::new(Code::DatasetBadDigest, format!("This is no SHA-1 and no SHA-256: {why}."))
        .with("why", why)
        .field("digest")
        .byte(byte as u64)
        .hint("A SHA-1 has 40 hexadecimal digits, a SHA-256 has 64; copy it whole.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_070_a_digest_is_told_by_its_length_and_read_as_it_is_copied() {
        let (one, two) = ("A9".repeat(20), "0f".repeat(32));
        assert_eq!(Digest::parse(&one), Ok(Digest::Sha1("a9".repeat(20))));
        for text in [two.clone(), format!("  {two}  train.jsonl\n"), format!("SHA256:{two}")] {
            assert_eq!(Digest::parse(&text), Ok(Digest::Sha256(two.clone())), "{text}");
        }
    }

    #[test]
    fn s_070_what_is_no_digest_is_refused_at_its_place() {
        let place = |text: &str| {
            let problem = Digest::parse(text).expect_err(text);
            assert_eq!((problem.code, problem.form_key()), (Code::DatasetBadDigest, Some("digest")));
            problem.place.and_then(|place| place.byte)
        };
        assert_eq!(place(""), Some(0));
        assert_eq!(place(&"a".repeat(39)), Some(39));
        assert_eq!(place(&"a".repeat(41)), Some(41));
        assert_eq!(place(&format!(" sha1:{}g{}", "a".repeat(7), "b".repeat(32))), Some(13));
        assert_eq!(place("ｓ"), Some(0));
    }
}
