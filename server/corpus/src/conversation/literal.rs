//! Python literals as data: what `repr` writes of lists and dicts, read and never evaluated.

use serde_json::{Map, Number, Value};

/// Levels of nesting at most.
const DEPTH: usize = 32;

/// Reads one literal: lists, tuples, dicts with text keys, texts, numbers, `True`, `False`, `None`, and numpy's
/// `array([…], dtype=object)`, whose items may stand without commas. `None` when the text is anything else.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(0)?;
    reader.rest.trim_start().is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes the word if it comes next, blanks before it aside.
    fn take(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        self.skip_space();
        match self.rest.chars().next()? {
            '[' => self.items('[', ']', depth),
            '(' => self.items('(', ')', depth),
            '{' => self.dict(depth),
            '\'' | '"' => self.text().map(Value::String),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => self.word(depth),
        }
    }

    fn word(&mut self, depth: usize) -> Option<Value> {
        if self.take("array(") {
            let items = self.items('[', ']', depth)?;
            while self.take(",") {
                if self.take("dtype=") {
                    let name = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
                    self.rest = &self.rest[name..];
                }
            }
            return self.take(")").then_some(items);
        }
        let known = [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)];
        let (word, value) = known.into_iter().find(|(word, _)| self.rest.starts_with(word))?;
        self.rest = &self.rest[word.len()..];
        Some(value)
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Option<Value> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(open)?;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            // numpy writes dicts and lists one below the other, without commas.
            let bare = items.last().is_some_and(|item| item.is_object() || item.is_array());
            let another = self.take(",") || (bare && self.rest.starts_with(['{', '[']));
            if !another {
                self.rest = self.rest.strip_prefix(close)?;
                return Some(Value::Array(items));
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.rest = self.rest.strip_prefix('{')?;
        let mut map = Map::new();
        loop {
            if self.take("}") {
                return Some(Value::Object(map));
            }
            self.skip_space();
            let key = self.text()?;
            if !self.take(":") {
                return None;
            }
            map.insert(key, self.value(depth + 1)?);
            if !self.take(",") {
                return self.take("}").then_some(Value::Object(map));
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let of_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let end = self.rest.find(|c| !of_number(c)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        match digits.parse::<i64>() {
            Ok(whole) => Some(Value::from(whole)),
            Err(_) => digits.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        }
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut out = String::new();
        let mut chars = self.rest[1..].chars();
        loop {
            match chars.next()? {
                '\\' => out.push(escape(&mut chars)?),
                '\n' => return None,
                c if c == quote => {
                    self.rest = chars.as_str();
                    return Some(out);
                }
                c => out.push(c),
            }
        }
    }
}

/// The character that a backslash and what follows stand for.
fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let code = |chars: &mut std::str::Chars<'_>, digits: usize| {
        let text = chars.as_str().get(..digits)?;
        *chars = chars.as_str()[digits..].chars();
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        char::from_u32(u32::from_str_radix(text, 16).ok().filter(|_| hex)?)
    };
    match chars.next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        '0' => Some('\0'),
        'x' => code(chars, 2),
        'u' => code(chars, 4),
        'U' => code(chars, 8),
        same @ ('\\' | '\'' | '"') => Some(same),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_messages_are_read_as_repr_and_numpy_write_them() {
        let talk = json!([{"role": "user", "content": "it's"}, {"role": "assistant", "content": "a\n\"b\""}]);
        for text in [
            r#"[{'role': 'user', 'content': "it's"}, {'role': 'assistant', 'content': 'a\n"b"'}]"#,
            r#"({'role': 'user', 'content': 'it\'s'}, {'role': 'assistant', 'content': 'a\n"b"'},)"#,
            r#"array([{'role': 'user', 'content': "it's"},
                   {'role': 'assistant', 'content': 'a\n"b"'}], dtype=object)"#,
            "[{'role': 'user', 'content': \"it's\"}\n {'role': 'assistant', 'content': 'a\\n\"b\"'}]",
        ] {
            assert_eq!(parse(text).as_ref(), Some(&talk), "{text}");
        }
        assert_eq!(
            parse("[True, False, None, -1, 1.5, 1e3]"),
            Some(json!([true, false, null, -1, 1.5, 1000.0]))
        );
        assert_eq!(parse(r"'\xe9\u6c34\U0001fad6'"), Some(json!("é水🫖")));
        assert_eq!(parse("{'a': array(['x', 'y'], dtype='<U1')}"), None, "a dtype in quotes is none we know");
    }

    #[test]
    fn whatever_is_no_literal_is_none() {
        for text in [
            "",
            "[",
            "[1",
            "['a' 'b']",
            "{1: 2}",
            "{'a'}",
            "os.system('x')",
            "[x for x in y]",
            "f'{x}'",
            "1 + 1",
            "'a",
            "'\\q'",
            "'\\ud800'",
            "[nan]",
            "array(1)",
            "[1] tail",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH)).is_some() && parse(&nested(DEPTH + 1)).is_none());
    }

    /// A value as Python's `repr` writes it.
    fn repr(value: &Value) -> String {
        match value {
            Value::Null => "None".to_owned(),
            Value::Bool(it) => if *it { "True" } else { "False" }.to_owned(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => {
                let escaped = text.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n");
                format!("'{escaped}'")
            }
            Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
            Value::Object(map) => {
                let cells = map.iter().map(|(key, item)| format!("{}: {}", repr(&json!(key)), repr(item)));
                format!("{{{}}}", cells.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = "[a-z'\"\\\\\n水🫖 ]{0,8}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_repr_writes_is_read_back(value in value()) {
            prop_assert_eq!(parse(&repr(&value)), Some(value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}()'\"\\\\,:a-zTFN0-9x \n]{0,60}") {
            let _ = parse(&text);
        }
    }
}
