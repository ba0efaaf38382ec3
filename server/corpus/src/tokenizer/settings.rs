//! What the files beside `tokenizer.json` say.

use contract::problem::Problem;
use serde_json::Value;

use super::limits::NAMES;
use super::{broken, files};

/// What they say, not yet looked up in the vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `tokenizer_config.json` and `special_tokens_map.json`, which name tokens by their text.
    by_text: [Value; 2],
    /// `generation_config.json` and `config.json`, which name them by id.
    by_id: [Value; 2],
    pub(super) chat_template: Option<String>,
}

/// A token as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// By its text, in the tokenizer's own files.
    Text(String),
    /// By its id, in the model's.
    Id(u32),
}

impl Settings {
    pub(super) fn read<B: AsRef<[u8]>>(beside: impl Fn(&str) -> Option<B>) -> Result<Self, Problem> {
        let parsed = |name: &str| match beside(name) {
            None => Ok(Value::Null),
            Some(bytes) => {
                files::check_size(name, bytes.as_ref())?;
                serde_json::from_slice(bytes.as_ref()).map_err(|error| broken(name, &error.to_string()))
            }
        };
        let by_text = [parsed("tokenizer_config.json")?, parsed("special_tokens_map.json")?];
        let template = match beside("chat_template.jinja") {
            Some(bytes) => {
                let text = std::str::from_utf8(bytes.as_ref());
                Some(text.map_err(|error| broken("chat_template.jinja", &error.to_string()))?.to_owned())
            }
            None => by_text[0].get("chat_template").and_then(default_template),
        };
        Ok(Self {
            by_text,
            by_id: [parsed("generation_config.json")?, parsed("config.json")?],
            chat_template: template.filter(|text| !text.trim().is_empty()),
        })
    }

    /// All names of the token of that role (`bos`, `eos`, `pad`), most trusted first. The files of the tokenizer come
    /// before those of the model.
    pub(super) fn names(&self, role: &str) -> Vec<Named> {
        let (text_key, id_key) = (format!("{role}_token"), format!("{role}_token_id"));
        let texts = self.by_text.iter().filter_map(|file| file.get(&text_key).and_then(token));
        let ids = self.by_id.iter().flat_map(|file| {
            // Models that also see keep those of their text half one level deeper.
            let deeper = file.get("text_config").and_then(|text| text.get(&id_key));
            file.get(&id_key).filter(|value| !value.is_null()).or(deeper).map(ids).unwrap_or_default()
        });
        texts.map(Named::Text).chain(ids.map(Named::Id)).take(NAMES).collect()
    }

    /// Rows of the model's embeddings, where `config.json` says how many there are.
    pub(super) fn rows(&self) -> Option<u32> {
        let config = &self.by_id[1];
        let deeper = config.get("text_config").and_then(|text| text.get("vocab_size"));
        let rows = config.get("vocab_size").or(deeper)?.as_u64()?;
        u32::try_from(rows).ok().filter(|rows| *rows > 0)
    }

    /// Whether `tokenizer_config.json` says in so many words that there is no token of that role.
    pub(super) fn denies(&self, role: &str) -> bool {
        self.by_text[0].get(format!("{role}_token")) == Some(&Value::Null)
    }
}

/// A token is written as text or as `{"content": …}`.
fn token(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A number or a list of numbers; null and numbers below 0 mean none.
fn ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    match value.as_array() {
        Some(list) => list.iter().filter_map(id).collect(),
        None => id(value).into_iter().collect(),
    }
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
