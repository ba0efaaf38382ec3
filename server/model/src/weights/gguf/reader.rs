//! The header: magic, counts, metadata, tensor table. It is walked through a small window, so that what nobody reads
//! takes no memory.

use contract::limits::Limit;
use std::collections::{BTreeMap, BTreeSet};

use contract::safetensors::MAX_NAME;

use super::{GgufValue, broken};
use crate::error::{Code, shown};
use crate::error::{ModelError, Result};
use crate::weights::{Bytes, MAX_TENSORS};

/// Bytes of the file at hand at a time.
const WINDOW: usize = 256 << 10;

/// Most pairs of metadata; files have tens.
const MAX_PAIRS: usize = 1 << 14;

/// Longest text that is kept, bytes; as long as a `chat_template.jinja` may be.
const MAX_TEXT: u64 = 1 << 20;

/// Most entries of a list that is kept: tokens, their kinds and scores, merges.
const MAX_LIST: usize = 1 << 20;

/// Lists that are read; of the others nothing is kept.
const LISTS: [&str; 4] =
    ["tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type", "tokenizer.ggml.scores"];

/// The text that is of no use when it is cut: a longer one is an error. Longer texts of other keys are passed over.
const TEMPLATE: &str = "tokenizer.chat_template";

/// Deepest nesting of metadata lists.
const MAX_DEPTH: usize = 4;

/// A tensor as the table lists it, dimensions innermost first.
pub(super) struct RawTensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) kind: u32,
    pub(super) offset: u64,
}

/// Everything before the tensor data.
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, GgufValue>,
    pub(super) tensors: Vec<RawTensor>,
    /// First byte of the tensor data.
    pub(super) data: u64,
}

/// Walks the first bytes of a file that is `total` bytes long.
pub(super) struct Reader<'a> {
    bytes: &'a Bytes,
    total: u64,
    at: u64,
    window: Vec<u8>,
    /// Where the window begins in the file.
    start: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a Bytes, total: u64) -> Self {
        Self { bytes, total, at: 0, window: Vec::new(), start: 0 }
    }

    /// Where `len` bytes from here end. Fails where the file, or what is read of it, ends before.
    fn end_of(&self, len: u64) -> Result<u64> {
        if len > self.total.saturating_sub(self.at) {
            return Err(broken(format!(
                "At byte {}: {len} bytes are announced, the file ends before.",
                self.at
            )));
        }
        let end = self.at + len;
        if end > Limit::GgufHeader.value() {
            Err(too_large(&format!("{} MiB", Limit::GgufHeader.value() >> 20)))
        } else {
            Ok(end)
        }
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        self.at = self.end_of(len)?;
        Ok(())
    }

    fn take(&mut self, len: u64) -> Result<&[u8]> {
        let end = self.end_of(len)?;
        if self.at < self.start || end > self.start + self.window.len() as u64 {
            let piece = (len as usize).max(WINDOW).min((self.total - self.at) as usize);
            (self.window, self.start) = (self.bytes.read(self.at, piece)?, self.at);
        }
        let from = (self.at - self.start) as usize;
        self.at = end;
        self.window.get(from..from + len as usize).ok_or_else(|| broken("The file ends too early."))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N as u64)?.try_into().map_err(|_| broken("The file ends too early."))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, len: u64) -> Result<String> {
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    /// Name of a pair or a tensor.
    fn name(&mut self) -> Result<String> {
        let (at, len) = (self.at, self.u64()?);
        if len > MAX_NAME as u64 {
            self.end_of(len)?;
            return Err(broken(format!("At byte {at}: a name is {len} bytes long.")));
        }
        self.text(len)
    }

    /// A count of things that take at least `smallest` bytes each.
    fn count(&mut self, smallest: u64) -> Result<u64> {
        let at = self.at;
        let count = self.u64()?;
        if count > (self.total - self.at) / smallest {
            return Err(broken(format!(
                "At byte {at}: {count} entries are announced, the file is too short."
            )));
        }
        Ok(count)
    }

    /// A whole number of this kind; `None` for another kind.
    fn whole(&mut self, kind: u32) -> Result<Option<i128>> {
        Ok(Some(match kind {
            0 => i128::from(self.array::<1>()?[0]),
            1 => i128::from(i8::from_le_bytes(self.array()?)),
            2 => i128::from(u16::from_le_bytes(self.array()?)),
            3 => i128::from(i16::from_le_bytes(self.array()?)),
            4 => i128::from(self.u32()?),
            5 => i128::from(i32::from_le_bytes(self.array()?)),
            10 => i128::from(self.u64()?),
            11 => i128::from(i64::from_le_bytes(self.array()?)),
            _ => return Ok(None),
        }))
    }

    fn float(&mut self, kind: u32) -> Result<Option<f64>> {
        Ok(match kind {
            6 => Some(f64::from(f32::from_le_bytes(self.array()?))),
            12 => Some(f64::from_le_bytes(self.array()?)),
            _ => None,
        })
    }

    /// The value of a key; `None` where nobody reads it.
    fn value(&mut self, key: &str) -> Result<Option<GgufValue>> {
        let kind = self.u32()?;
        if let Some(number) = self.whole(kind)? {
            return Ok(Some(GgufValue::Number(number)));
        }
        if let Some(number) = self.float(kind)? {
            if !number.is_finite() {
                return Err(broken(format!("Metadata \"{}\" is not a number.", shown(key))));
            }
            return Ok(Some(GgufValue::Float(number)));
        }
        match kind {
            7 => Ok(Some(GgufValue::Bool(self.array::<1>()?[0] != 0))),
            8 => self.kept_text(key),
            9 if LISTS.contains(&key) => self.list(key).map(Some),
            9 => self.skip_list(0).map(|()| None),
            _ => Err(self.unknown(kind)),
        }
    }

    fn unknown(&self, kind: u32) -> ModelError {
        broken(format!("At byte {}: unknown kind of metadata ({kind}).", self.at))
    }

    fn kept_text(&mut self, key: &str) -> Result<Option<GgufValue>> {
        let len = self.u64()?;
        if len <= MAX_TEXT {
            return Ok(Some(GgufValue::Text(self.text(len)?)));
        }
        self.skip(len)?;
        if key == TEMPLATE { Err(ModelError::limit(key, len, MAX_TEXT)) } else { Ok(None) }
    }

    /// A list that is read, without a larger form than its kind needs.
    fn list(&mut self, key: &str) -> Result<GgufValue> {
        let kind = self.u32()?;
        let count = self.count(smallest(kind))?;
        if count > MAX_LIST as u64 {
            return Err(ModelError::limit(key, count, MAX_LIST as u64));
        }
        let odd = || broken(format!("Metadata \"{key}\" is a list of another kind."));
        let count = count as usize;
        match kind {
            8 => {
                let mut texts = Vec::with_capacity(count);
                for _ in 0..count {
                    let len = self.u64()?;
                    texts.push(self.text(len)?);
                }
                Ok(GgufValue::Texts(texts))
            }
            6 | 12 => {
                let mut floats = Vec::with_capacity(count);
                for _ in 0..count {
                    let number = self.float(kind)?.unwrap_or(f64::NAN) as f32;
                    if !number.is_finite() {
                        return Err(broken(format!("Metadata \"{key}\" holds what is not a number.")));
                    }
                    floats.push(number);
                }
                Ok(GgufValue::Floats(floats))
            }
            _ => {
                let mut numbers = Vec::with_capacity(count);
                for _ in 0..count {
                    let number = self.whole(kind)?.ok_or_else(odd)?;
                    numbers.push(i32::try_from(number).map_err(|_| odd())?);
                }
                Ok(GgufValue::Numbers(numbers))
            }
        }
    }

    fn skip_list(&mut self, depth: usize) -> Result<()> {
        let kind = self.u32()?;
        let size = smallest(kind);
        let count = self.count(size)?;
        match kind {
            8 => {
                for _ in 0..count {
                    let len = self.u64()?;
                    self.skip(len)?;
                }
                Ok(())
            }
            9 if depth < MAX_DEPTH => (0..count).try_for_each(|_| self.skip_list(depth + 1)),
            0..=7 | 10..=12 => self.skip(count * size),
            _ => Err(self.unknown(kind)),
        }
    }

    fn tensor(&mut self) -> Result<RawTensor> {
        let name = self.name()?;
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            return Err(broken(format!("Tensor \"{}\" has {dims} dimensions.", shown(&name))));
        }
        let mut shape = Vec::with_capacity(dims as usize);
        for _ in 0..dims {
            shape.push(self.u64()?);
        }
        let count = shape.iter().try_fold(1u64, |a, b| a.checked_mul(*b));
        // The smallest format stores two numbers a byte.
        if count.is_none_or(|count| count == 0 || count / 2 > self.total) {
            let name = shown(&name);
            return Err(broken(format!("Tensor \"{name}\": shape {shape:?} does not fit in the file.")));
        }
        Ok(RawTensor { name, shape, kind: self.u32()?, offset: self.u64()? })
    }

    fn metadata(&mut self, pairs: u64) -> Result<BTreeMap<String, GgufValue>> {
        let (mut metadata, mut passed) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..pairs {
            let key = self.name()?;
            if metadata.contains_key(&key) || passed.contains(&key) {
                return Err(broken(format!("Metadata \"{}\" is there twice.", shown(&key))));
            }
            match self.value(&key)? {
                Some(value) => drop(metadata.insert(key, value)),
                None => drop(passed.insert(key)),
            }
        }
        Ok(metadata)
    }

    pub(super) fn header(&mut self) -> Result<Header> {
        if self.take(4)? != b"GGUF" {
            return Err(ModelError::new(
                Code::GgufMagic,
                "This is not a GGUF file: it does not begin with \"GGUF\".",
            ));
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(ModelError::new(
                Code::GgufVersion,
                format!("GGUF version {version} is not supported."),
            )
            .with("version", version)
            .hint("Versions 2 and 3 can be read."));
        }
        let (tensor_count, pairs) = (self.count(32)?, self.count(13)?);
        if tensor_count > MAX_TENSORS as u64 {
            return Err(too_large(&format!("{MAX_TENSORS} tensors")));
        }
        if pairs > MAX_PAIRS as u64 {
            return Err(too_large(&format!("{MAX_PAIRS} entries")));
        }
        let metadata = self.metadata(pairs)?;
        let mut tensors = Vec::with_capacity(tensor_count as usize);
        for _ in 0..tensor_count {
            tensors.push(self.tensor()?);
        }
        let alignment = metadata.get("general.alignment").and_then(GgufValue::as_u64).unwrap_or(32);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(broken(format!("general.alignment is {alignment}.")));
        }
        Ok(Header { metadata, tensors, data: self.at.next_multiple_of(alignment) })
    }
}

/// Fewest bytes of a list's entry of this kind.
fn smallest(kind: u32) -> u64 {
    match kind {
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        9 => 12,
        _ => 1,
    }
}

fn too_large(limit: &str) -> ModelError {
    let message = format!("The GGUF file has more than {limit} before its weights.");
    ModelError::new(Code::GgufHeaderTooLarge, message)
        .with("limit", limit)
        .hint("Download or copy the file again, or take one from another place.")
}
