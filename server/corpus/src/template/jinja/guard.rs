//! Lists that a template joins stay small. The engine charges fuel for everything a template makes, except for joining
//! lists with `+`, which it puts off: a list doubled forty times fills the memory before any fuel is spent. So the
//! operands of every `+` that may join lists go through a filter that refuses long ones.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

/// Longest list that is joined to another.
const LONGEST: usize = 10_000;

/// The filter's name; a template cannot give it another meaning.
const FILTER: &str = "__joinable";

/// Words after which another expression begins.
const BETWEEN: [&str; 8] = ["in", "is", "not", "and", "or", "if", "else", "elif"];

/// Adds the filter, and takes away the other ways to join lists.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(FILTER, joinable);
    environment.remove_filter("chain");
    environment.add_filter("sum", sum);
}

fn joinable(value: &Value) -> Result<Value, Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
        || value.len().is_some_and(|n| n <= LONGEST)
    {
        return Ok(value.clone());
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("a list of more than {LONGEST} items is joined to another"),
    ))
}

/// `sum` of numbers; with a list to start from it would join lists.
fn sum(
    state: &State<'_, '_>,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let named = kwargs.get::<Option<Value>>("start")?;
    if start.iter().chain(&named).any(|start| !start.is_number()) {
        return Err(Error::new(ErrorKind::InvalidOperation, "sum adds numbers only"));
    }
    minijinja::filters::sum(state, values, attribute, start, kwargs)
}

/// The source of a template with the filter where lists may be joined.
pub(super) fn guarded(source: &str) -> String {
    let mut inserts = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|found| at + found) {
        let (inside, close) = match source.as_bytes().get(open + 1) {
            Some(b'{') => (open + 2, "}}"),
            Some(b'%') => (open + 2, "%}"),
            Some(b'#') => {
                at = source[open..].find("#}").map_or(source.len(), |end| open + end + 2);
                continue;
            }
            _ => {
                at = open + 1;
                continue;
            }
        };
        let inside = inside + usize::from(source[inside..].starts_with(['-', '+']));
        let tokens = Tokens { source, at: inside, close, depth: 0 }.collect::<Vec<_>>();
        at = tokens.last().map_or(inside, |last| last.end);
        if close == "%}" && tokens.first().is_some_and(|word| word.text(source) == "raw") {
            at = source[at..].find("endraw").map_or(source.len(), |end| at + end);
            continue;
        }
        let tokens = if close == "%}" { tokens.get(1..).unwrap_or_default() } else { &tokens };
        operands(source, tokens, &mut inserts);
    }
    inserts.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(source.len() + inserts.len() * 16);
    let mut done = 0;
    for (at, text) in inserts {
        out.push_str(&source[done..at]);
        out.push_str(&text);
        done = at;
    }
    out + &source[done..]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Word,
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

impl Token {
    fn text(self, source: &str) -> &str {
        &source[self.start..self.end]
    }
}

/// Tokens of one tag, up to its end.
struct Tokens<'s> {
    source: &'s str,
    at: usize,
    close: &'static str,
    depth: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let rest = &self.source[self.at..];
        let start = self.at + rest.len() - rest.trim_start().len();
        let rest = &self.source[start..];
        let first = rest.chars().next()?;
        let ends =
            rest.starts_with(self.close) || (matches!(first, '-' | '+') && rest[1..].starts_with(self.close));
        // Two brackets may close a map within a map.
        if ends && (self.depth == 0 || self.close == "%}") {
            return None;
        }
        match first {
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let (kind, length) = match first {
            '\'' | '"' => (Kind::Text, text_length(rest)),
            '0'..='9' => (Kind::Word, number_length(rest)),
            _ if is_word(first) => (Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            _ => {
                let two = ["==", "!=", "<=", ">=", "**", "//"].iter().any(|sign| rest.starts_with(sign));
                (Kind::Sign, if two { 2 } else { first.len_utf8() })
            }
        };
        self.at = start + length;
        Some(Token { kind, start, end: self.at })
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Bytes of a number; the sign of an exponent belongs to it.
fn number_length(rest: &str) -> usize {
    let plain = rest.find(|c| !is_word(c) && c != '.').unwrap_or(rest.len());
    let exponent = rest[..plain].ends_with(['e', 'E']) && rest[plain..].starts_with(['+', '-']);
    if exponent { plain + 1 + number_length(&rest[plain + 1..]) } else { plain }
}

/// Bytes of a text in quotes.
fn text_length(rest: &str) -> usize {
    let mut chars = rest.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if Some(char) == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// A row of operands joined by `+` or `-`, within one pair of brackets.
#[derive(Default)]
struct Chain {
    operands: Vec<(usize, usize)>,
    open: Option<(usize, usize)>,
    plus: bool,
    text: bool,
}

impl Chain {
    fn take(&mut self, token: Token) {
        self.open = Some((self.open.map_or(token.start, |(start, _)| start), token.end));
    }

    fn close_operand(&mut self) {
        self.operands.extend(self.open.take());
    }

    /// Ends the row. Where a text is joined, lists cannot be.
    fn finish(&mut self, inserts: &mut Vec<(usize, String)>) {
        self.close_operand();
        let chain = std::mem::take(self);
        if chain.plus && !chain.text {
            for (start, end) in chain.operands {
                inserts.push((start, "(".to_owned()));
                inserts.push((end, format!(")|{FILTER}")));
            }
        }
    }
}

fn operands(source: &str, tokens: &[Token], inserts: &mut Vec<(usize, String)>) {
    let mut levels = vec![Chain::default()];
    // Whether an operand may end here, so that a sign after it stands between two.
    let mut ended = false;
    for (index, token) in tokens.iter().enumerate() {
        let text = token.text(source);
        let Some(chain) = levels.last_mut() else { return };
        match (token.kind, text) {
            (_, "(" | "[" | "{") => {
                chain.take(*token);
                levels.push(Chain::default());
                ended = false;
            }
            (_, ")" | "]" | "}") => {
                chain.finish(inserts);
                levels.pop();
                let Some(outer) = levels.last_mut() else { return };
                outer.take(*token);
                ended = true;
            }
            (Kind::Sign, "+" | "-") if ended => {
                chain.close_operand();
                chain.plus |= text == "+";
                ended = false;
            }
            (Kind::Sign, "," | ":" | "=" | "==" | "!=" | "<" | ">" | "<=" | ">=") => {
                chain.finish(inserts);
                ended = false;
            }
            (Kind::Sign, _) => {
                chain.take(*token);
                ended = false;
            }
            (Kind::Word, word) if BETWEEN.contains(&word) || (ended && chain.open.is_some()) => {
                chain.finish(inserts);
                ended = !BETWEEN.contains(&word);
            }
            (Kind::Text, _) => {
                let next = tokens.get(index + 1).map(|next| next.text(source));
                let alone = chain.open.is_none() && !matches!(next, Some("." | "[" | "(" | "|" | "*" | "%"));
                chain.text |= alone;
                chain.take(*token);
                ended = true;
            }
            (Kind::Word, _) => {
                chain.take(*token);
                ended = true;
            }
        }
    }
    while let Some(mut chain) = levels.pop() {
        chain.finish(inserts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_operands_that_may_be_lists_are_guarded() {
        let j = |inner: &str| format!("({inner})|{FILTER}");
        for (source, wanted) in [
            ("{{ a + b }}", format!("{{{{ {} + {} }}}}", j("a"), j("b"))),
            ("{%- set x = x + [y, -1] -%}", format!("{{%- set x = {} + {} -%}}", j("x"), j("[y, -1]"))),
            (
                "{{ f(a|list + b.c[0], k=1) - 2 }}",
                format!("{{{{ f({} + {}, k=1) - 2 }}}}", j("a|list"), j("b.c[0]")),
            ),
            (
                "{% for m in a + b * 2 if m + n == 3 recursive %}",
                format!(
                    "{{% for m in {} + {} if {} + {} == 3 recursive %}}",
                    j("a"),
                    j("b * 2"),
                    j("m"),
                    j("n")
                ),
            ),
            (
                "{% if a[1:] + (b + c) is none %}",
                format!("{{% if {} + {} is none %}}", j("a[1:]"), j(&format!("({} + {})", j("b"), j("c")))),
            ),
        ] {
            assert_eq!(guarded(source), wanted);
        }
        for same in [
            "{{ '<|im_start|>' + m['role'] + '\\n' }}",
            "{{ a ~ b }} a + b {# c + d #}",
            "{{ x is defined and +1 > -2 }}",
            "{%- raw -%}{{ a + b }}{% endraw %}",
            "{{ 1e+5 }}{{- -x -}}",
            "{% for x in y recursive %}",
            "{{ \"it's '}} + \" ~ x }} { + }",
            "{{ 'not closed + a",
        ] {
            assert_eq!(guarded(same), same);
        }
    }
}
