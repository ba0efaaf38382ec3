//! Which part of a rendered conversation is answer: found by rendering it again with other answers.

use std::ops::Range;

use contract::Code;
use contract::chat::ChatMessage;
use contract::problem::Problem;

use super::skeleton::{Skeleton, closing};
use super::{ChatTemplate, Extras, FOLD};
use crate::template::limits::AGAIN;
use crate::template::{Piece, message};

/// Cuts the rendered text so that each answer, as the template prints it, with its end of turn is one learnt piece.
/// With `answered` the text ends with the last answer's end of turn; without, it is the prompt that opens the next
/// answer as training opens it. `folded`: bytes of a system text that stands in the first message.
pub(super) fn pieces(
    template: &ChatTemplate,
    messages: &[ChatMessage],
    answered: bool,
    folded: Option<usize>,
) -> Result<Vec<Piece>, Problem> {
    let text = template.render(messages, !answered, &Extras::default())?;
    let mut roles: Vec<String> = messages.iter().map(|message| message.role.clone()).collect();
    roles.extend((!answered).then(|| ASSISTANT.to_owned()));
    let skeleton = template.skeleton(roles);
    let talk = Talk { template, messages, open: !answered, skeleton: &skeleton };
    let mut pieces = Vec::new();
    let mut cursor = 0;
    for found in talk.answers(&text)? {
        let known = skeleton.answer(found.message).cloned().unwrap_or_default();
        let mut answer = text[found.start..found.end].to_owned();
        let mut end = found.end;
        let mut tail = 0;
        if !found.close.is_empty() {
            answer.push_str(&found.close);
            (end, tail) = (end + found.close.len(), found.tail);
        } else if let Some(eos) = template.eos() {
            answer.push_str(eos);
            tail = eos.len();
        }
        pieces.push(talk.question(found.message, &text[cursor..found.start], &known.opening, folded));
        pieces.push(Piece::answer(answer, tail));
        cursor = end;
    }
    if !answered {
        let next = skeleton.answer(messages.len()).cloned().unwrap_or_default();
        let asked = next.asked.as_deref().unwrap_or_default();
        // A trained answer that begins earlier than the one asked for is asked for as it was trained.
        let trained = asked.starts_with(&next.opening) && text[cursor..].ends_with(asked);
        let surplus = if trained { asked.len() - next.opening.len() } else { 0 };
        let opening = if trained { &next.opening } else { asked };
        pieces.push(talk.question(messages.len(), &text[cursor..text.len() - surplus], opening, folded));
    }
    Ok(pieces)
}

const ASSISTANT: &str = "assistant";

/// An answer in the text.
struct Found {
    /// Number of its message, from 0.
    message: usize,
    /// First byte behind the opening.
    start: usize,
    /// First byte behind the content.
    end: usize,
    /// Behind the content, up to and including the end of turn.
    close: String,
    /// Bytes of `close` that are the end of turn itself.
    tail: usize,
}

/// What a template prints of a content that it prints as it is, at most trimmed; the longest first.
fn printed(content: &str) -> [&str; 4] {
    [content, content.trim_end(), content.trim_start(), content.trim()]
}

/// A conversation to be rendered.
struct Talk<'a> {
    template: &'a ChatTemplate,
    messages: &'a [ChatMessage],
    /// Whether an answer is asked for.
    open: bool,
    skeleton: &'a Skeleton,
}

impl Talk<'_> {
    /// The conversation with other contents for the messages that `change` has one for.
    fn with(&self, change: impl Fn(usize, &ChatMessage) -> Option<String>) -> Result<String, Problem> {
        let changed = self.messages.iter().enumerate().map(|(at, old)| match change(at, old) {
            Some(content) => message(&old.role, &content),
            None => old.clone(),
        });
        self.template.render(&changed.collect::<Vec<_>>(), self.open, &Extras::default())
    }

    /// What is printed before an answer. What opens it survives cutting, so the answer is always opened properly.
    fn question(&self, answer: usize, text: &str, opening: &str, folded: Option<usize>) -> Piece {
        let mut piece = Piece::asked(text.to_owned());
        piece.tail = if text.ends_with(opening) { opening.len() } else { 0 };
        for (message, place) in self.contents(answer, text).unwrap_or_default() {
            let system = folded
                .filter(|_| message == 0)
                .filter(|length| text[place.clone()].starts_with(&self.messages[0].content[..*length]));
            if self.messages[message].role == "system" {
                piece.spare.insert(0, place);
            } else if let Some(length) = system {
                let end = place.start + length;
                piece.spare.push(place.start..end);
                piece.question = Some((end + FOLD.len()).min(place.end)..place.end);
            } else {
                piece.spare.extend(piece.question.replace(place));
            }
        }
        piece
    }

    /// Where the contents of messages stand in what is printed before an answer, if all are printed as they are, at
    /// most trimmed.
    fn contents(&self, answer: usize, text: &str) -> Option<Vec<(usize, Range<usize>)>> {
        let (messages, literals) = self.skeleton.before(answer)?;
        let mut at = literals.first().filter(|first| text.starts_with(**first))?.len();
        let mut places = Vec::with_capacity(messages.len());
        for (message, after) in messages.iter().zip(&literals[1..]) {
            let rest = &text[at..];
            let is_last = places.len() + 1 == messages.len();
            let fits = |content: &&str| {
                let next = rest.strip_prefix(*content);
                next.is_some_and(|next| if is_last { next == *after } else { next.starts_with(after) })
            };
            let content = printed(&self.messages.get(*message)?.content).into_iter().find(fits)?;
            places.push((*message, at..at + content.len()));
            at += content.len() + after.len();
        }
        Some(places)
    }

    /// The answers that the text prints, in order.
    fn answers(&self, text: &str) -> Result<Vec<Found>, Problem> {
        let all: Vec<usize> =
            (0..self.messages.len()).filter(|at| self.messages[*at].role == ASSISTANT).collect();
        let Some(first) = all.first().copied() else { return Ok(Vec::new()) };
        let mark = self.unused();
        let is_answer = |at: usize| self.messages[at].role == ASSISTANT;
        let whole = self.with(|at, _| is_answer(at).then(|| mark.to_string()));
        let whole = whole.unwrap_or_default();
        let literals: Vec<&str> = whole.split(mark).collect();
        if literals.len() == all.len() + 1
            && let Some(contents) = self.aligned(text, &all, &literals)
        {
            let found = all.iter().zip(contents).zip(literals.windows(2));
            let found = found.map(|((at, (start, end)), around)| {
                self.found(*at, start - self.own(*at, around[0]), end, around[1])
            });
            return Ok(found.collect());
        }
        // From here on each answer takes a rendering of its own.
        if all.len().saturating_mul(text.len()) > AGAIN {
            return Err(too_long(all.len()));
        }
        let mut found = Vec::new();
        for at in all {
            match self.one(text, at, mark) {
                Some(answer) => found.push(answer),
                // A template that prints nothing of an answer gives nothing to learn; the others are learnt.
                None if self.is_skipped(at, mark) => {}
                None => return Err(lost(at)),
            }
        }
        if found.is_empty() { Err(lost(first)) } else { Ok(found) }
    }

    /// Where the answers stand if the template prints all of them as they are, at most trimmed.
    fn aligned(&self, text: &str, all: &[usize], literals: &[&str]) -> Option<Vec<(usize, usize)>> {
        let mut at = literals.first()?.len();
        if !text.starts_with(literals.first()?) {
            return None;
        }
        if let ([_], [_, after]) = (all, literals) {
            let end = text.len().checked_sub(after.len()).filter(|end| *end >= at)?;
            return text.ends_with(after).then(|| vec![(at, end)]);
        }
        let mut contents = Vec::with_capacity(all.len());
        for (index, after) in all.iter().zip(&literals[1..]) {
            let rest = text.get(at..)?;
            let fits =
                |content: &&str| rest.strip_prefix(*content).is_some_and(|rest| rest.starts_with(after));
            let content = printed(&self.messages[*index].content).into_iter().find(fits)?;
            contents.push((at, at + content.len()));
            at += content.len() + after.len();
        }
        (at == text.len()).then_some(contents)
    }

    /// One answer, found by rendering the conversation with another in its place: what differs is the answer.
    fn one(&self, text: &str, at: usize, mark: char) -> Option<Found> {
        let other = self.with(|index, _| (index == at).then(|| mark.to_string())).ok()?;
        let (before, after) = other.split_once(mark).filter(|(_, after)| !after.contains(mark))?;
        let head = &before[..before.len() - self.own(at, before)];
        if text.starts_with(head) && text.ends_with(after) && head.len() + after.len() <= text.len() {
            return Some(self.found(at, head.len(), text.len() - after.len(), after));
        }
        self.one_looked_into(text, at, mark)
    }

    /// An answer that a template looks into to print other words elsewhere: with a mark at its end or its beginning it
    /// has the same words around it.
    fn one_looked_into(&self, text: &str, at: usize, mark: char) -> Option<Found> {
        let marked = |content: &dyn Fn(&str) -> String| {
            let other = self.with(|index, old| (index == at).then(|| content(&old.content))).ok()?;
            let (before, after) = other.split_once(mark)?;
            let whole = text.strip_prefix(before) == Some(after);
            whole.then(|| (before.to_owned(), after.to_owned()))
        };
        let (before, after) = marked(&|content| format!("{content}{mark}"))?;
        let start = match marked(&|content| format!("{mark}{content}")) {
            Some((head, _)) => head.len() - self.own(at, &head),
            None => self.opened(at).filter(|head| text.starts_with(head.as_str()))?.len(),
        };
        (start <= before.len()).then(|| self.found(at, start, before.len(), &after))
    }

    /// The messages before an answer and its opening, as an answer is asked for.
    fn opened(&self, at: usize) -> Option<String> {
        let mut opened = self.template.render(&self.messages[..at], true, &Extras::default()).ok()?;
        let known = self.skeleton.answer(at)?;
        let surplus = known.asked.as_ref().map_or(0, |asked| asked.len().saturating_sub(known.opening.len()));
        opened.truncate(opened.len().checked_sub(surplus).filter(|end| opened.is_char_boundary(*end))?);
        Some(opened)
    }

    /// An answer between bytes, with what follows it.
    fn found(&self, at: usize, start: usize, end: usize, after: &str) -> Found {
        let known = self.skeleton.answer(at).filter(|known| after.starts_with(&known.close));
        let (close, tail) = match known {
            Some(known) => (known.close.clone(), known.end),
            None => {
                let (length, tail) = closing(after, "", self.template.turn_marks());
                (after[..length].to_owned(), tail)
            }
        };
        Found { message: at, start, end, close, tail }
    }

    /// Bytes at the end of what stands before an answer that are words of the template's own.
    fn own(&self, at: usize, before: &str) -> usize {
        let own = self.skeleton.answer(at).map_or("", |answer| answer.own.as_str());
        if before.ends_with(own) { own.len() } else { 0 }
    }

    /// Whether the template prints nothing of a message, whatever it says, or it says nothing.
    fn is_skipped(&self, at: usize, mark: char) -> bool {
        let other = self.with(|index, _| (index == at).then(|| mark.to_string()));
        self.messages[at].content.trim().is_empty() || other.is_ok_and(|text| !text.contains(mark))
    }

    /// A private character that no message holds.
    fn unused(&self) -> char {
        let held = |char: &char| self.messages.iter().any(|message| message.content.contains(*char));
        ('\u{10_0000}'..='\u{10_FFFD}').rev().find(|char| !held(char)).unwrap_or('\u{10_FFFD}')
    }
}

fn too_long(answers: usize) -> Problem {
    let why = format!(
        "it writes some of the {answers} answers otherwise than they are, and they are too many to find"
    );
    Problem::new(Code::TemplateFailed, format!("The model's chat template failed: {why}."))
        .with("why", why)
        .hint("Choose a built-in template for this model.")
}

fn lost(index: usize) -> Problem {
    Problem::new(
        Code::TemplateAnswerLost,
        format!("The model's chat template does not print message {} as it stands.", index + 1),
    )
    .with("number", index + 1)
    .hint("Choose a built-in template for this model.")
}
