//! Where JSON values end, and what the members of an object are, without parsing them.

use super::shape::{Kind, Member};
use crate::source::limits::MEMBERS_LOOKED_AT;

/// Whether a value goes on.
pub(super) enum Step {
    More,
    /// The byte belongs to the value and ends it.
    Last,
    /// The byte does not belong to the value.
    Stop,
}

/// Counts brackets outside strings.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    pub(super) fn step(&mut self, byte: u8) -> Step {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Step::Last;
                    }
                }
                _ => {}
            }
            return Step::More;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth <= 1 => {
                return if self.depth == 1 { Step::Last } else { Step::Stop };
            }
            b'}' | b']' => self.depth -= 1,
            b',' if self.depth == 0 => return Step::Stop,
            _ => {}
        }
        Step::More
    }
}

/// Names that the objects of a conversation begin with.
const OF_MESSAGES: [&str; 6] = ["role", "content", "from", "value", "name", "weight"];

/// The members of an object in order, up to where the text ends or breaks; the first [`MEMBERS_LOOKED_AT`] of many.
pub(super) fn members(object: &[u8]) -> Vec<Member> {
    let mut found = Vec::new();
    let mut rest = object.trim_ascii_start().strip_prefix(b"{").unwrap_or_default();
    while found.len() < MEMBERS_LOOKED_AT
        && let Some((name, after)) = name(rest)
    {
        let Some(value) = after.trim_ascii_start().strip_prefix(b":") else { break };
        let value = value.trim_ascii_start();
        let Some(kind) = kind(value) else { break };
        let first = value.strip_prefix(b"{").and_then(|inside| Some(self::name(inside)?.0));
        found.push(Member { name, kind, first });
        let end = value_end(value);
        let Some(next) = value[end..].trim_ascii_start().strip_prefix(b",") else { break };
        rest = next;
    }
    found
}

/// A string at the start of a text, and what follows it.
fn name(text: &[u8]) -> Option<(String, &[u8])> {
    let text = text.trim_ascii_start();
    if text.first() != Some(&b'"') {
        return None;
    }
    let end = value_end(text);
    Some((serde_json::from_slice(&text[..end]).ok()?, &text[end..]))
}

fn value_end(text: &[u8]) -> usize {
    let mut scan = Scan::default();
    for (at, byte) in text.iter().enumerate() {
        match scan.step(*byte) {
            Step::More => {}
            Step::Last => return at + 1,
            Step::Stop => return at,
        }
    }
    text.len()
}

fn kind(value: &[u8]) -> Option<Kind> {
    let (first, inside) = value.split_first()?;
    let inside = inside.trim_ascii_start();
    Some(match (first, inside.first()?) {
        (b'[', b']') => Kind::Nothing,
        (b'[', b'{') => match name(&inside[1..]) {
            Some((name, _)) if OF_MESSAGES.contains(&name.as_str()) => Kind::Talk,
            _ => Kind::Objects,
        },
        (b'[', _) => Kind::List,
        (b'{', _) => match name(inside) {
            Some((name, _)) if name.bytes().all(|byte| byte.is_ascii_digit()) => Kind::Numbered,
            _ => Kind::Object,
        },
        _ => Kind::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_by_how_they_begin() {
        let text = br#" { "a\"b" : [ { "q": 1 } ], "c":[{"role":"user"}],"d":["{"],"e":[],"f":{"0":1},"g":{"x":{}},"h":"}"}"#;
        let found = members(text);
        let kinds: Vec<Kind> = found.iter().map(|member| member.kind).collect();
        use Kind::{List, Nothing, Numbered, Object, Objects, Plain, Talk};
        assert_eq!(kinds, [Objects, Talk, List, Nothing, Numbered, Object, Plain]);
        assert_eq!((found[0].name.as_str(), found[5].first.as_deref()), ("a\"b", Some("x")));
        let cut = members(br#"{"a":[{"q":1},{"q""#);
        assert_eq!((cut.len(), cut[0].kind), (1, Objects));
        assert!(members(b"{").is_empty());
    }
}
