//! Reading single fields of a `config.json`, with errors that name the field.

use serde_json::{Map, Value};

use crate::error::Code;
use crate::error::{ModelError, Result};

/// Largest value accepted for the fields that decide how much memory a model's shape takes. Source: the largest published
/// models have 126 layers, 128 heads of 256, a width of 18,432 (53,248 within) and 262,208 tokens; these are several times
/// as much.
const MOST: [(&str, u64); 7] = [
    ("num_hidden_layers", 1 << 10),
    ("num_attention_heads", 1 << 10),
    ("num_key_value_heads", 1 << 10),
    ("head_dim", 1 << 12),
    ("hidden_size", 1 << 16),
    ("intermediate_size", 1 << 18),
    ("vocab_size", 1 << 20),
];

/// Largest value accepted for any other size, tokens: the longest contexts are of ten million.
const MOST_OTHER: u64 = 1 << 24;

/// Largest value accepted for a size, by its usual name.
pub(crate) fn most_of(name: &str) -> u64 {
    MOST.iter().find(|(known, _)| *known == name).map_or(MOST_OTHER, |(_, most)| *most)
}

/// An object of which fields are read by name; `names` says how a family spells some of them. Where it has several ways,
/// the first is the usual one.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    names: &'static [(&'static str, &'static str)],
}

impl<'a> Fields<'a> {
    /// Fields of a map under their usual names.
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, names: &[] }
    }

    /// Fields that a family spells otherwise: usual name, own name.
    pub(crate) fn spelt(map: &'a Map<String, Value>, names: &'static [(&'static str, &'static str)]) -> Self {
        Self { map, names }
    }

    /// How the file spells a field.
    pub(crate) fn own_name<'n>(&self, name: &'n str) -> &'n str {
        let ways = || self.names.iter().filter(|(usual, _)| *usual == name).map(|(_, own)| *own);
        let there = |own: &&str| self.map.get(*own).is_some_and(|value| !value.is_null());
        ways().find(there).or_else(|| ways().next()).unwrap_or(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(self.own_name(name)).filter(|value| !value.is_null())
    }

    pub(crate) fn size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match (value.as_u64(), most_of(name)) {
            (Some(n), most) if n > most => Err(ModelError::limit(self.own_name(name), n, most)),
            (Some(n @ 1..), _) => Ok(Some(n as usize)),
            _ => Err(wrong(self.own_name(name), value, "a whole number above 0")),
        }
    }

    pub(crate) fn need(&self, name: &str) -> Result<usize> {
        self.size(name)?.ok_or_else(|| {
            ModelError::new(Code::ConfigMissing, format!("config.json lacks \"{}\".", self.own_name(name)))
                .with("name", self.own_name(name))
                .hint("Take the config.json that was published with the weights.")
        })
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64() {
            Some(n) if n.is_finite() && n > 0.0 => Ok(Some(n)),
            _ => Err(wrong(self.own_name(name), value, "a number above 0")),
        }
    }

    /// A list of numbers above 0.
    pub(crate) fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let one = |v: &Value| v.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        let list = value.as_array().and_then(|list| list.iter().map(one).collect::<Option<Vec<_>>>());
        list.map(Some).ok_or_else(|| wrong(self.own_name(name), value, "a list of numbers above 0"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(self.own_name(name), value, "true or false"))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Token ids: one, or a list of them. A negative one (-1) and null say that there is no such token.
    pub(crate) fn ids(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        token_ids(value).ok_or_else(|| wrong(self.own_name(name), value, "a token id or a list of them"))
    }

    /// `layer_types` as one flag per layer: whether it has the sliding window.
    pub(crate) fn windowed(&self, layers: usize) -> Result<Option<Vec<bool>>> {
        let Some(value) = self.get("layer_types") else { return Ok(None) };
        let one = |v: &Value| match v.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        let list = value.as_array().filter(|list| list.len() == layers);
        let flags = list.and_then(|list| list.iter().map(one).collect::<Option<Vec<_>>>());
        flags.map(Some).ok_or_else(|| {
            wrong("layer_types", value, "sliding_attention or full_attention once for every layer")
        })
    }
}

/// Token ids as configurations write them: one or a list; null and negative ones (-1) name no token. `None` for anything
/// else.
pub(super) fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let names_one = |v: &&Value| !v.is_null() && v.as_i64().is_none_or(|id| id >= 0);
    let one = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    match value {
        Value::Array(list) => list.iter().filter(names_one).map(one).collect(),
        other => Some(other).filter(names_one).into_iter().map(one).collect(),
    }
}

/// A field with a value that cannot be used.
pub(crate) fn wrong(name: &str, value: &Value, expected: &str) -> ModelError {
    let mut shown = value.to_string();
    if shown.chars().count() > 60 {
        shown = shown.chars().take(60).collect::<String>() + "…";
    }
    ModelError::new(Code::ConfigValue, format!("config.json: \"{name}\" is {shown}; expected {expected}."))
        .with("name", name)
        .with("value", shown)
}

/// At most 60 characters of a text from a file.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
