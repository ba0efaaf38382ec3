//! Rows whose answer is not simply learnt: pairs for rm and dpo (S-144), prompts for generation and ppo (S-143).

use contract::dataset::Behaviour;
use contract::problem::Problem;

use super::cut::{Asked, moved};
use super::{Encoded, Encoder, IGNORED, LaidToken};
use crate::conversation::{Conversation, Pair};
use crate::template::Piece;

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

    /// The prompt: earlier turns with their answers, and the last question (S-143), token by token as the model read
    /// them in training, end tokens included; what opens the answer survives cutting. As the original did it, a
    /// built-in template's turns are joined without end tokens and tokenised at once, which no training shows.
    ///
    /// # Errors
    /// As [`Encoder::encode_pair`].
    pub fn lay_out_prompt(&self, conversation: &Conversation) -> Result<Vec<LaidToken>, Problem> {
        let conversation = self.with_system(conversation);
        let pieces = self.prompt_pieces(&conversation)?;
        let (mut ids, mut tail) = (Vec::new(), Vec::new());
        for (index, piece) in pieces.iter().enumerate() {
            ids.extend(self.template.piece_ids(&self.tokenizer, piece, index == 0)?);
            if index + 1 == pieces.len() && piece.tail > 0 {
                let tail_only = piece.text.len() - piece.tail..piece.text.len();
                tail = self.template.ids(&self.tokenizer, piece, tail_only, false)?;
            }
        }
        if ids.len() <= self.max_source_length {
            return Ok(ids.into_iter().map(LaidToken::asked).collect());
        }
        if tail.len() >= self.max_source_length || !ids.ends_with(&tail) {
            tail.clear();
        }
        let mut asked = self.asked(&pieces)?;
        asked.tokens.truncate(ids.len() - tail.len());
        let mut laid = asked.fitted(self.max_source_length - tail.len());
        laid.extend(tail.into_iter().map(LaidToken::asked));
        Ok(laid)
    }

    /// What the template writes before the last answer.
    fn prompt_pieces(&self, conversation: &Conversation) -> Result<Vec<Piece>, Problem> {
        if self.behaviour == Behaviour::Original
            && let Some(joined) = self.template.joined_prompt(conversation)
        {
            return Ok(vec![joined]);
        }
        if conversation.turns.last().is_none_or(|turn| turn.1.trim().is_empty()) {
            // An answer that is not there may change what a template writes.
            return self.template.asked_pieces(conversation, self.reads_control_tokens());
        }
        let mut pieces = self.pieces(conversation)?;
        pieces.truncate(pieces.len().saturating_sub(1));
        Ok(pieces)
    }

    /// The tokens of a prompt, and what of them is cut first.
    fn asked(&self, pieces: &[Piece]) -> Result<Asked, Problem> {
        let (mut asked, mut earlier, mut bytes) = (Asked::default(), Vec::new(), 0);
        for (index, piece) in pieces.iter().enumerate() {
            let places = self.template.piece_places(&self.tokenizer, piece, index == 0)?;
            asked.extend(bytes, places);
            if self.behaviour == Behaviour::Corrected {
                asked.spare.extend(piece.spare.iter().map(|place| moved(place, bytes)));
                earlier.extend(asked.question.take());
                asked.question = piece.question.as_ref().map(|place| moved(place, bytes));
                earlier.extend(piece.learn.then(|| bytes..bytes + piece.head()));
            }
            bytes += piece.text.len();
        }
        asked.spare.extend(earlier);
        Ok(asked)
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
        Ok(laid
            .map(|(at, id)| LaidToken { cut: at >= self.max_target_length, ..LaidToken::asked(id) })
            .collect())
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
