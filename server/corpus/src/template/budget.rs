//! What a chat template may use up: a template from somewhere cannot hang a run or fill the memory.

use std::borrow::Cow;
use std::io::{Error, Write};

use contract::Code;
use contract::problem::Problem;
use minijinja::Environment;
use serde_json::Value;

/// Steps (and bytes written) of a rendering before it is stopped, for conversations up to [`SMALL`].
pub(super) const FUEL: u64 = 100_000;

/// Deepest nesting of calls.
pub(super) const DEPTH: usize = 60;

/// Bytes of input that the plain budget is enough for.
const SMALL: usize = 2 << 10;

/// Steps for each byte of a larger input.
const FUEL_A_BYTE: u64 = 24;

/// Bytes written before a rendering is stopped, besides eight times the input.
const OUTPUT: usize = 1 << 20;

/// Bytes of all texts in a value, and what each part costs to walk over.
pub(super) fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size_of).sum::<usize>() + 8,
        Value::Object(map) => map.iter().map(|(key, item)| key.len() + size_of(item)).sum::<usize>() + 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// The environment with enough fuel for an honest template over so many bytes.
pub(super) fn environment_for<'e>(
    plain: &'e Environment<'static>,
    size: usize,
) -> Cow<'e, Environment<'static>> {
    if size <= SMALL {
        return Cow::Borrowed(plain);
    }
    let mut larger = plain.clone();
    larger.set_fuel(Some(FUEL + size as u64 * FUEL_A_BYTE));
    Cow::Owned(larger)
}

/// Collects output up to a limit.
pub(super) struct Capped {
    bytes: Vec<u8>,
    left: usize,
}

impl Capped {
    /// A collector for a rendering of so many bytes of input.
    pub(super) fn new(size: usize) -> Self {
        Self { bytes: Vec::new(), left: OUTPUT + size * 8 }
    }

    /// What was written.
    ///
    /// # Errors
    /// `template.failed` for bytes that are no text, which no template can write.
    pub(super) fn text(self) -> Result<String, Problem> {
        String::from_utf8(self.bytes).map_err(|_| {
            Problem::new(Code::TemplateFailed, "The chat template wrote bytes that are no text.")
        })
    }
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let left = self.left.checked_sub(bytes.len());
        self.left =
            left.ok_or_else(|| Error::other("the template writes more than a conversation can hold"))?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
