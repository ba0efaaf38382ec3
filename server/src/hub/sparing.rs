//! Parts of a hub's answer, read without keeping what is not used: an answer of some megabytes may hold values that take
//! a hundred times as much.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The first `MOST` of a list.
#[derive(Debug)]
pub(super) struct Few<T, const MOST: usize> {
    /// The first.
    pub(super) kept: Vec<T>,
    /// Whether there were more.
    pub(super) more: bool,
}

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self { kept: Vec::new(), more: false }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Reader<T, MOST> {
            type Value = Few<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Few::default();
                while few.kept.len() < MOST {
                    let Some(one) = list.next_element()? else { return Ok(few) };
                    few.kept.push(one);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    few.more = true;
                }
                Ok(few)
            }
        }

        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// Whether a repository is gated: the hub says `false`, `true`, `"auto"` or `"manual"`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gated(pub(super) bool);

impl<'de> Deserialize<'de> for Gated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Word).map(|word| Self(!matches!(word, Said::Nothing | Said::No)))
    }
}

/// A license, where it is one word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct License(pub(super) Option<String>);

impl<'de> Deserialize<'de> for License {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = deserializer.deserialize_any(Word)?;
        Ok(Self(if let Said::Text(text) = word { Some(text) } else { None }))
    }
}

enum Said {
    Nothing,
    No,
    Text(String),
    Other,
}

/// Reads any value and keeps it if it is a word.
struct Word;

impl<'de> Visitor<'de> for Word {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Said, E> {
        Ok(if yes { Said::Other } else { Said::No })
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Said, E> {
        Ok(Said::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Said, E> {
        Ok(Said::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Said, E> {
        Ok(Said::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_are_read_over() {
        let gated = |text: &str| serde_json::from_str::<Gated>(text).expect(text).0;
        assert!(
            !gated("false") && !gated("null") && gated("true") && gated("\"auto\"") && gated("[1,{\"a\":2}]")
        );
        let license = |text: &str| serde_json::from_str::<License>(text).expect(text).0;
        assert_eq!(license("\"mit\"").as_deref(), Some("mit"));
        for odd in ["null", "7", "-1.5", "[\"mit\"]", "{\"a\":[]}", "true"] {
            assert_eq!(license(odd), None, "{odd}");
        }
    }

    #[test]
    fn of_a_long_list_the_first_are_kept() {
        let few: Few<u8, 2> = serde_json::from_str("[1,2,3,4]").expect("a list");
        assert_eq!((few.kept, few.more), (vec![1, 2], true));
        let few: Few<u8, 2> = serde_json::from_str("[1,2]").expect("a list");
        assert_eq!((few.kept, few.more), (vec![1, 2], false));
    }
}
