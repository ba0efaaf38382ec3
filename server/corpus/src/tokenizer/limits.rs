//! What the files of a tokenizer, and it itself, may use up; each limit once.

/// Most values (texts, numbers, lists, maps) in a file of a name: each takes some fifty bytes of memory, however short
/// it is. The largest published `tokenizer.json` hold two million and a half.
pub(super) fn most_values(name: &str) -> usize {
    if name == "tokenizer.json" { 6_000_000 } else { 1_000_000 }
}

/// How often as long a text may become before it is cut into tokens, and their text when they are decoded.
pub(super) const GROWTH: f64 = 16.0;

/// Longest text put before every text, bytes.
pub(super) const PREPENDED: usize = 16;

/// Most steps that change a text, or its pieces, one after the other.
pub(super) const STEPS: usize = 64;

/// Longest affix that a vocabulary puts on parts of words, bytes.
pub(super) const AFFIX: usize = 64;

/// Longest word, in characters, that is looked up piece by piece: it takes the square of that.
pub(super) const WORD: u64 = 1_000;

/// Highest id of a token: what writes a vocabulary counts up to it. The largest published ones have a quarter of a million.
pub(super) const HIGHEST_ID: u64 = 1 << 24;

/// Longest added token, bytes.
pub(super) const ADDED: usize = 1 << 10;

/// Most tokens that are put around a text.
pub(super) const AROUND: usize = 64;

/// Most tokens for each byte of a text, and for any text at all.
pub(super) const TOKENS_A_BYTE: usize = 32;

/// Most tokens that a file names for one role.
pub(super) const NAMES: usize = 64;

/// How long a text is that a tokenizer is tried on, bytes, shorter ones first.
pub(super) const TRIED: [usize; 3] = [64, 512, 4096];

/// Processor time it may take with each of these.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);
