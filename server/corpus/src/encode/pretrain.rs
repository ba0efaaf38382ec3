//! Packing plain text into blocks for pre-training (S-141).

use contract::dataset::Behaviour;
use contract::problem::Problem;

use super::Encoded;
use crate::tokenizer::ModelTokenizer;

/// Packs the ids of texts, one after the other with nothing between, into blocks of `max_source_length` tokens,
/// the begin token first where the tokenizer wants one. Every token counts in the loss.
///
/// The ancestor dropped what was left over after every 1000 texts; here it goes on into the next block, and only
/// the end of the whole corpus is dropped. A corpus shorter than one block gives one short block, not none.
#[derive(Debug)]
pub struct PtPacker<'t> {
    tokenizer: &'t ModelTokenizer,
    bos: Option<u32>,
    block: usize,
    waiting: Vec<u32>,
    original: bool,
    batch_texts: usize,
    taken: usize,
    done: PtEncoded,
}

/// Texts the ancestor packed together.
const ORIGINAL_BATCH: usize = 1000;

/// Blocks and what was left over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PtEncoded {
    /// Blocks in order.
    pub blocks: Vec<Encoded>,
    /// Tokens of all texts, without begin tokens.
    pub total_tokens: usize,
    /// Tokens that filled no block.
    pub dropped_tokens: usize,
}

impl<'t> PtPacker<'t> {
    /// A packer of blocks of `max_source_length` tokens.
    pub fn new(tokenizer: &'t ModelTokenizer, max_source_length: usize) -> Self {
        let bos = tokenizer.bos_id().filter(|_| tokenizer.add_bos());
        let block = max_source_length.saturating_sub(usize::from(bos.is_some())).max(1);
        let done = PtEncoded::default();
        Self { tokenizer, bos, block, waiting: Vec::new(), original: false, batch_texts: 0, taken: 0, done }
    }

    /// As the original did it: left-over tokens are dropped after every 1000 texts, short corpora give nothing.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.original = behaviour == Behaviour::Original;
        self
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn tokenizer(&self) -> &'t ModelTokenizer {
        self.tokenizer
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
        self.done.total_tokens += ids.len();
        self.waiting.extend(ids);
        let whole = self.waiting.len() / self.block * self.block;
        let blocks: Vec<Encoded> =
            self.waiting[..whole].chunks(self.block).map(|ids| self.encoded(ids)).collect();
        self.done.blocks.extend(blocks);
        self.waiting.drain(..whole);
        self.batch_texts += 1;
        if self.original && self.batch_texts.is_multiple_of(ORIGINAL_BATCH) {
            self.drop_rest();
        }
    }

    /// The blocks that are full already; they are not given again.
    pub fn take_blocks(&mut self) -> Vec<Encoded> {
        self.taken += self.done.blocks.len();
        std::mem::take(&mut self.done.blocks)
    }

    /// The blocks.
    pub fn finish(mut self) -> PtEncoded {
        if !self.original && self.taken == 0 && self.done.blocks.is_empty() && !self.waiting.is_empty() {
            let ids = std::mem::take(&mut self.waiting);
            let short = self.encoded(&ids);
            self.done.blocks.push(short);
        }
        self.drop_rest();
        self.done
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
