//! What a chat template may use up, each limit once: a template from somewhere ends neither a process nor its memory.

/// Longest line of a template, bytes, and most lines: the engine counts both in sixteen bits.
pub(super) const LINE: usize = u16::MAX as usize;

/// Operators, calls and filters that may stand one inside another in an expression: the engine walks it by recursion.
pub(super) const OPERATORS: usize = 200;

/// Brackets that may stand one inside another.
pub(super) const BRACKETS: usize = 16;

/// Blocks (`for`, `if`, `macro`) that may stand one inside another.
pub(super) const BLOCKS: usize = 32;

/// Further conditions (`elif`) of one `if`.
pub(super) const BRANCHES: usize = 100;

/// Steps (and bytes written) of a rendering before it is stopped, besides those for its input.
pub(super) const FUEL: u64 = 100_000;

/// Bytes and parts of an input that [`FUEL`] alone is enough for.
pub(super) const SMALL: (usize, usize) = (2 << 10, 64);

/// Steps for each part (text, number, list, map) of the input: templates walk over messages and tools, some of them
/// once for each message.
pub(super) const FUEL_A_PART: u64 = 1_000;

/// Steps for each byte of the input: sixty-four bytes are copied in one.
pub(super) const FUEL_A_BYTE: u64 = 2;

/// Deepest nesting of calls.
pub(super) const CALLS: usize = 60;

/// Most that a value may weigh, what it holds twice counted twice: the bytes of its texts and [`PART`] for each part.
pub(super) const HEAVIEST: usize = 16 << 20;

/// Weight of each part of a value.
pub(super) const PART: usize = 64;

/// Widest indentation of `tojson`.
pub(super) const INDENTATION: usize = 64;

/// Longest JSON that `tojson` writes, bytes.
pub(super) const JSON: usize = 64 << 20;

/// Bytes that may be written for each byte of the input.
pub(super) const OUTPUT_A_BYTE: usize = 8;

/// Longest words of a template's own that a problem repeats, bytes.
pub(super) const WORDS: usize = 300;

/// Answers of a conversation of which each is looked at apart; later ones that stand like an earlier one are written
/// like it.
pub(super) const APART: usize = 16;

/// Bytes of text that may be rendered again to find the answers of one conversation, where a template changes them.
pub(super) const AGAIN: usize = 64 << 20;

/// Messages of the longest conversation whose form is remembered.
pub(super) const REMEMBERED_MESSAGES: usize = 256;
