//! The JSON before the numbers of a safetensors file, read entry by entry: what no tensor needs is passed over, and
//! nothing is held as a tree. One reader for those who want the numbers and for those who only look at shapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::shown;

/// Longest name of a tensor, bytes.
pub const MAX_NAME: usize = 1024;

/// Most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// A tensor as the header lists it.
#[derive(Debug, Deserialize)]
pub struct Listed<'a> {
    /// Number format, for example `F32`.
    #[serde(borrow)]
    pub dtype: Cow<'a, str>,
    /// Sizes.
    pub shape: Shape,
    /// First byte and the one behind the last, from the end of the header.
    pub data_offsets: [u64; 2],
}

/// Sizes, outermost first.
#[derive(Debug, Default)]
pub struct Shape(pub Vec<usize>);

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

/// Hands every tensor of a header to `each`, which says why it cannot be used.
///
/// # Errors
/// What is no such header, or what `each` says of a tensor.
pub fn read(
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

/// Refuses the name of a tensor that is longer than any.
///
/// # Errors
/// One that names the tensor.
pub fn name_fits<E: Error>(name: &str) -> Result<(), E> {
    if name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(E::custom(format!("tensor \"{}\" has a name of {} bytes", shown(name), name.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(json: &str) -> Option<Vec<(String, Vec<usize>)>> {
        let mut found = Vec::new();
        let read = read(json.as_bytes(), |name, listed| {
            found.push((name.to_owned(), listed.shape.0));
            Ok(())
        });
        read.ok().map(|()| found)
    }

    #[test]
    fn shapes_are_read_and_what_no_tensor_needs_is_passed_over() {
        let tensor = r#"{"dtype":"F32","junk":{"a":[1,{"b":2}]},"shape":[2,3],"data_offsets":[0,24]}"#;
        let header = format!(r#"{{"__metadata__":{{"format":"pt"}},"a":{tensor}}}"#);
        assert_eq!(shapes(&header), Some(vec![("a".to_owned(), vec![2, 3])]));
        assert_eq!(shapes("{}"), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let of = |shape: &str| format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
        assert!(shapes(&of("[1]")).is_some());
        let long = format!(
            r#"{{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#,
            "n".repeat(MAX_NAME + 1)
        );
        for header in
            [&of("[1,1,1,1,1,1,1,1,1]"), &of("[-1]"), &of("1"), r#"{"a":{"shape":[1]}}"#, "[]", "", &long]
        {
            assert_eq!(shapes(header), None, "{header}");
        }
    }
}
