//! How much longer a tokenizer makes a text, found in its file before any text goes through it: steps that each write
//! two characters for one make a billion of one.

use std::fmt;

use contract::problem::Problem;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::broken;
use super::limits::{ADDED, AFFIX, GROWTH, HIGHEST_ID, PREPENDED, STEPS, WORD};

/// The parts of a `tokenizer.json` that may make a text longer or take long.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Added {
    content: String,
    id: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Model {
    vocab: Highest,
    max_input_chars_per_word: Option<u64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

/// The highest id of a vocabulary by name; 0 of a list, whose ids are its places.
#[derive(Debug, Default)]
struct Highest(u64);

impl<'de> Deserialize<'de> for Highest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = Highest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Highest, A::Error> {
                let mut highest = 0;
                while let Some((_, id)) = map.next_entry::<IgnoredAny, u64>()? {
                    highest = highest.max(id);
                }
                Ok(Highest(highest))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Highest, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Highest(0))
            }

            fn visit_unit<E>(self) -> Result<Highest, E> {
                Ok(Highest(0))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

/// Refuses a tokenizer that makes texts, or what is decoded, far longer than they are, or takes far too long for them.
///
/// # Errors
/// `tokenizer.broken` with what is wrong.
pub(super) fn check(tokenizer_json: &[u8]) -> Result<(), Problem> {
    let refused = |why: &str| Err(broken("tokenizer.json", why));
    let parts: Parts = serde_json::from_slice(tokenizer_json)
        .map_err(|error| broken("tokenizer.json", &error.to_string()))?;
    let [normalizer, pre_tokenizer, post_processor, decoder] =
        [&parts.normalizer, &parts.pre_tokenizer, &parts.post_processor, &parts.decoder].map(Growth::of);
    let before = normalizer.factor * pre_tokenizer.factor;
    let steps = [&normalizer, &pre_tokenizer, &post_processor, &decoder].map(|part| part.steps);
    if steps.into_iter().any(|steps| steps > STEPS) {
        return refused("it changes a text in too many steps");
    }
    if before > GROWTH || decoder.factor > GROWTH {
        return refused("it makes every text many times as long");
    }
    if [&normalizer, &pre_tokenizer, &decoder].into_iter().any(|part| part.prepended > PREPENDED) {
        return refused("it puts a long text before every text");
    }
    if post_processor.texts > 1 {
        return refused("it repeats every text");
    }
    if parts.added_tokens.iter().any(|token| token.content.len() > ADDED) {
        return refused("one of its added tokens is too long");
    }
    let added = parts.added_tokens.iter().filter_map(|token| token.id.as_u64()).max().unwrap_or(0);
    if parts.model.vocab.0.max(added) > HIGHEST_ID {
        return refused("one of its ids is too high");
    }
    let affixes = [&parts.model.continuing_subword_prefix, &parts.model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| affix.len() > AFFIX) {
        return refused("it puts a long text on parts of words");
    }
    if parts.model.max_input_chars_per_word.is_some_and(|most| most > WORD) {
        return refused("it looks up words that are too long");
    }
    Ok(())
}

/// What a part with all parts inside it does to a text, at most.
#[derive(Debug)]
struct Growth {
    factor: f64,
    prepended: usize,
    steps: usize,
    /// Most times that one of its templates writes the text.
    texts: usize,
}

impl Growth {
    fn of(part: &Value) -> Self {
        let mut growth = Self { factor: 1.0, prepended: 0, steps: 0, texts: 0 };
        growth.add(part);
        growth
    }

    /// Parts are told by what they hold; some writers leave out the name of their kind.
    fn add(&mut self, part: &Value) {
        match part {
            Value::Array(parts) => parts.iter().for_each(|part| self.add(part)),
            Value::Object(map) => {
                self.steps += usize::from(map.contains_key("type"));
                self.factor *= own_factor(part);
                let prepended = part.get("prepend").and_then(Value::as_str).map_or(0, str::len);
                self.prepended += prepended;
                let pieces = part.get("single").and_then(Value::as_array).into_iter().flatten();
                let texts = pieces.filter(|piece| piece.get("Sequence").is_some()).count();
                self.texts = self.texts.max(texts);
                // What is put around a text is looked at when it is there.
                let inner = map
                    .iter()
                    .filter(|(key, _)| !["single", "pair", "special_tokens"].contains(&key.as_str()));
                inner.for_each(|(_, inner)| self.add(inner));
            }
            _ => {}
        }
    }
}

/// How often as long a part by itself makes a text, at most.
fn own_factor(part: &Value) -> f64 {
    let bytes = |key: &str| part.get(key).and_then(Value::as_str).map(|text| text.len() as f64);
    if part.get("type").and_then(Value::as_str) == Some("ByteLevel") {
        // Every byte becomes a character of one or two.
        return 2.0;
    }
    if let (Some(pattern), Some(content)) = (part.get("pattern"), bytes("content")) {
        let plain =
            pattern.get("String").or(Some(pattern)).and_then(Value::as_str).filter(|text| !text.is_empty());
        return match plain {
            Some(plain) => (content / plain.len() as f64).max(1.0),
            // A pattern may find nothing at all, before every character.
            None => 1.0 + content,
        };
    }
    bytes("replacement").unwrap_or(1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replace(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    fn checked(key: &str, part: Value) -> Result<(), Problem> {
        check(json!({key: part}).to_string().as_bytes())
    }

    #[test]
    fn n9_ids_are_no_higher_than_what_counts_up_to_them_may_take() {
        let refused = |file: Value| check(file.to_string().as_bytes()).is_err();
        for id in [HIGHEST_ID + 1, u64::from(u32::MAX), u64::MAX] {
            assert!(refused(json!({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": id}}})), "{id}");
            assert!(refused(json!({"model": {}, "added_tokens": [{"id": id, "content": "x"}]})), "{id}");
        }
        assert!(
            refused(json!({"model": {"vocab": {"a": -1}}}))
                && refused(json!({"model": {"vocab": {"a": 1.5}}}))
        );
        assert!(!refused(json!({"model": {"vocab": {"a": HIGHEST_ID}}})));
        assert!(!refused(json!({"model": {"type": "Unigram", "vocab": [["a", -1.0]]}})));
    }

    #[test]
    fn what_published_tokenizers_do_is_let_through() {
        let sentencepiece = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]});
        assert!(checked("normalizer", sentencepiece).is_ok());
        let regex = json!({"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]});
        assert!(checked("normalizer", regex).is_ok());
        let level = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]});
        assert!(checked("pre_tokenizer", level).is_ok());
        let around = json!({"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
        assert!(checked("post_processor", around).is_ok());
        assert!(checked("model", json!({"type": "WordPiece", "max_input_chars_per_word": 100})).is_ok());
    }

    #[test]
    fn what_makes_texts_longer_over_and_over_is_refused() {
        let double = |kind: &str| json!({"type": "Sequence", kind: vec![replace("a", "aa"); 40]});
        let nothing = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "aaaaaaaaaaaaaaaaaaaa"});
        let template = json!({"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
        for (key, part) in [
            ("normalizer", double("normalizers")),
            ("decoder", double("decoders")),
            ("normalizer", replace("a", &"a".repeat(1000))),
            ("normalizer", replace("", &"a".repeat(1000))),
            ("normalizer", nothing),
            ("normalizer", json!({"pattern": {"String": "a"}, "content": "a".repeat(1000)})),
            ("normalizer", json!({"type": "Prepend", "prepend": "a".repeat(1000)})),
            (
                "pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 30]}),
            ),
            (
                "pre_tokenizer",
                json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "Digits"}); 300]}),
            ),
            ("post_processor", template.clone()),
            ("post_processor", json!({"type": "Sequence", "processors": [template]})),
            ("added_tokens", json!([{"content": "a".repeat(2000)}])),
            ("model", json!({"type": "WordPiece", "max_input_chars_per_word": 1_000_000_000})),
            ("model", json!({"type": "BPE", "end_of_word_suffix": "a".repeat(1000)})),
        ] {
            let problem = checked(key, part).expect_err(key);
            assert_eq!(problem.code, contract::Code::TokenizerBroken);
        }
    }
}
