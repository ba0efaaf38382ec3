//! `model.safetensors.index.json`: what lies in several files.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use contract::safetensors::name_fits;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::shown;
use crate::weights::MAX_TENSORS;

/// Which shard holds which tensor.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) weight_map: Shards,
}

/// Names of tensors, and of the files they lie in.
#[derive(Debug, Default)]
pub(super) struct Shards {
    pub(super) tensors: BTreeSet<String>,
    pub(super) files: BTreeSet<String>,
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WeightMap)
    }
}

struct WeightMap;

impl<'de> Visitor<'de> for WeightMap {
    type Value = Shards;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the names of at most {MAX_TENSORS} tensors, each with its file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
        let mut shards = Shards::default();
        while let Some((tensor, file)) = map.next_entry::<String, Cow<'de, str>>()? {
            name_fits(&tensor)?;
            if shards.tensors.len() == MAX_TENSORS {
                return Err(A::Error::invalid_length(MAX_TENSORS + 1, &self));
            }
            if !shards.files.contains(&*file) {
                shards.files.insert(file.into_owned());
            }
            if let Some(twice) = shards.tensors.replace(tensor) {
                return Err(A::Error::custom(format!("tensor \"{}\" is there twice", shown(&twice))));
            }
        }
        Ok(shards)
    }
}
