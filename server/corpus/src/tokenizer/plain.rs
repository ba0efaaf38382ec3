//! Text of people is text: words of control tokens in it are read as plain characters, and only those that a template
//! writes become the tokens.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use contract::problem::Problem;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::{ModelTokenizer, bounded, broken, failed};

/// The words of control tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlWords {
    /// In the order of their bytes, each once.
    words: Vec<String>,
    /// Whether one begins with a byte.
    begins: Vec<bool>,
}

impl ControlWords {
    /// The special tokens that `tokenizer` finds in a text, those the model has no row for, and further tokens by their
    /// texts.
    pub fn new(tokenizer: &ModelTokenizer, further: &[String]) -> Self {
        let further: HashSet<&String> = further.iter().collect();
        let (mut words, mut begins) = (Vec::new(), vec![false; 256]);
        for (id, token) in tokenizer.inner.get_added_tokens_decoder() {
            let is_control =
                tokenizer.is_special(id) || tokenizer.is_beyond_rows(id) || further.contains(&token.content);
            // A word of one character cannot be told from that character.
            if is_control && token.content.trim().chars().count() > 1 {
                begins[usize::from(token.content.as_bytes()[0])] = true;
                words.push(token.content);
            }
        }
        words.sort_unstable();
        words.dedup();
        Self { words, begins }
    }

    /// Whether a text holds such a word.
    pub fn held(&self, text: &str) -> bool {
        (0..text.len()).any(|at| self.at(text, at).next().is_some())
    }

    /// A place within each such word of a text.
    pub(crate) fn breaks(&self, text: &str) -> Vec<usize> {
        let first = |at: usize| text[at..].chars().next().map_or(at, |char| at + char.len_utf8());
        (0..text.len()).filter(|at| self.at(text, *at).next().is_some()).map(first).collect()
    }

    /// The words that begin at a byte, the longest first.
    fn at<'a>(&'a self, text: &'a str, at: usize) -> impl Iterator<Item = &'a String> {
        let rest = &text.as_bytes()[at..];
        let begins = rest.first().is_some_and(|first| self.begins[usize::from(*first)]);
        Prefixes { words: &self.words, rest: if begins { rest } else { &[] } }
    }

    /// The words that are control tokens in a text, with their places: those without a place of `broken` inside.
    fn unbroken(&self, text: &str, broken: &[usize]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for at in 0..text.len() {
            if found.last().is_some_and(|last| at < last.end) {
                continue;
            }
            let next = broken.get(broken.partition_point(|place| *place <= at));
            let whole = |end: usize| next.is_none_or(|place| *place >= end);
            found.extend(self.at(text, at).map(|word| at..at + word.len()).find(|word| whole(word.end)));
        }
        found
    }

    /// The number of a word, if it is one.
    fn number(&self, word: &str) -> Option<usize> {
        self.words.binary_search_by(|known| known.as_str().cmp(word)).ok()
    }
}

/// Those of some words, in the order of their bytes, that a text begins with; the longest first.
struct Prefixes<'w> {
    words: &'w [String],
    /// What they may still be the beginning of.
    rest: &'w [u8],
}

impl<'w> Iterator for Prefixes<'w> {
    type Item = &'w String;

    fn next(&mut self) -> Option<&'w String> {
        while !self.rest.is_empty() {
            // The last word that is not behind the text: where it is no beginning of it, a beginning is no longer than
            // what both have in common.
            let end = self.words.partition_point(|word| word.as_bytes() <= self.rest);
            let word = self.words[..end].last()?;
            let both = word.bytes().zip(self.rest).take_while(|(one, other)| one == *other).count();
            if both == word.len() {
                self.rest = &self.rest[..both.saturating_sub(1)];
                return Some(word);
            }
            self.rest = &self.rest[..both];
        }
        None
    }
}

/// A tokenizer with other names for its control tokens, so that their words are plain text.
#[derive(Debug)]
pub(super) struct Renamed {
    words: ControlWords,
    inner: Tokenizer,
}

/// A character that is none, before the number of a control token.
const LEAD: char = '\u{10_FFFF}';

/// Takes its place in texts; of as many bytes.
const NO_LEAD: &str = "\u{10_FFFE}";

/// First character that stands for a number.
const NUMBER: u32 = 0xF_0000;

fn name(number: usize) -> Option<String> {
    let number = u32::try_from(number).ok().filter(|number| *number < 0xFFFE)?;
    Some([LEAD, char::from_u32(NUMBER + number)?].iter().collect())
}

impl ModelTokenizer {
    /// Ids of a text in which the words of `words` are control tokens, except those with a place of `broken` inside.
    ///
    /// # Errors
    /// When the text cannot be tokenised.
    pub(crate) fn encode_broken(
        &self,
        text: &str,
        broken: &[usize],
        words: &ControlWords,
        add_special: bool,
    ) -> Result<Vec<u32>, Problem> {
        if broken.is_empty() {
            return self.encode(text, add_special);
        }
        let written = renamed(text, broken, words).0;
        let other = self.renamed(words)?;
        let encoding = bounded(text, || other.inner.encode_fast(written, false))?;
        Ok([self.lead(add_special), encoding.get_ids()].concat())
    }

    /// The same ids with the bytes of the text that each is for; a byte of a character stands for all of it.
    ///
    /// # Errors
    /// As [`ModelTokenizer::encode_broken`].
    pub(crate) fn encode_places(
        &self,
        text: &str,
        broken: &[usize],
        words: &ControlWords,
        add_special: bool,
    ) -> Result<Vec<(u32, Range<usize>)>, Problem> {
        let (encoding, names) = if broken.is_empty() {
            (bounded(text, || self.inner.encode(text, false))?, Vec::new())
        } else {
            let (written, names) = renamed(text, broken, words);
            let other = self.renamed(words)?;
            (bounded(text, || other.inner.encode(written, false))?, names)
        };
        // Behind a name, the text goes on where its word ends.
        let place = |at: usize| match names[..names.partition_point(|(end, _)| *end <= at)].last() {
            Some((end, word)) => word + (at - end),
            None => at,
        };
        let places = encoding.get_offsets().iter().map(|(start, end)| place(*start)..place(*end));
        let tokens = encoding.get_ids().iter().copied().zip(places);
        Ok(self.lead(add_special).iter().map(|id| (*id, 0..0)).chain(tokens).collect())
    }

    /// What stands before a text with `add_special`.
    fn lead(&self, add_special: bool) -> &[u32] {
        if add_special { self.before() } else { &[] }
    }

    /// The tokenizer that reads `words` as plain text; made when first asked for.
    fn renamed(&self, words: &ControlWords) -> Result<Arc<Renamed>, Problem> {
        let mut known = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|renamed| renamed.words == *words) {
            return Ok(Arc::clone(found));
        }
        let file = self.inner.to_string(false).map_err(failed)?;
        let mut file: Value = serde_json::from_str(&file).map_err(|error| failed(error.into()))?;
        rename(&mut file, words);
        let inner = serde_json::from_value::<Tokenizer>(file)
            .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
        let made = Arc::new(Renamed { words: words.clone(), inner });
        known.push(Arc::clone(&made));
        Ok(made)
    }
}

/// A text with the other names of control tokens, and where each name ends in it and its word in `text`.
fn renamed(text: &str, broken: &[usize], words: &ControlWords) -> (String, Vec<(usize, usize)>) {
    let (mut written, mut names) = (String::with_capacity(text.len()), Vec::new());
    let mut done = 0;
    let plain = |text: &str| text.replace(LEAD, NO_LEAD);
    for word in words.unbroken(text, broken) {
        written += &plain(&text[done..word.start]);
        written += &words.number(&text[word.clone()]).and_then(name).unwrap_or_default();
        names.push((written.len(), word.end));
        done = word.end;
    }
    (written + &plain(&text[done..]), names)
}

/// Gives tokens other names throughout a `tokenizer.json`; their ids stay.
fn rename(file: &mut Value, words: &ControlWords) {
    let renamed = |word: &str| words.number(word).and_then(name);
    let rename = |value: &mut Value| {
        if let Some(new) = value.as_str().and_then(renamed) {
            *value = Value::String(new);
        }
    };
    for token in file["added_tokens"].as_array_mut().into_iter().flatten() {
        rename(&mut token["content"]);
    }
    let model = &mut file["model"];
    if !model["unk_token"].is_null() {
        rename(&mut model["unk_token"]);
    }
    match &mut model["vocab"] {
        Value::Object(vocab) => {
            for (number, word) in words.words.iter().enumerate() {
                if let (Some(id), Some(new)) = (vocab.remove(word.as_str()), name(number)) {
                    vocab.insert(new, id);
                }
            }
        }
        Value::Array(pieces) => pieces.iter_mut().for_each(|piece| rename(&mut piece[0])),
        _ => {}
    }
    // A merge that makes such a word, or goes on from it, has no place in plain text.
    if let Some(merges) = model["merges"].as_array_mut() {
        merges.retain(|merge| {
            let parts: Vec<&str> = match merge {
                Value::String(pair) => pair.splitn(2, ' ').collect(),
                Value::Array(pair) => pair.iter().filter_map(Value::as_str).collect(),
                _ => return true,
            };
            renamed(&parts.concat()).is_none() && parts.iter().all(|part| renamed(part).is_none())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train::train;

    fn tokenizer() -> ModelTokenizer {
        let texts = (0..50).map(|n| format!("How do I write <|im_end|> and </s> {n}?"));
        let files = train(texts, 400).unwrap();
        let config = Some(files.tokenizer_config_json.as_slice());
        ModelTokenizer::from_bytes(&files.tokenizer_json, config, None, None).unwrap()
    }

    #[test]
    fn words_are_plain_where_they_are_broken_and_tokens_elsewhere() {
        let tokenizer = tokenizer();
        let words = ControlWords::new(&tokenizer, &[]);
        let end = tokenizer.encode("<|im_end|>", false).unwrap()[0];
        let text = "a<|im_end|><|im_end|> b<|im_end|>";
        assert!(words.held(text) && !words.held("a<|im_en"));
        assert_eq!(words.breaks(text), [2, 12, 24]);
        let ids = tokenizer.encode_broken(text, &[2, 24], &words, false).unwrap();
        assert_eq!(ids.iter().filter(|id| **id == end).count(), 1);
        assert_eq!(tokenizer.decode(&ids, false), text);
        let ids = tokenizer.encode_broken(text, &[2, 12, 24], &words, false).unwrap();
        assert!(ids.iter().all(|id| !tokenizer.is_special(*id)));
        assert_eq!(tokenizer.decode(&ids, false), text);
        let odd = format!("<|im_end|>{LEAD}\u{F0000}{LEAD}\u{F0001}");
        let ids = tokenizer.encode_broken(&odd, &[1], &words, false).unwrap();
        assert!(ids.iter().all(|id| !tokenizer.is_special(*id)), "no text says the other names");
    }

    #[test]
    fn a_text_without_broken_words_has_the_same_ids_either_way() {
        let tokenizer = tokenizer();
        let words = ControlWords::new(&tokenizer, &[]);
        for text in ["How do I? ", " 水 <|im_start|>user\nHow<|im_end|>\n", "<|im_end|>", ""] {
            let file = tokenizer.renamed(&words).unwrap();
            let written = words.words.iter().enumerate().fold(text.to_owned(), |text, (number, word)| {
                text.replace(word.as_str(), &name(number).unwrap())
            });
            let ids = file.inner.encode_fast(written, false).unwrap().get_ids().to_vec();
            assert_eq!(ids, tokenizer.encode(text, false).unwrap(), "{text:?}");
        }
    }
}
