//! The header: magic, counts, metadata, tensor table.

use std::collections::BTreeMap;

use super::{GgufValue, broken};
use crate::error::Code;
use crate::error::{ModelError, Result};

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
    bytes: &'a [u8],
    at: usize,
    total: u64,
    ran_out: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], total: u64) -> Self {
        Self { bytes, at: 0, total, ran_out: false }
    }

    /// Whether reading stopped because the piece at hand was too short.
    pub(super) fn ran_out(&self) -> bool {
        self.ran_out
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        if len > self.total.saturating_sub(self.at as u64) {
            return Err(broken(format!(
                "At byte {}: {len} bytes are announced, the file ends before.",
                self.at
            )));
        }
        let end = self.at + len as usize;
        let Some(piece) = self.bytes.get(self.at..end) else {
            self.ran_out = true;
            return Err(broken("The header is too long."));
        };
        self.at = end;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let piece = self.take(N as u64)?;
        piece.try_into().map_err(|_| broken("The file ends too early."))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String> {
        let len = self.u64()?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    /// A count of things that take at least `smallest` bytes each.
    fn count(&mut self, smallest: u64) -> Result<usize> {
        let at = self.at;
        let count = self.u64()?;
        if count > (self.total - self.at as u64) / smallest {
            return Err(broken(format!(
                "At byte {at}: {count} entries are announced, the file is too short."
            )));
        }
        Ok(count as usize)
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<GgufValue> {
        Ok(match kind {
            0 => GgufValue::Unsigned(u64::from(self.array::<1>()?[0])),
            1 => GgufValue::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => GgufValue::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            3 => GgufValue::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => GgufValue::Unsigned(u64::from(self.u32()?)),
            5 => GgufValue::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            6 => GgufValue::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => GgufValue::Bool(self.array::<1>()?[0] != 0),
            8 => GgufValue::Text(self.text()?),
            9 if depth < MAX_DEPTH => self.list(depth + 1)?,
            10 => GgufValue::Unsigned(self.u64()?),
            11 => GgufValue::Signed(i64::from_le_bytes(self.array()?)),
            12 => GgufValue::Float(f64::from_le_bytes(self.array()?)),
            _ => return Err(broken(format!("At byte {}: unknown kind of metadata ({kind}).", self.at))),
        })
    }

    fn list(&mut self, depth: usize) -> Result<GgufValue> {
        let kind = self.u32()?;
        let smallest = match kind {
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 12,
            _ => 1,
        };
        let count = self.count(smallest)?;
        // Grows as entries arrive: a lying count costs no memory.
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(self.value(kind, depth)?);
        }
        Ok(GgufValue::Array(list))
    }

    fn tensor(&mut self) -> Result<RawTensor> {
        let name = self.text()?;
        let dims = self.u32()?;
        if !(1..=4).contains(&dims) {
            return Err(broken(format!("Tensor \"{name}\" has {dims} dimensions.")));
        }
        let mut shape = Vec::with_capacity(4);
        for _ in 0..dims {
            shape.push(self.u64()?);
        }
        let count = shape.iter().try_fold(1u64, |a, b| a.checked_mul(*b));
        // The smallest format stores two numbers a byte.
        if count.is_none_or(|count| count == 0 || count / 2 > self.total) {
            return Err(broken(format!("Tensor \"{name}\": shape {shape:?} does not fit in the file.")));
        }
        Ok(RawTensor { name, shape, kind: self.u32()?, offset: self.u64()? })
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
        let tensor_count = self.count(24)?;
        let pairs = self.count(13)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let key = self.text()?;
            let kind = self.u32()?;
            metadata.insert(key, self.value(kind, 0)?);
        }
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(self.tensor()?);
        }
        let alignment = metadata.get("general.alignment").and_then(GgufValue::as_u64).unwrap_or(32);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(broken(format!("general.alignment is {alignment}.")));
        }
        let data = (self.at as u64).next_multiple_of(alignment);
        Ok(Header { metadata, tensors, data })
    }
}
