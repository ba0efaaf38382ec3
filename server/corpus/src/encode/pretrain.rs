//! Packing plain text into blocks for pre-training (S-141).

use contract::dataset::Behaviour;
use contract::problem::Problem;

use super::{Encoded, Encoder};
use crate::tokenizer::ModelTokenizer;

/// Packs the ids of texts into blocks of `max_source_length` tokens; every token counts in the loss.
///
/// Each text has around it what the tokenizer puts there, and ends with the end token where one is known, so that a model
/// learns where texts begin and end. They follow one another without padding; what fills no whole block at the end is a
/// shorter one.
///
/// The original put nothing between texts, began each block with the begin token where the tokenizer wants one, and
/// dropped what was left over after every 1000 texts.
#[derive(Debug)]
pub struct PtPacker<'t> {
    tokenizer: &'t ModelTokenizer,
    /// Written before each block.
    bos: Option<u32>,
    block: usize,
    waiting: Vec<u32>,
    original: bool,
    /// Whether a text is not ended yet, and its last token.
    open: bool,
    last: Option<u32>,
    batch_texts: usize,
    done: PtEncoded,
}

/// Texts the original packed together.
const ORIGINAL_BATCH: usize = 1000;

/// Blocks and what was left over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PtEncoded {
    /// Blocks in order.
    pub blocks: Vec<Encoded>,
    /// Tokens of all texts with what stands around each, without the begin tokens of blocks.
    pub total_tokens: usize,
    /// Tokens that filled no block.
    pub dropped_tokens: usize,
}

impl<'t> PtPacker<'t> {
    /// A packer of blocks of `max_source_length` tokens.
    pub fn new(tokenizer: &'t ModelTokenizer, max_source_length: usize) -> Self {
        Self {
            tokenizer,
            bos: None,
            block: max_source_length.max(1),
            waiting: Vec::new(),
            original: false,
            open: false,
            last: None,
            batch_texts: 0,
            done: PtEncoded::default(),
        }
    }

    /// Corrected, or as the original did it.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        if behaviour == Behaviour::Original {
            self.original = true;
            self.bos = self.tokenizer.bos_id().filter(|_| self.tokenizer.add_bos());
            self.block = self.block.saturating_sub(usize::from(self.bos.is_some())).max(1);
        }
        self
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn tokenizer(&self) -> &'t ModelTokenizer {
        self.tokenizer
    }

    /// The block that holds a token of all texts, counted from 0, where no begin token stands before blocks.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn block_of(&self, token: usize) -> u64 {
        (token / self.block) as u64
    }

    /// Tokens of texts in each block.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    /// Tokens that fill no block yet.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the next text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn push(&mut self, text: &str) -> Result<(), Problem> {
        let ids = self.tokenizer.encode(text, false)?;
        self.push_ids(&ids);
        Ok(())
    }

    /// Takes the ids of the next text, encoded without special tokens.
    pub fn push_ids(&mut self, ids: &[u32]) {
        self.end_text();
        if !self.original {
            self.take(self.tokenizer.before());
            self.last = None;
        }
        self.go_on(ids);
        self.batch_texts += 1;
        if self.original && self.batch_texts.is_multiple_of(ORIGINAL_BATCH) {
            self.drop_rest();
        }
    }

    /// Takes more ids of the same text.
    pub fn go_on(&mut self, ids: &[u32]) {
        self.open = !self.original;
        self.last = ids.last().copied().or(self.last);
        self.take(ids);
    }

    /// Ends the text, if one is open.
    pub fn end_text(&mut self) {
        if std::mem::take(&mut self.open) {
            let ending = self.tokenizer.ending(self.last);
            self.take(&ending);
        }
    }

    /// The blocks that are full already; they are not given again.
    pub fn take_blocks(&mut self) -> Vec<Encoded> {
        std::mem::take(&mut self.done.blocks)
    }

    /// Tokens taken so far, as [`PtEncoded::total_tokens`].
    pub fn total_tokens(&self) -> usize {
        self.done.total_tokens
    }

    /// The blocks that were not given yet.
    pub fn finish(mut self) -> PtEncoded {
        self.end_text();
        if !self.original && !self.waiting.is_empty() {
            let rest = std::mem::take(&mut self.waiting);
            let last = self.encoded(&rest);
            self.done.blocks.push(last);
        }
        self.drop_rest();
        self.done
    }

    fn take(&mut self, ids: &[u32]) {
        self.done.total_tokens += ids.len();
        self.waiting.extend(ids);
        let whole = self.waiting.len() / self.block * self.block;
        let blocks: Vec<Encoded> =
            self.waiting[..whole].chunks(self.block).map(|ids| self.encoded(ids)).collect();
        self.done.blocks.extend(blocks);
        self.waiting.drain(..whole);
    }

    fn drop_rest(&mut self) {
        self.done.dropped_tokens += self.waiting.len();
        self.waiting.clear();
    }

    fn encoded(&self, ids: &[u32]) -> Encoded {
        let input_ids: Vec<u32> = self.bos.into_iter().chain(ids.iter().copied()).collect();
        let labels = input_ids.iter().map(|id| i64::from(*id)).collect();
        Encoded { input_ids, labels, cut: 0 }
    }
}

impl ModelTokenizer {
    /// What stands behind a text of pre-training whose last token is `last`: what this tokenizer puts there, and the end
    /// token, unless the text has ended with one by then.
    fn ending(&self, last: Option<u32>) -> Vec<u32> {
        let mut ending = self.after().to_vec();
        let ended = ending.last().copied().or(last).is_some_and(|last| self.eos_ids().contains(&last));
        ending.extend(self.eos_id().filter(|_| !ended));
        ending
    }
}

impl Encoder {
    /// Ids of one line of a text file as pre-training reads it: a file is one text, so its first line begins the text, its
    /// last line ends it, and all others end with their line break. A text of its own is both.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn line_ids(&self, line: &str, first: bool, last: bool) -> Result<Vec<u32>, Problem> {
        let line = if last { line.to_owned() } else { format!("{line}\n") };
        let mut ids = if first { self.text_ids(&line, true)? } else { self.text_going_on(&line)? };
        if last {
            let end = ids.last().copied().filter(|_| !line.is_empty());
            ids.extend(self.tokenizer.ending(end));
        }
        Ok(ids)
    }

    /// Ids of a text that goes on behind a line break, without what a tokenizer does to the beginning of a text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn text_going_on(&self, text: &str) -> Result<Vec<u32>, Problem> {
        going_on(text, |text| self.text_ids(text, false))
    }
}

/// Ids of a text behind a line break, by what makes ids of a text.
fn going_on(text: &str, ids_of: impl Fn(&str) -> Result<Vec<u32>, Problem>) -> Result<Vec<u32>, Problem> {
    let (lead, whole) = (ids_of("\n")?, ids_of(&format!("\n{text}"))?);
    match whole.strip_prefix(lead.as_slice()) {
        Some(ids) => Ok(ids.to_vec()),
        None => ids_of(text),
    }
}
