//! The specification of a run as somebody brings it: a flat list of settings, as YAML or JSON (S-050). What the settings
//! mean is said in `contract::specification`.

use std::fmt;

use contract::Code;
use contract::problem::Problem;
use contract::specification::Setting;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Longest file that is read, bytes.
const LONGEST: usize = 1 << 20;

/// The settings of a file, in their order.
///
/// # Errors
/// `spec.broken`, `spec.too_large`: what is wrong and in which line.
pub(crate) fn read(text: &str) -> Result<Vec<Setting>, Problem> {
    if text.len() > LONGEST {
        return Err(Problem::new(Code::SpecTooLarge, "The specification is larger than 1 MiB.")
            .hint("A specification is a short list of settings; datasets are added on their own page."));
    }
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') { json(text) } else { yaml(text) }
}

fn broken(line: usize, why: impl fmt::Display) -> Problem {
    Problem::new(Code::SpecBroken, format!("Line {line} of the specification cannot be read: {why}."))
        .with("line", line)
        .with("why", why)
        .hint("Each line names one setting: learning_rate: 2e-4")
}

fn not_flat(line: usize, key: &str) -> Problem {
    broken(line, format!("{key} is neither a text nor a number nor a list of them"))
}

/// `key: value` lines. Values stay as they are written, so that no number changes.
fn yaml(text: &str) -> Result<Vec<Setting>, Problem> {
    let mut settings = Vec::new();
    let mut events = Parser::new_from_str(text);
    let mut next = move || match events.next() {
        Some(Ok((event, span))) => Ok((event, span.start.line())),
        Some(Err(why)) => Err(broken(why.marker().line(), why.info())),
        None => Ok((Event::StreamEnd, 0)),
    };
    loop {
        match next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::MappingStart(..), _) => break,
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(settings),
            (_, line) => return Err(broken(line, "it is no list of settings")),
        }
    }
    loop {
        let (key, line) = match next()? {
            (Event::MappingEnd, _) => break,
            (Event::Scalar(key, ..), line) => (key.into_owned(), line),
            (_, line) => return Err(broken(line, "a setting has a name of one word")),
        };
        let value = match next()?.0 {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                let mut parts = Vec::new();
                loop {
                    match next()?.0 {
                        Event::Scalar(text, ..) => parts.push(text.into_owned()),
                        Event::SequenceEnd => break,
                        _ => return Err(not_flat(line, &key)),
                    }
                }
                Some(parts.join(","))
            }
            _ => return Err(not_flat(line, &key)),
        };
        settings.push(Setting { key, value, line: line as u64 });
    }
    loop {
        match next()? {
            (Event::StreamEnd, _) => return Ok(settings),
            (Event::DocumentEnd, _) => {}
            (_, line) => return Err(broken(line, "a specification is one document")),
        }
    }
}

/// The text of a value; `None` where it says that there is none.
fn scalar(text: &str, style: ScalarStyle) -> Option<String> {
    let plain = style == ScalarStyle::Plain;
    let none = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    (!none).then(|| match text {
        // Words of YAML and of Python's own printing.
        "True" | "TRUE" if plain => "true".to_owned(),
        "False" | "FALSE" if plain => "false".to_owned(),
        text => text.to_owned(),
    })
}

/// An object of texts, numbers, truth values and lists of these.
fn json(text: &str) -> Result<Vec<Setting>, Problem> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let pairs = parser.deserialize_map(Pairs).and_then(|pairs| parser.end().map(|()| pairs));
    let pairs = pairs.map_err(|why| broken(why.line(), &why))?;
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let setting = |(key, value): (String, Value)| {
        let value = match &value {
            Value::Null => None,
            Value::Array(list) => {
                let parts: Option<Vec<_>> = list.iter().map(one).collect();
                Some(parts.ok_or_else(|| not_flat(1, &key))?.join(","))
            }
            value => Some(one(value).ok_or_else(|| not_flat(1, &key))?),
        };
        Ok(Setting { key, value, line: 0 })
    };
    pairs.into_iter().map(setting).collect()
}

/// Keeps every pair, so that a key that stands twice can be named.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of settings")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        read(text).expect(text).into_iter().map(|setting| (setting.key, setting.value)).collect()
    }

    fn own(pairs: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn s_050_yaml_and_json_say_the_same_and_no_number_changes() {
        let expected = own(&[
            ("stage", Some("sft")),
            ("learning_rate", Some("2e-4")),
            ("do_train", Some("true")),
            ("lora_target", Some("q_proj,v_proj")),
            ("system", Some("Say \"no\": 🫖\n")),
            ("max_samples", None),
        ]);
        let yaml = "# mine\nstage: sft\nlearning_rate: 2e-4 # quick\ndo_train: True\nlora_target: [q_proj, v_proj]\n\
                    system: \"Say \\\"no\\\": 🫖\\n\"\nmax_samples: null\n";
        assert_eq!(pairs(yaml), expected);
        assert_eq!(pairs(&format!("\u{feff}---\n{yaml}...\n")), expected);
        let json = r#"{"stage":"sft","learning_rate":2e-4,"do_train":true,"lora_target":["q_proj","v_proj"],
            "system":"Say \"no\": \ud83e\uded6\n","max_samples":null}"#;
        let mut read = pairs(json);
        assert_eq!(read[1].1.as_deref().map(str::parse::<f64>), Some(Ok(2e-4)));
        read[1].1 = Some("2e-4".to_owned());
        assert_eq!(read, expected);
        assert_eq!(pairs("lora_target:\n  - q_proj\n  - v_proj\n")[0].1.as_deref(), Some("q_proj,v_proj"));
        assert_eq!(pairs("name: \"null\"\n")[0].1.as_deref(), Some("null"));
        assert_eq!((pairs("").len(), pairs("# nothing\n").len()), (0, 0));
        assert_eq!(pairs("a: 1\na: 2\n").len(), 2, "both are named");
        assert_eq!(pairs("{\"a\":1,\"a\":2}").len(), 2);
    }

    #[test]
    fn s_050_what_is_no_list_of_settings_is_refused_with_its_line() {
        for (text, line) in [
            ("- a\n- b\n", "1"),
            ("stage: sft\nlearning_rate: [[1]]\n", "2"),
            ("stage: sft\nhyper: {a: 1}\n", "2"),
            ("stage: sft\n  rate: 2\n", "2"),
            ("a: *b\n", "1"),
            ("x: \"never ends\n", "1"),
            ("{\"a\": 1,\n\"b\": }", "2"),
            ("{\"a\": {}}", "1"),
            ("a: 1\n---\nb: 2\n", "2"),
            ("just words", "1"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!(
                (problem.code, problem.params.get("line").map(String::as_str)),
                (Code::SpecBroken, Some(line)),
                "{text:?}: {problem}"
            );
        }
        let bomb: String = (1..30).fold("a0: &a0 [x,x]\n".to_owned(), |text, at| {
            text + &format!("a{at}: &a{at} [*a{0},*a{0}]\n", at - 1)
        });
        assert_eq!(read(&bomb).expect_err("aliases").code, Code::SpecBroken);
        let deep = "[".repeat(100_000);
        assert_eq!(read(&format!("a: {deep}")).expect_err("deep").code, Code::SpecBroken);
        assert_eq!(read(&format!("{{\"a\": {deep}")).expect_err("deep").code, Code::SpecBroken);
        assert_eq!(read(&"a".repeat(LONGEST + 1)).expect_err("large").code, Code::SpecTooLarge);
    }
}
