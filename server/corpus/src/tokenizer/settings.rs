//! What `tokenizer_config.json`, `special_tokens_map.json` and `chat_template.jinja` say.

use contract::problem::Problem;
use serde_json::Value;

use super::broken;

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) bos: Option<String>,
    pub(super) eos: Option<String>,
    pub(super) pad: Option<String>,
    pub(super) chat_template: Option<String>,
}

impl Settings {
    pub(super) fn read(
        config: Option<&[u8]>,
        special_map: Option<&[u8]>,
        chat_template: Option<&[u8]>,
    ) -> Result<Self, Problem> {
        let config = parse(config, "tokenizer_config.json")?;
        let map = parse(special_map, "special_tokens_map.json")?;
        let named = |key: &str| match config.get(key) {
            Some(Value::Null) => None,
            Some(value) => token(value),
            None => map.get(key).and_then(token),
        };
        let template = match chat_template {
            Some(bytes) => {
                let text = std::str::from_utf8(bytes);
                Some(text.map_err(|error| broken("chat_template.jinja", &error.to_string()))?.to_owned())
            }
            None => config.get("chat_template").and_then(default_template),
        };
        Ok(Self {
            bos: named("bos_token"),
            eos: named("eos_token"),
            pad: named("pad_token"),
            chat_template: template.filter(|text| !text.trim().is_empty()),
        })
    }
}

fn parse(bytes: Option<&[u8]>, file: &str) -> Result<Value, Problem> {
    match bytes {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(bytes).map_err(|error| broken(file, &error.to_string())),
    }
}

/// A token is written as text or as `{"content": …}`.
fn token(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// One template, or a list of named ones of which `default` is taken.
fn default_template(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let named =
        value.as_array()?.iter().find(|item| item.get("name").and_then(Value::as_str) == Some("default"))?;
    named.get("template")?.as_str().map(str::to_owned)
}
