//! What a chat template prints around the contents of messages, whatever they say: found by rendering contents of one
//! character that no text holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use contract::chat::ChatMessage;
use contract::problem::Problem;

use super::{ChatTemplate, Extras};
use crate::template::limits::{APART, REMEMBERED_MESSAGES};
use crate::template::message;

/// Shapes of conversations remembered.
const REMEMBERED: usize = 512;

/// Skeletons by the roles of their messages.
#[derive(Debug, Default)]
pub(super) struct Skeletons(Mutex<HashMap<Vec<String>, Arc<Skeleton>>>);

impl Skeletons {
    /// The skeleton of a conversation with these roles. A template that refuses contents of one character has an
    /// empty one.
    pub(super) fn of(&self, template: &ChatTemplate, roles: Vec<String>) -> Arc<Skeleton> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&roles) {
            return Arc::clone(found);
        }
        let made = Arc::new(Skeleton::render(template, &roles).unwrap_or_default());
        let mut known = known();
        if known.len() < REMEMBERED && roles.len() <= REMEMBERED_MESSAGES {
            known.insert(roles, Arc::clone(&made));
        }
        made
    }
}

/// What is printed around contents.
#[derive(Debug, Default)]
pub(super) struct Skeleton {
    /// Messages in the order their contents are printed.
    order: Vec<usize>,
    /// Where in that order each message that is printed stands first.
    places: HashMap<usize, usize>,
    /// Text before the first content, between contents, and behind the last.
    literals: Vec<String>,
    /// The answers that are printed, by the number of their message.
    answers: BTreeMap<usize, Answer>,
}

/// What is printed around an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// From the content before to where the model goes on by itself.
    pub(super) opening: String,
    /// Words of the template's own between the opening and the content.
    pub(super) own: String,
    /// How the template opens an answer that is asked for (`add_generation_prompt`), where it follows the same content.
    pub(super) asked: Option<String>,
    /// Behind the content, up to and including the end of turn; empty where the template ends no turns.
    pub(super) close: String,
    /// Bytes of `close` that are the end of turn itself.
    pub(super) end: usize,
}

impl Skeleton {
    fn render(template: &ChatTemplate, roles: &[String]) -> Result<Self, Problem> {
        let messages: Option<Vec<ChatMessage>> =
            roles.iter().enumerate().map(|(at, role)| Some(message(role, &mark(at)?.to_string()))).collect();
        let Some(messages) = messages else { return Ok(Self::default()) };
        let (order, literals) = split(&template.render(&messages, false, &Extras::default())?);
        let mut places = HashMap::with_capacity(order.len());
        for (place, message) in order.iter().enumerate() {
            places.entry(*message).or_insert(place);
        }
        let mut skeleton = Self { order, places, literals, answers: BTreeMap::new() };
        // A long conversation is not rendered once for each of its answers: those that stand like an earlier one, behind
        // a message of the same role, are opened like it.
        let mut alike: HashMap<(String, String, String), Answer> = HashMap::new();
        let answers = (0..roles.len()).filter(|at| roles[*at] == "assistant");
        for (number, at) in answers.enumerate() {
            let Some(around) = skeleton.around(roles, at) else { continue };
            let found = alike.get(&around).filter(|_| number >= APART).cloned();
            if let Some(answer) = found.or_else(|| skeleton.answer_of(template, &messages, at)) {
                alike.insert(around, answer.clone());
                skeleton.answers.insert(at, answer);
            }
        }
        Ok(skeleton)
    }

    /// What is printed before and behind an answer, and the role of the message printed before it.
    fn around(&self, roles: &[String], at: usize) -> Option<(String, String, String)> {
        let place = *self.places.get(&at)?;
        let role = place.checked_sub(1).and_then(|before| roles.get(*self.order.get(before)?));
        let literal = |place: usize| self.literals.get(place).cloned();
        Some((role.cloned().unwrap_or_default(), literal(place)?, literal(place + 1)?))
    }

    /// What is printed around contents, and from a content to where an answer begins; without words of the template's
    /// own in answers.
    pub(super) fn printed(&self) -> (Vec<&str>, Vec<&str>) {
        let opens = |place: usize| self.order.get(place).and_then(|message| self.answers.get(message));
        let (mut around, mut openings) = (Vec::new(), Vec::new());
        for (place, literal) in self.literals.iter().enumerate() {
            match opens(place) {
                Some(answer) => openings.push(answer.opening.as_str()),
                None => around.push(literal.as_str()),
            }
        }
        (around, openings)
    }

    /// Messages whose contents stand between the answer before and answer `at`, and what is printed around them, up to
    /// where that answer begins.
    pub(super) fn before(&self, at: usize) -> Option<(&[usize], Vec<&str>)> {
        let place = *self.places.get(&at)?;
        let is_answer = |place: &usize| self.answers.contains_key(&self.order[*place]);
        let last = (0..place).rev().find(is_answer);
        let first = last.map_or(0, |last| last + 1);
        let mut literals: Vec<&str> = self.literals[first..=place].iter().map(String::as_str).collect();
        *literals.last_mut()? = &self.answers.get(&at)?.opening;
        if let Some(close) =
            last.and_then(|last| self.answers.get(&self.order[last])).map(|answer| &answer.close)
        {
            literals[0] = literals[0].strip_prefix(close.as_str())?;
        }
        Some((&self.order[first..place], literals))
    }

    /// The answer that is message `at`, where the template prints it.
    pub(super) fn answer(&self, at: usize) -> Option<&Answer> {
        self.answers.get(&at)
    }

    fn answer_of(&self, template: &ChatTemplate, messages: &[ChatMessage], at: usize) -> Option<Answer> {
        let place = *self.places.get(&at)?;
        let before = &self.literals[place];
        let previous = place.checked_sub(1).map(|place| self.order[place]);
        let tail = |open: bool| {
            let text = template.render(&messages[..at], open, &Extras::default()).ok()?;
            let (order, mut literals) = split(&text);
            literals.pop().filter(|_| order.last().copied() == previous)
        };
        let asked = tail(true);
        let opened = match &asked {
            Some(asked) => opening(before, asked, template.turn_marks(), || tail(false)),
            None => before.len(),
        };
        let (close, end) = closing(&self.literals[place + 1], self.literals.last()?, template.turn_marks());
        Some(Answer {
            opening: before[..opened].to_owned(),
            own: before[opened..].to_owned(),
            asked,
            close: self.literals[place + 1][..close].to_owned(),
            end,
        })
    }
}

/// The character that stands for a content.
fn mark(at: usize) -> Option<char> {
    let at = u32::try_from(at).ok()?;
    let (plane, place) = (at / PLANE, at % PLANE);
    (plane < 2).then(|| char::from_u32(FIRST + plane * 0x1_0000 + place)).flatten()
}

/// First character of Unicode's private planes, and how many each holds.
const FIRST: u32 = 0xF_0000;
const PLANE: u32 = 0xFFFE;

/// The messages whose characters a text holds, and what stands around them.
fn split(text: &str) -> (Vec<usize>, Vec<String>) {
    let (mut order, mut literals) = (Vec::new(), vec![String::new()]);
    for char in text.chars() {
        match u32::from(char).checked_sub(FIRST) {
            Some(code) => {
                order.push((code / 0x1_0000 * PLANE + code % 0x1_0000) as usize);
                literals.push(String::new());
            }
            None => literals.last_mut().into_iter().for_each(|text| text.push(char)),
        }
    }
    (order, literals)
}

/// Bytes of what trained answers begin with that the model is given when it is asked: as much as both have in common,
/// up to the last mark or line of it. Where they share no opening, a trained answer begins with its content.
fn opening(trained: &str, asked: &str, marks: &[String], unopened: impl FnOnce() -> Option<String>) -> usize {
    if trained.starts_with(asked) {
        return asked.len();
    }
    let common = common_start(trained, asked);
    if common == trained.len() {
        return common;
    }
    let ends = |at: &usize| {
        let head = trained.get(..*at).unwrap_or_default();
        head.ends_with('\n') || marks.iter().any(|mark| head.ends_with(mark.as_str()))
    };
    let least = unopened().map_or(0, |text| common_start(&text, asked));
    (least + 1..=common).rev().find(ends).unwrap_or(trained.len())
}

fn common_start(one: &str, other: &str) -> usize {
    let pairs = one.chars().zip(other.chars());
    pairs.take_while(|(one, other)| one == other).map(|(char, _)| char.len_utf8()).sum()
}

/// Bytes of what follows an answer up to and including its end of turn, and those of the end of turn alone. `last` is
/// what follows the last answer. Words that are no token end a turn where they follow every answer.
pub(super) fn closing(after: &str, last: &str, marks: &[String]) -> (usize, usize) {
    let longest = |text: &str| {
        let found = marks.iter().filter(|mark| text.starts_with(mark.as_str()));
        found.map(String::len).max()
    };
    let space = after.len() - after.trim_start().len();
    if let Some(length) = longest(&after[space..]) {
        return (space + length, length);
    }
    let first =
        last.char_indices().find_map(|(at, _)| longest(&last[at..]).map(|length| (at + length, length)));
    if let Some((end, length)) = first.filter(|(end, _)| after.starts_with(&last[..*end])) {
        return (end, length);
    }
    let words = last.trim_end();
    if after.starts_with(words) { (words.len(), words.trim_start().len()) } else { (0, 0) }
}
