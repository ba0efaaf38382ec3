//! Values as Python prints them: what `{{ x }}` and `x | tojson` give in transformers.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use serde_json::Value as Json;

use super::jinja::values;
use super::limits::{INDENTATION, JSON};

/// Writes a value as Python's `str` does.
///
/// # Errors
/// When the value is too large or nests too deep.
pub(super) fn display(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
            values::weigh(value)?;
            repr(value)
        }
        _ => {
            values::weigh(value)?;
            Ok(value.to_string())
        }
    }
}

fn repr(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => repr_str(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let items = value.try_iter().into_iter().flatten().map(|item| repr(&item));
            format!("[{}]", items.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        ValueKind::Map => {
            let pair = |key: Value| {
                let item = value.get_item(&key).unwrap_or_default();
                Ok(format!("{}: {}", repr(&key)?, repr(&item)?))
            };
            let items =
                value.try_iter().into_iter().flatten().map(pair).collect::<Result<Vec<_>, Error>>()?;
            format!("{{{}}}", items.join(", "))
        }
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        _ => value.to_string(),
    })
}

/// A float as Python's `repr`: shortest digits, an exponent below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if !number.is_finite() {
        let name = if number.is_nan() { "nan" } else { "inf" };
        return if number < 0.0 { format!("-{name}") } else { name.to_owned() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        return format!("{number:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char == quote => out.extend(['\\', char]),
            _ => out.push(char),
        }
    }
    out.push(quote);
    out
}

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)` of transformers.
pub(super) fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    indent: Option<usize>,
    options: Kwargs,
) -> Result<Value, Error> {
    values::charge(state, value)?;
    let json: Json = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "tojson: the value cannot be written as JSON")
            .with_source(error)
    })?;
    let named: Option<usize> = options.get("indent")?;
    let indent = indent.or(named);
    if indent.is_some_and(|indent| indent > INDENTATION) {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the indentation is too wide"));
    }
    let separators: Option<(String, String)> =
        options.get::<Option<Vec<String>>>("separators")?.and_then(|pair| match pair.as_slice() {
            [items, keys] => Some((items.clone(), keys.clone())),
            _ => None,
        });
    let default_items = if indent.is_some() { "," } else { ", " };
    let style = Style {
        indent,
        separators: separators.unwrap_or_else(|| (default_items.to_owned(), ": ".to_owned())),
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    style.write(&json, 0, &mut out);
    if out.len() > JSON {
        return Err(Error::new(ErrorKind::InvalidOperation, "tojson: the value is too large"));
    }
    Ok(Value::from(out))
}

struct Style {
    indent: Option<usize>,
    separators: (String, String),
    ascii: bool,
    sorted: bool,
}

impl Style {
    /// Stops soon after [`JSON`] bytes: deep lists are mostly indentation.
    fn write(&self, json: &Json, depth: usize, out: &mut String) {
        if out.len() > JSON {
            return;
        }
        match json {
            Json::Array(items) if !items.is_empty() => {
                self.block(('[', ']'), items.iter(), depth, out, |item, out| {
                    self.write(item, depth + 1, out)
                });
            }
            Json::Object(map) if !map.is_empty() => {
                let mut pairs: Vec<_> = map.iter().collect();
                if self.sorted {
                    pairs.sort_by_key(|(key, _)| *key);
                }
                self.block(('{', '}'), pairs.into_iter(), depth, out, |(key, item), out| {
                    self.string(key, out);
                    out.push_str(&self.separators.1);
                    self.write(item, depth + 1, out);
                });
            }
            Json::String(text) => self.string(text, out),
            Json::Number(number) if number.is_f64() => {
                out.push_str(&float(number.as_f64().unwrap_or_default()))
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn block<T>(
        &self,
        brackets: (char, char),
        items: impl Iterator<Item = T>,
        depth: usize,
        out: &mut String,
        mut write: impl FnMut(T, &mut String),
    ) {
        let line = |depth: usize, out: &mut String| {
            if let Some(indent) = self.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        out.push(brackets.0);
        for (index, item) in items.enumerate() {
            if index > 0 {
                out.push_str(&self.separators.0);
            }
            line(depth + 1, out);
            write(item, out);
        }
        line(depth, out);
        out.push(brackets.1);
    }

    fn string(&self, text: &str, out: &mut String) {
        let quoted = Json::from(text).to_string();
        if !self.ascii {
            out.push_str(&quoted);
            return;
        }
        for char in quoted.chars() {
            if char.is_ascii() {
                out.push(char);
                continue;
            }
            let mut units = [0_u16; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_writes_them() {
        let written = [1e-7, 0.0001, 1.5, 2.0, 1e15, 1e16, 1.25e-10, 1e100, -0.0].map(float);
        let wanted =
            ["1e-07", "0.0001", "1.5", "2.0", "1000000000000000.0", "1e+16", "1.25e-10", "1e+100", "-0.0"];
        assert_eq!(written, wanted);
    }

    #[test]
    fn values_as_python_prints_them() {
        let json = serde_json::json!({"a": [1, 2.0, null, true], "it's": "x\n"});
        let value = Value::from(minijinja::value::Serde(&json));
        assert_eq!(display(&value).unwrap(), r#"{'a': [1, 2.0, None, True], "it's": 'x\n'}"#);
        assert_eq!(display(&Value::UNDEFINED).unwrap(), "");
    }
}
