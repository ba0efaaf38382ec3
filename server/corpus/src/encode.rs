//! Conversations and texts become token ids and labels within the length limits.

mod cut;
mod example;
pub mod packing;
mod pairs;
mod pretrain;

use std::borrow::Cow;
use std::sync::Arc;

use contract::dataset::Behaviour;
use contract::problem::Problem;
use contract::stage::Stage;

use crate::conversation::{Conversation, texts};
use crate::template::{Piece, Template};
use crate::tokenizer::ModelTokenizer;
pub use example::{Example, Taken};
pub use packing::Packed;
pub use pairs::{EncodedPair, EncodedPrompt, LaidPair};
pub use pretrain::{PtEncoded, PtPacker};

/// Label of a token that does not count in the loss.
pub const IGNORED: i64 = -100;

/// One encoded row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub input_ids: Vec<u32>,
    /// Per token its id, or [`IGNORED`]; not shifted.
    pub labels: Vec<i64>,
    /// Tokens lost to the length limits.
    pub cut: usize,
}

/// A token with its part in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaidToken {
    /// Token id.
    pub id: u32,
    /// Counts in the loss.
    pub learn: bool,
    /// Lost to the length limits.
    pub cut: bool,
    /// A question's own words; told only where what stands before an answer is longer than its limit.
    pub question: bool,
}

impl LaidToken {
    /// A token that is read and not learnt.
    fn asked(id: u32) -> Self {
        Self { id, learn: false, cut: false, question: false }
    }
}

/// Whether nothing is left of the words of some question that is asked.
pub fn loses_question(laid: &[LaidToken]) -> bool {
    laid.chunk_by(|one, next| one.question == next.question)
        .any(|run| run.iter().all(|token| token.question && token.cut))
}

/// Everything that decides how a row becomes tokens.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Tokenizer of the model.
    pub tokenizer: Arc<ModelTokenizer>,
    /// Template of the run.
    pub template: Template,
    /// Stage of the run.
    pub stage: Stage,
    /// Longest question, tokens (S-028).
    pub max_source_length: usize,
    /// Longest answer with its end token, tokens (S-028).
    pub max_target_length: usize,
    /// System text for rows without their own; `None`: the template's.
    pub system: Option<String>,
    /// Corrected, or as the original did it.
    pub behaviour: Behaviour,
    /// Words of control tokens in texts of people become the tokens; else they are plain text.
    pub control_tokens_in_text: bool,
}

impl Encoder {
    /// Token ids and labels of a conversation (S-142): each question and answer cut at the end to its limit, the system
    /// text before the question where the template allows ([`Piece::spare`]), turns added while they fit both limits
    /// together, the begin token only once, loss on every answer and its end token.
    ///
    /// # Errors
    /// When the template refuses the conversation or the tokenizer fails.
    pub fn encode_sft(&self, conversation: &Conversation) -> Result<Encoded, Problem> {
        Ok(pairs::kept(&self.lay_out(conversation)?))
    }

    /// All tokens of a conversation, those lost to the limits marked; [`Encoder::encode_sft`] keeps the others.
    ///
    /// # Errors
    /// As [`Encoder::encode_sft`].
    pub fn lay_out(&self, conversation: &Conversation) -> Result<Vec<LaidToken>, Problem> {
        let pieces = self.pieces(conversation)?;
        let limit = self.max_source_length + self.max_target_length;
        let mut laid = Vec::new();
        let mut seen = 0;
        let mut full = false;
        // S-142: the original put special tokens before every turn, where they end what came before.
        let original = self.behaviour == Behaviour::Original;
        // A template without history shows the last turns only.
        let hidden = conversation.turns.len().saturating_sub(pieces.len().div_ceil(2));
        for (index, turn) in pieces.chunks(2).enumerate() {
            let learned = conversation.unlearned.binary_search(&(hidden + index)).is_err();
            let mut tokens = self.piece(&turn[0], self.max_source_length, index == 0 || original)?;
            if let Some(answer) = turn.get(1) {
                let answer = self.piece(answer, self.max_target_length, false)?;
                tokens.extend(
                    answer.into_iter().map(|token| LaidToken { learn: token.learn && learned, ..token }),
                );
            }
            let kept = tokens.iter().filter(|token| !token.cut).count();
            full |= seen + kept > limit;
            if full {
                tokens.iter_mut().for_each(|token| (token.cut, token.question) = (true, false));
            } else {
                seen += kept;
            }
            laid.extend(tokens);
        }
        Ok(laid)
    }

    /// The conversation with the run's system text where it has none of its own.
    fn with_system<'c>(&self, conversation: &'c Conversation) -> Cow<'c, Conversation> {
        match (&conversation.system, &self.system) {
            (None, Some(system)) if !system.is_empty() => {
                Cow::Owned(Conversation { system: Some(system.clone()), ..conversation.clone() })
            }
            _ => Cow::Borrowed(conversation),
        }
    }

    fn pieces(&self, conversation: &Conversation) -> Result<Vec<Piece>, Problem> {
        let conversation = self.with_system(conversation);
        if self.reads_control_tokens() {
            self.template.pieces_as_written(&conversation)
        } else {
            self.template.pieces(&conversation)
        }
    }

    /// Whether words of control tokens in texts of people are the tokens, as the original had it.
    fn reads_control_tokens(&self) -> bool {
        self.control_tokens_in_text || self.behaviour == Behaviour::Original
    }

    /// Whether a row's texts hold words of control tokens.
    pub fn holds_control_words(&self, taken: &Taken) -> bool {
        let words = self.template.control_words();
        let talks = |talk: &Conversation| texts(talk).any(|text| words.held(text));
        match taken {
            Taken::Text(text) => words.held(text),
            Taken::Talk(talk) => talks(talk),
            Taken::Pair(pair) => talks(&pair.chosen) || words.held(&pair.rejected),
        }
    }

    /// Whether a text holds such words.
    pub fn holds_words(&self, text: &str) -> bool {
        self.template.control_words().held(text)
    }

    /// Ids of a text of people that no template stands around, the begin token included with `first` where the model
    /// wants one.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn text_ids(&self, text: &str, first: bool) -> Result<Vec<u32>, Problem> {
        if self.reads_control_tokens() {
            self.tokenizer.encode(text, first)
        } else {
            self.template.text_ids(&self.tokenizer, text, first)
        }
    }

    /// Tokens of a piece, at most `limit` of them uncut; the piece's tail survives.
    fn piece(&self, piece: &Piece, limit: usize, first: bool) -> Result<Vec<LaidToken>, Problem> {
        let first = first && self.template.is_builtin();
        let (mut head, end) = (piece.text.len() - piece.tail, piece.text.len());
        let ids = |part, first| self.template.ids(&self.tokenizer, piece, part, first);
        if piece.learn {
            let (body, tail) = (ids(0..head, first)?, ids(head..end, false)?);
            let room = limit.saturating_sub(tail.len().max(1));
            let token = |id, cut| LaidToken { learn: true, cut, ..LaidToken::asked(id) };
            let body = body.into_iter().enumerate().map(|(index, id)| token(id, index >= room));
            // A stop word of more tokens than the whole limit is cut as well.
            let tail = tail.into_iter().enumerate().map(|(index, id)| token(id, index >= limit));
            return Ok(body.chain(tail).collect());
        }
        let whole = ids(0..end, first)?;
        if whole.len() <= limit {
            return Ok(whole.into_iter().map(LaidToken::asked).collect());
        }
        let mut tail = ids(head..end, false)?;
        if tail.len() >= limit {
            tail.clear();
            head = end;
        }
        let mut asked = cut::Asked {
            tokens: self.template.places(&self.tokenizer, piece, head, first)?,
            ..cut::Asked::default()
        };
        if self.behaviour == Behaviour::Corrected {
            (asked.spare, asked.question) = (piece.spare.clone(), piece.question.clone());
        }
        let mut laid = asked.fitted(limit - tail.len());
        laid.extend(tail.into_iter().map(LaidToken::asked));
        Ok(laid)
    }

    /// Blocks for pre-training (S-141): see [`PtPacker`].
    ///
    /// # Errors
    /// The first error of `texts`, or when the tokenizer fails.
    pub fn encode_pt(
        &self,
        texts: impl Iterator<Item = Result<String, Problem>>,
    ) -> Result<PtEncoded, Problem> {
        let mut packer = PtPacker::new(&self.tokenizer, self.max_source_length).behaving(self.behaviour);
        for text in texts {
            packer.push_ids(&self.text_ids(&text?, false)?);
        }
        Ok(packer.finish())
    }
}
