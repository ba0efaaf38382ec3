//! What one rendering may use up.

use contract::limits::Limit;
use std::borrow::Cow;
use std::io::{Error, Write};

use contract::Code;
use contract::problem::Problem;
use minijinja::Environment;
use serde_json::Value;

use super::limits::{FUEL, FUEL_A_BYTE, FUEL_A_PART, OUTPUT_A_BYTE, SMALL};

/// How large an input is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// Bytes of all texts and keys.
    bytes: usize,
    /// Lists, maps and what they hold.
    parts: usize,
}

impl Size {
    /// Counts a value in as well.
    pub(super) fn with(mut self, value: &Value) -> Self {
        self.count(value);
        self
    }

    fn count(&mut self, value: &Value) {
        self.parts += 1;
        match value {
            Value::String(text) => self.bytes += text.len(),
            Value::Array(items) => items.iter().for_each(|item| self.count(item)),
            Value::Object(map) => map.iter().for_each(|(key, item)| {
                self.bytes += key.len();
                self.count(item);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The environment with enough fuel for an honest template over so much.
    pub(super) fn environment<'e>(self, plain: &'e Environment<'static>) -> Cow<'e, Environment<'static>> {
        if self.bytes <= SMALL.0 && self.parts <= SMALL.1 {
            return Cow::Borrowed(plain);
        }
        let fuel = FUEL + self.parts as u64 * FUEL_A_PART + self.bytes as u64 * FUEL_A_BYTE;
        let mut own = plain.clone();
        own.set_fuel(Some(fuel.min(Limit::TemplateSteps.value())));
        Cow::Owned(own)
    }
}

/// Collects output up to a limit.
pub(super) struct Capped {
    bytes: Vec<u8>,
    left: usize,
}

impl Capped {
    /// A collector for a rendering of so much input.
    pub(super) fn new(size: Size) -> Self {
        Self { bytes: Vec::new(), left: Limit::TemplateOutput.get() + size.bytes * OUTPUT_A_BYTE }
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
