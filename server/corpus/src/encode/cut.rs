//! Cutting what stands before an answer to its limit: system text first, then earlier text, the question last.

use std::ops::Range;

use super::LaidToken;

/// Tokens with the bytes of text each is for, and which texts go first.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Ids with their places, in the order of the text.
    pub(super) tokens: Vec<(u32, Range<usize>)>,
    /// Places of texts that are cut before the question, in this order, each from its end.
    pub(super) spare: Vec<Range<usize>>,
    /// Place of the question's own words.
    pub(super) question: Option<Range<usize>>,
}

impl Asked {
    /// Adds what stands behind; `bytes` of text stand before it.
    pub(super) fn extend(&mut self, bytes: usize, tokens: Vec<(u32, Range<usize>)>) {
        self.tokens.extend(tokens.into_iter().map(|(id, place)| (id, moved(&place, bytes))));
    }

    /// At most `room` of the tokens are kept.
    pub(super) fn fitted(self, room: usize) -> Vec<LaidToken> {
        let within = |place: &Range<usize>, text: &Range<usize>| {
            place.start < place.end && text.start <= place.start && place.end <= text.end
        };
        let asked = |place: &Range<usize>| self.question.as_ref().is_some_and(|text| within(place, text));
        let token = |(id, place): &(u32, Range<usize>)| LaidToken {
            id: *id,
            learn: false,
            cut: false,
            question: asked(place),
        };
        let mut laid: Vec<LaidToken> = self.tokens.iter().map(token).collect();
        let mut over = laid.len().saturating_sub(room);
        for text in &self.spare {
            if over == 0 {
                break;
            }
            // Tokens of half a character go with its other half.
            let mut last = usize::MAX;
            let before = |at: usize| self.tokens.partition_point(|(_, place)| place.start < at);
            let (first, end) = (before(text.start), before(text.end));
            for (index, (_, place)) in self.tokens.iter().enumerate().take(end).skip(first).rev() {
                if within(place, text) && (over > 0 || place.start == last) {
                    laid[index].cut = true;
                    over = over.saturating_sub(1);
                    last = place.start;
                }
            }
        }
        let mut kept = 0;
        for token in laid.iter_mut().filter(|token| !token.cut) {
            kept += 1;
            token.cut = kept > room;
        }
        laid
    }
}

/// A place behind so many bytes.
pub(super) fn moved(place: &Range<usize>, bytes: usize) -> Range<usize> {
    place.start + bytes..place.end + bytes
}
