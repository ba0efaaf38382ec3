//! The JSON before the numbers, read entry by entry: what no tensor needs is passed over, and nothing is held as a tree.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::shown;
use crate::weights::{MAX_NAME, MAX_TENSORS};

/// Most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// A tensor as the header lists it.
#[derive(Debug, Deserialize)]
pub(super) struct Listed<'a> {
    #[serde(borrow)]
    pub(super) dtype: Cow<'a, str>,
    pub(super) shape: Shape,
    pub(super) data_offsets: [u64; 2],
}

/// Sizes, outermost first.
#[derive(Debug, Default)]
pub(super) struct Shape(pub(super) Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Shapes)
    }
}

struct Shapes;

impl<'de> Visitor<'de> for Shapes {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_DIMS} sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut shape = Vec::new();
        while let Some(size) = list.next_element::<u64>()? {
            if shape.len() == MAX_DIMS {
                return Err(A::Error::invalid_length(MAX_DIMS + 1, &self));
            }
            shape.push(usize::try_from(size).map_err(A::Error::custom)?);
        }
        Ok(Shape(shape))
    }
}

/// Hands every tensor of a header to `each`, which says why it cannot be used. Fails as well where a name is there twice.
pub(super) fn read(
    json: &[u8],
    each: impl FnMut(&str, Listed<'_>) -> Result<(), String>,
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Tensors { each })?;
    deserializer.end()
}

struct Tensors<F> {
    each: F,
}

impl<'de, F: FnMut(&str, Listed<'_>) -> Result<(), String>> Visitor<'de> for Tensors<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut described = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                if std::mem::replace(&mut described, true) {
                    return Err(A::Error::custom("\"__metadata__\" is there twice"));
                }
                continue;
            }
            name_fits(&name)?;
            let listed = map.next_value::<Listed<'de>>();
            let listed =
                listed.map_err(|why| A::Error::custom(format!("tensor \"{}\": {why}", shown(&name))))?;
            (self.each)(&name, listed)
                .map_err(|why| A::Error::custom(format!("tensor \"{}\": {why}", shown(&name))))?;
        }
        Ok(())
    }
}

fn name_fits<E: Error>(name: &str) -> Result<(), E> {
    if name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(E::custom(format!("tensor \"{}\" has a name of {} bytes", shown(name), name.len())))
}

/// `model.safetensors.index.json`: which shard holds which tensor.
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
