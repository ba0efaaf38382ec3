//! Reading safetensors: headers are checked against the file's length before anything is allocated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::gguf::BlockFormat;
use super::{Blocks, Bytes, TensorSource};
use crate::error::Code;
use crate::error::{ModelError, Result, name_of};

/// Longest header accepted, bytes.
const MAX_HEADER: u64 = 100 << 20;

/// Bytes of two tensors that are compared at a time.
const PIECE: usize = 8 << 20;

/// Number formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    F32,
    F16,
    BF16,
    I64,
}

impl Format {
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I64 => 8,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    start: u64,
    format: Format,
    shape: Vec<usize>,
    count: usize,
}

/// Tensors of a folder, a file or a byte string. Holds headers only; values are read when asked for.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    files: Vec<Bytes>,
    entries: BTreeMap<String, Entry>,
    unreadable: BTreeMap<String, String>,
}

fn broken(message: impl Into<String>) -> ModelError {
    let message = message.into();
    ModelError::new(Code::WeightsBroken, &*message)
        .with("why", message.trim_end_matches('.'))
        .hint("Download or copy the file again.")
}

fn refuse_pickle(name: &str, start: &[u8]) -> Result<()> {
    let by_name = [".bin", ".pt", ".pth", ".ckpt", ".pkl"].iter().any(|end| name.ends_with(end));
    // A header of 0x..0280 or 0x..0480 bytes begins like a pickle; only a pickle goes on with an opcode.
    let pickled = matches!(start, [0x80, 2 | 4, opcode, ..] if *opcode >= 0x20);
    let by_magic = start.starts_with(b"PK\x03\x04") || pickled;
    if by_name || by_magic {
        return Err(ModelError::new(
            Code::WeightsPickle,
            format!("{name} is a PyTorch pickle, which can run code when it is opened; Burnish does not read it."),
        )
        .with("name", name)
        .hint("Save the model with save_pretrained(…, safe_serialization=True), or take a repository that has model.safetensors."));
    }
    Ok(())
}

impl Weights {
    /// Opens `model.safetensors`, or the shards named by `model.safetensors.index.json`, in a folder.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        if single.is_file() {
            return Self::open(&single);
        }
        let index = folder.join("model.safetensors.index.json");
        if index.is_file() {
            return Self::open_shards(folder, &index);
        }
        let entries = std::fs::read_dir(folder).map_err(|error| ModelError::io(folder, &error))?;
        for entry in entries.flatten() {
            refuse_pickle(&entry.file_name().to_string_lossy(), &[])?;
        }
        Err(ModelError::new(Code::WeightsMissing, format!("{}: no model.safetensors here.", name_of(folder)))
            .hint("The folder must hold model.safetensors, or its shards with model.safetensors.index.json."))
    }

    fn open_shards(folder: &Path, index: &Path) -> Result<Self> {
        let text = std::fs::read(index).map_err(|error| ModelError::io(index, &error))?;
        let value: Value =
            serde_json::from_slice(&text).map_err(|e| broken(format!("{}: {e}.", name_of(index))))?;
        let map = value.get("weight_map").and_then(Value::as_object);
        let map = map.ok_or_else(|| broken(format!("{}: \"weight_map\" is missing.", name_of(index))))?;
        let mut files: Vec<&str> = map.values().filter_map(Value::as_str).collect();
        files.sort_unstable();
        files.dedup();
        let mut all = Self::default();
        for name in files {
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(broken(format!("{}: \"{name}\" is not a plain file name.", name_of(index))));
            }
            all.add(Bytes::File(folder.join(name)), name)?;
        }
        match map.keys().find(|name| !all.entries.contains_key(*name) && !all.unreadable.contains_key(*name))
        {
            Some(lost) => Err(broken(format!("{}: no shard holds \"{lost}\".", name_of(index)))),
            None => Ok(all),
        }
    }

    /// Opens one file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut all = Self::default();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        all.add(Bytes::File(path.to_owned()), &name)?;
        Ok(all)
    }

    /// Reads a whole file that lies in memory.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let mut all = Self::default();
        all.add(Bytes::Memory(Arc::new(bytes.into())), "model.safetensors")?;
        Ok(all)
    }

    fn add(&mut self, bytes: Bytes, name: &str) -> Result<()> {
        let total = bytes.len()?;
        let start = bytes.read(0, total.min(8) as usize)?;
        refuse_pickle(name, &start)?;
        let Ok(size) = <[u8; 8]>::try_from(start.as_slice()) else {
            return Err(broken(format!("{name} is {total} bytes long, too short for a safetensors file.")));
        };
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > total - 8 {
            return Err(broken(format!("{name}: the header claims {size} bytes, the file holds {total}.")));
        }
        let header = bytes.read(8, size as usize)?;
        let header: serde_json::Map<String, Value> = serde_json::from_slice(&header)
            .map_err(|error| broken(format!("{name}: the header is not JSON: {error}.")))?;
        let file = self.files.len();
        for (tensor, value) in header.iter().filter(|(key, _)| *key != "__metadata__") {
            match entry(value, file, 8 + size, total) {
                Ok(Ok(entry)) => {
                    self.entries.insert(tensor.clone(), entry);
                }
                Ok(Err(format)) => {
                    self.unreadable.insert(tensor.clone(), format);
                }
                Err(why) => return Err(broken(format!("{name}: tensor \"{tensor}\": {why}."))),
            }
        }
        self.files.push(bytes);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        if let Some(format) = self.unreadable.get(name) {
            return Err(ModelError::new(
                Code::WeightsFormat,
                format!("Tensor \"{name}\" is stored as {format}."),
            )
            .with("name", format!("{name} ({format})"))
            .hint("F32, F16 and BF16 can be read."));
        }
        self.entries.get(name).ok_or_else(|| {
            ModelError::new(Code::WeightsTensorMissing, format!("The weights lack the tensor \"{name}\"."))
                .with("name", name)
                .hint("Do config.json and the weights belong to the same model?")
        })
    }

    /// Whether both tensors are there in this shape and hold other numbers.
    pub fn differ(&self, one: &str, other: &str, shape: &[usize]) -> Result<bool> {
        let (Some(one), Some(other)) = (self.entries.get(one), self.entries.get(other)) else {
            return Ok(false);
        };
        if one.shape != shape || other.shape != shape {
            return Ok(false);
        }
        if one.format != other.format {
            return Ok(true);
        }
        let size = one.count * one.format.size();
        for at in (0..size).step_by(PIECE) {
            let length = PIECE.min(size - at);
            let piece = |entry: &Entry| self.files[entry.file].read(entry.start + at as u64, length);
            if piece(one)? != piece(other)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whole numbers of an I64 tensor (masks, ids).
    pub fn read_integers(&self, name: &str) -> Result<Vec<i64>> {
        let entry = self.find(name)?;
        if entry.format != Format::I64 {
            return Err(ModelError::new(
                Code::WeightsFormat,
                format!("Tensor \"{name}\" does not hold whole numbers."),
            )
            .with("name", name));
        }
        let bytes = self.files[entry.file].read(entry.start, entry.count * 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
    }
}

/// Checks one header entry; `Ok(Err(format))` when its number format is unknown here.
fn entry(
    value: &Value,
    file: usize,
    base: u64,
    total: u64,
) -> std::result::Result<std::result::Result<Entry, String>, &'static str> {
    let format = value.get("dtype").and_then(Value::as_str).ok_or("no dtype")?;
    let shape = value.get("shape").and_then(Value::as_array).ok_or("no shape")?;
    let shape =
        shape.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect::<Option<Vec<_>>>();
    let shape = shape.ok_or("the shape is not a list of sizes")?;
    let count = shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).ok_or("the shape is too large")?;
    let offsets = value.get("data_offsets").and_then(Value::as_array).ok_or("no data_offsets")?;
    let [Some(start), Some(end)] = [0, 1].map(|i| offsets.get(i).and_then(Value::as_u64)) else {
        return Err("data_offsets must be two whole numbers");
    };
    if start > end || end > total - base {
        return Err("its bytes lie outside the file");
    }
    let format = match format {
        "F32" => Format::F32,
        "F16" => Format::F16,
        "BF16" => Format::BF16,
        "I64" => Format::I64,
        other => return Ok(Err(other.chars().take(20).collect())),
    };
    if count.checked_mul(format.size()).map(|n| n as u64) != Some(end - start) {
        return Err("shape and bytes do not match");
    }
    Ok(Ok(Entry { file, start: base + start, format, shape, count }))
}

/// Turns little-endian numbers into f32.
fn decode(bytes: &[u8], format: Format) -> Vec<f32> {
    let pairs = bytes.as_chunks::<2>().0.iter();
    match format {
        Format::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Format::F16 => pairs.map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
        Format::BF16 => pairs.map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect(),
        Format::I64 => bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect(),
    }
}

impl TensorSource for Weights {
    fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.entries.get(name).map(|entry| entry.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let entry = self.find(name)?;
        let bytes = self.files[entry.file].read(entry.start, entry.count * entry.format.size())?;
        Ok(decode(&bytes, entry.format))
    }

    fn read_blocks(&self, name: &str) -> Result<Option<Blocks>> {
        let entry = self.find(name)?;
        let format = match entry.format {
            Format::F16 => BlockFormat::F16,
            Format::BF16 => BlockFormat::BF16,
            Format::F32 | Format::I64 => return Ok(None),
        };
        let [rows, cols] = entry.shape[..] else { return Ok(None) };
        let bytes = self.files[entry.file].read(entry.start, entry.count * entry.format.size())?;
        Ok(Blocks::from_file(format, rows, cols, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::write::{HostTensor, to_bytes};
    use proptest::prelude::*;

    fn small() -> Vec<u8> {
        let a =
            HostTensor { name: "a".into(), shape: vec![2, 3], values: vec![1.0, -2.0, 3.5, 0.0, 1e-8, 7.0] };
        let b = HostTensor { name: "b".into(), shape: vec![1], values: vec![9.0] };
        to_bytes(&[a, b]).unwrap()
    }

    #[test]
    fn round_trip() {
        let weights = Weights::from_bytes(small()).unwrap();
        assert_eq!(weights.shape("a").unwrap(), [2, 3]);
        assert_eq!(weights.read("a").unwrap(), [1.0, -2.0, 3.5, 0.0, 1e-8, 7.0]);
        assert_eq!(weights.read("c").unwrap_err().code, Code::WeightsTensorMissing);
    }

    #[test]
    fn a_header_whose_length_begins_like_a_pickle_is_no_pickle() {
        assert!(refuse_pickle("model.safetensors", &[0x80, 4, 0, 0, 0, 0, 0, 0]).is_ok());
        assert!(refuse_pickle("model.safetensors", &[0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46]).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = small();
        for len in 0..whole.len() {
            assert!(Weights::from_bytes(whole[..len].to_vec()).is_err(), "{len} bytes were accepted");
        }
    }

    #[test]
    fn pickles_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pytorch_model.bin"), b"PK\x03\x04").unwrap();
        let error = Weights::open_folder(folder.path()).unwrap_err();
        assert_eq!(error.code, Code::WeightsPickle);
        assert!(error.to_string().contains("safe_serialization"));
        assert_eq!(Weights::from_bytes(b"\x80\x02ccommand".to_vec()).unwrap_err().code, Code::WeightsPickle);
    }

    #[test]
    fn half_formats_decode() {
        let one = half::bf16::from_f32(1.5).to_le_bytes();
        assert_eq!(decode(&one, Format::BF16), [1.5]);
        assert_eq!(decode(&half::f16::from_f32(-0.25).to_le_bytes(), Format::F16), [-0.25]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn mutations_never_panic(at in 0usize..200, byte: u8) {
            let mut bytes = small();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(weights) = Weights::from_bytes(bytes) {
                for name in weights.names() {
                    let count: usize = weights.shape(&name).unwrap().iter().product();
                    prop_assert_eq!(weights.read(&name).map(|v| v.len()), Ok(count));
                }
            }
        }
    }
}
