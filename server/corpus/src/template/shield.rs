//! Words of control tokens that people wrote are marked before a template prints them, so that they are not taken for
//! its own.

use std::borrow::Cow;
use std::ops::Range;

use contract::chat::ChatMessage;

use super::Piece;
use crate::conversation::Conversation;
use crate::tokenizer::plain::ControlWords;

/// Marks the words by a character within them that no text of the conversation holds.
pub(super) struct Shield<'w> {
    words: &'w ControlWords,
    mark: char,
}

impl<'w> Shield<'w> {
    /// A shield for texts of people; `None` where none of them holds such a word.
    pub(super) fn of<'t>(
        words: &'w ControlWords,
        texts: impl Iterator<Item = &'t str> + Clone,
    ) -> Option<Self> {
        if !texts.clone().any(|text| words.held(text)) {
            return None;
        }
        let free = |mark: &char| !texts.clone().any(|text| text.contains(*mark));
        let mark = ('\u{F_0000}'..='\u{F_FFFD}').find(free)?;
        Some(Self { words, mark })
    }

    /// A text with its words marked.
    fn marked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let places = self.words.breaks(text);
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + places.len() * self.mark.len_utf8());
        let mut done = 0;
        for place in places {
            out.push_str(&text[done..place]);
            out.push(self.mark);
            done = place;
        }
        out.push_str(&text[done..]);
        Cow::Owned(out)
    }

    pub(super) fn conversation(&self, conversation: &Conversation) -> Conversation {
        let mut conversation = conversation.clone();
        let turns = conversation.turns.iter_mut().flat_map(|(question, answer)| [question, answer]);
        for text in conversation.system.iter_mut().chain(turns) {
            *text = self.marked(text).into_owned();
        }
        conversation
    }

    pub(super) fn messages(&self, messages: &[ChatMessage]) -> Vec<ChatMessage> {
        let marked = |old: &ChatMessage| super::message(&old.role, &self.marked(&old.content));
        messages.iter().map(marked).collect()
    }

    /// The piece without marks, and where they were.
    pub(super) fn lifted(&self, piece: Piece) -> Piece {
        let (mut text, mut broken) = (String::with_capacity(piece.text.len()), Vec::new());
        for (index, part) in piece.text.split(self.mark).enumerate() {
            broken.extend((index > 0).then_some(text.len()));
            text.push_str(part);
        }
        let marks: Vec<usize> = piece.text.match_indices(self.mark).map(|(at, _)| at).collect();
        let at = |at: usize| at - marks.partition_point(|mark| *mark < at) * self.mark.len_utf8();
        let range = |range: &Range<usize>| at(range.start)..at(range.end);
        let tail = text.len() - at(piece.text.len() - piece.tail);
        let (spare, question) = (piece.spare.iter().map(range).collect(), piece.question.as_ref().map(range));
        Piece { text, learn: piece.learn, tail, broken, spare, question }
    }
}

/// Tokens not marked special, of `added` ones, that a template writes as marks around turns: those it writes around
/// contents, and those it opens an answer with, except one half of a pair that stands around nothing else (`<think>`).
pub(super) fn turn_marks(added: &[String], around: &[&str], openings: &[&str]) -> Vec<String> {
    let outside = |token: &str| around.iter().any(|text| text.contains(token));
    let paired = |token: &str| {
        let other = match token.split_once('/') {
            Some((head, tail)) => format!("{head}{tail}"),
            None => token.chars().take(1).chain(['/']).chain(token.chars().skip(1)).collect(),
        };
        added.contains(&other) && !outside(&other)
    };
    let is_mark = |token: &&String| {
        let opens = || openings.iter().any(|text| text.contains(token.as_str())) && !paired(token);
        !token.trim().is_empty() && (outside(token) || opens())
    };
    added.iter().filter(is_mark).cloned().collect()
}
