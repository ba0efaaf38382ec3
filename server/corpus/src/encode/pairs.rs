//! Rows whose answer is not simply learnt: pairs for rm and dpo (S-144), prompts for generation and ppo (S-143).

use contract::problem::Problem;

use super::{Encoded, Encoder, IGNORED, LaidToken};
use crate::conversation::{Conversation, Pair};

/// The same question with a better and a worse answer. The labels of both count only the answer and its end token;
/// rm ignores them, dpo sums over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedPair {
    /// Question and better answer.
    pub chosen: Encoded,
    /// Question and worse answer.
    pub rejected: Encoded,
}

/// A question and the text its answer is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedPrompt {
    /// Token ids of the prompt, at most `max_source_length`.
    pub input_ids: Vec<u32>,
    /// Token ids of the reference answer, at most `max_target_length`, without an end token (S-143).
    pub reference: Vec<u32>,
    /// Tokens lost to the length limits.
    pub cut: usize,
}

/// Tokens of a pair, those lost to the limits marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaidPair {
    /// Question and better answer.
    pub chosen: Vec<LaidToken>,
    /// Question and worse answer.
    pub rejected: Vec<LaidToken>,
}

impl Encoder {
    /// Token ids of both sequences (S-144): the prompt cut at the end to `max_source_length`, each answer to
    /// `max_target_length` with its end token.
    ///
    /// # Errors
    /// When the template refuses the conversation or the tokenizer fails.
    pub fn encode_pair(&self, pair: &Pair) -> Result<EncodedPair, Problem> {
        let laid = self.lay_out_pair(pair)?;
        Ok(EncodedPair { chosen: kept(&laid.chosen), rejected: kept(&laid.rejected) })
    }

    /// All tokens of both sequences; [`Encoder::encode_pair`] keeps those that are not cut.
    ///
    /// # Errors
    /// As [`Encoder::encode_pair`].
    pub fn lay_out_pair(&self, pair: &Pair) -> Result<LaidPair, Problem> {
        let prompt = self.lay_out_prompt(&pair.chosen)?;
        let with_answer = |conversation: &Conversation| -> Result<Vec<LaidToken>, Problem> {
            let pieces = self.pieces(conversation)?;
            let mut laid = prompt.clone();
            if let Some(answer) = pieces.last().filter(|piece| piece.learn) {
                laid.extend(self.piece(answer, self.max_target_length, false)?);
            }
            Ok(laid)
        };
        Ok(LaidPair { chosen: with_answer(&pair.chosen)?, rejected: with_answer(&pair.worse())? })
    }

    /// Prompt and reference answer (S-143): for sft that generates, and for ppo.
    ///
    /// # Errors
    /// As [`Encoder::encode_pair`].
    pub fn encode_prompt(&self, conversation: &Conversation) -> Result<EncodedPrompt, Problem> {
        let prompt = kept(&self.lay_out_prompt(conversation)?);
        let reference = kept(&self.lay_out_reference(conversation)?);
        Ok(EncodedPrompt {
            input_ids: prompt.input_ids,
            cut: prompt.cut + reference.cut,
            reference: reference.input_ids,
        })
    }

    /// The prompt: earlier turns with their answers, and the last question (S-143). A built-in template's pieces
    /// are joined as text, without end tokens between turns, and tokenised at once; a chat template's piece by
    /// piece, as in training, and what opens the answer survives cutting.
    ///
    /// # Errors
    /// As [`Encoder::encode_pair`].
    pub fn lay_out_prompt(&self, conversation: &Conversation) -> Result<Vec<LaidToken>, Problem> {
        let token = |id, cut| LaidToken { id, learn: false, cut };
        let ids_of = |piece, part, first| self.template.ids(&self.tokenizer, piece, part, first);
        let joined =
            self.template.joined_prompt(&self.with_system(conversation), self.reads_control_tokens());
        if let Some(piece) = joined {
            let ids = ids_of(&piece, 0..piece.text.len(), true)?;
            let laid = ids.into_iter().enumerate();
            return Ok(laid.map(|(at, id)| token(id, at >= self.max_source_length)).collect());
        }
        let mut pieces = self.pieces(conversation)?;
        pieces.truncate(pieces.len().saturating_sub(1));
        let (mut ids, mut tail) = (Vec::new(), Vec::new());
        for (index, piece) in pieces.iter().enumerate() {
            ids.extend(ids_of(piece, 0..piece.text.len(), false)?);
            if index + 1 == pieces.len() && piece.tail > 0 {
                tail = ids_of(piece, piece.text.len() - piece.tail..piece.text.len(), false)?;
            }
        }
        let over = ids.len() > self.max_source_length;
        let keeps_tail = over && tail.len() < self.max_source_length && ids.ends_with(&tail);
        let head = if keeps_tail { ids.len() - tail.len() } else { ids.len() };
        let room = self.max_source_length - if keeps_tail { tail.len() } else { 0 };
        let laid = ids.into_iter().enumerate();
        Ok(laid.map(|(at, id)| token(id, at >= room && at < head)).collect())
    }

    /// The reference answer, tokenised as a text of its own, its begin token included (S-143).
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn lay_out_reference(&self, conversation: &Conversation) -> Result<Vec<LaidToken>, Problem> {
        let answer = conversation.turns.last().map_or("", |turn| turn.1.as_str());
        if answer.is_empty() {
            return Ok(Vec::new());
        }
        let ids = self.text_ids(answer, true)?;
        let laid = ids.into_iter().enumerate();
        Ok(laid.map(|(at, id)| LaidToken { id, learn: false, cut: at >= self.max_target_length }).collect())
    }
}

/// The tokens that are not cut, as ids and labels.
pub(super) fn kept(laid: &[LaidToken]) -> Encoded {
    let mut encoded = Encoded::default();
    for token in laid {
        if token.cut {
            encoded.cut += 1;
        } else {
            encoded.input_ids.push(token.id);
            encoded.labels.push(if token.learn { i64::from(token.id) } else { IGNORED });
        }
    }
    encoded
}
