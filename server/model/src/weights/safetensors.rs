//! Reading safetensors: headers are checked against the file's length before anything is allocated.

mod index;

use contract::limits::Limit;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::files;
use contract::safetensors::{self, Listed};

use super::gguf::BlockFormat;
use super::{Blocks, Bytes, MAX_TENSORS, TensorSource, is_there, overlapping};
use crate::error::{Code, shown};
use crate::error::{ModelError, Result};
use index::{Index, Shards};

/// Weights in one file.
const SINGLE: &str = "model.safetensors";

/// Names the shards where there are several.
const INDEX: &str = "model.safetensors.index.json";

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
    end: u64,
    /// The name of one that cannot be read.
    format: std::result::Result<Format, Box<str>>,
    shape: Vec<usize>,
}

impl Entry {
    fn bytes(&self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Tensors of a folder, a file or a byte string. Holds headers only; values are read when asked for.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    files: Vec<Bytes>,
    entries: BTreeMap<String, Entry>,
}

fn broken(message: impl Into<String>) -> ModelError {
    let message = message.into();
    ModelError::new(Code::WeightsBroken, &*message)
        .with("why", message.trim_end_matches('.'))
        .hint("Download or copy the file again.")
}

fn header_too_large(name: &str, limit: &str) -> ModelError {
    ModelError::new(Code::WeightsHeaderTooLarge, format!("{name}: the header is larger than {limit}."))
        .with("name", name)
        .with("limit", limit)
        .hint("Download or copy the file again.")
}

fn refuse_pickle(name: &str, start: &[u8]) -> Result<()> {
    // A header of 0x..0280 or 0x..0480 bytes begins like a pickle; only a pickle goes on with an opcode.
    let pickled = matches!(start, [0x80, 2 | 4, opcode, ..] if *opcode >= 0x20);
    let by_magic = start.starts_with(b"PK\x03\x04") || pickled;
    if files::is_pickle(name) || by_magic {
        let name = shown(name);
        return Err(ModelError::new(
            Code::WeightsPickle,
            format!("{name} is a PyTorch pickle, which can run code when it is opened; Burnish does not read it."),
        )
        .with("name", &name)
        .hint("Save the model with save_pretrained(…, safe_serialization=True), or take a repository that has model.safetensors."));
    }
    Ok(())
}

/// Names of the shards in `model.safetensors.index.json` of a folder, in order; each is a plain file name.
///
/// # Errors
/// When the index is damaged or names something else than a file beside it.
pub fn shards(folder: &Path) -> Result<Vec<String>> {
    Ok(index(folder)?.files.into_iter().collect())
}

fn index(folder: &Path) -> Result<Shards> {
    let path = folder.join(INDEX);
    let text = files::read_named(&path).map_err(|why| ModelError::unread(&path, &why))?;
    let index: Index = serde_json::from_slice(&text).map_err(|why| broken(format!("{INDEX}: {why}.")))?;
    let shards = index.weight_map;
    let plain = |name: &String| {
        name.ends_with(".safetensors") && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
    };
    match shards.files.iter().find(|name| !plain(name)) {
        Some(name) => {
            let name = shown(name);
            Err(broken(format!("{INDEX}: \"{name}\" is not the name of a safetensors file beside it.")))
        }
        None => Ok(shards),
    }
}

impl Weights {
    /// Opens `model.safetensors`, or the shards named by `model.safetensors.index.json`, in a folder.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join(SINGLE);
        if is_there(&single)? {
            return Self::open(&single);
        }
        if is_there(&folder.join(INDEX))? {
            return Self::open_shards(folder);
        }
        let entries = std::fs::read_dir(folder).map_err(|error| ModelError::io(folder, &error))?;
        for entry in entries.flatten() {
            refuse_pickle(&entry.file_name().to_string_lossy(), &[])?;
        }
        Err(ModelError::new(Code::WeightsMissing, "There is no model.safetensors here.")
            .hint("The folder must hold model.safetensors, or its shards with model.safetensors.index.json."))
    }

    fn open_shards(folder: &Path) -> Result<Self> {
        let Shards { tensors, files } = index(folder)?;
        let mut all = Self::default();
        for name in files {
            all.add(Bytes::File(folder.join(&name)), &name)?;
        }
        match tensors.into_iter().find(|name| !all.entries.contains_key(name)) {
            Some(lost) => Err(broken(format!("{INDEX}: no shard holds \"{}\".", shown(&lost)))),
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
        all.add(Bytes::Memory(Arc::new(bytes.into())), SINGLE)?;
        Ok(all)
    }

    fn add(&mut self, bytes: Bytes, name: &str) -> Result<()> {
        let total = bytes.len()?;
        let start = bytes.read(0, total.min(8) as usize)?;
        refuse_pickle(name, &start)?;
        let name = shown(name);
        let Ok(size) = <[u8; 8]>::try_from(start.as_slice()) else {
            return Err(broken(format!("{name} is {total} bytes long, too short for a safetensors file.")));
        };
        let size = u64::from_le_bytes(size);
        if size > total - 8 {
            return Err(broken(format!("{name}: the header claims {size} bytes, the file holds {total}.")));
        }
        if size > Limit::SafetensorsHeader.value() {
            return Err(header_too_large(&name, &format!("{} MiB", Limit::SafetensorsHeader.value() >> 20)));
        }
        let json = bytes.read(8, size as usize)?;
        let (file, base) = (self.files.len(), 8 + size);
        let read = safetensors::read(&json, |tensor, listed| {
            if self.entries.len() == MAX_TENSORS {
                return Err(format!("there are more than {MAX_TENSORS} tensors"));
            }
            let entry = entry(listed, file, base, total)?;
            match self.entries.insert(tensor.to_owned(), entry) {
                Some(_) => Err("it is there twice".to_owned()),
                None => Ok(()),
            }
        });
        read.map_err(|why| broken(format!("{name}: the header cannot be read: {why}.")))?;
        self.files.push(bytes);
        self.disjoint(file, &name)
    }

    /// Fails where two tensors of a file share bytes.
    fn disjoint(&self, file: usize, name: &str) -> Result<()> {
        let of_file = self.entries.iter().filter(|(_, entry)| entry.file == file);
        let mut spans: Vec<_> =
            of_file.map(|(tensor, entry)| (tensor.as_str(), entry.start, entry.end)).collect();
        match overlapping(&mut spans) {
            Some((one, other)) => {
                let (one, other) = (shown(one), shown(other));
                Err(broken(format!("{name}: tensors \"{one}\" and \"{other}\" share bytes.")))
            }
            None => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Result<(&Entry, Format)> {
        let entry = self.entries.get(name).ok_or_else(|| {
            ModelError::new(Code::WeightsTensorMissing, format!("The weights lack the tensor \"{name}\"."))
                .with("name", name)
                .hint("Do config.json and the weights belong to the same model?")
        })?;
        match &entry.format {
            Ok(format) => Ok((entry, *format)),
            Err(format) => {
                let message = format!("Tensor \"{name}\" is stored as {format}.");
                Err(ModelError::new(Code::WeightsFormat, message)
                    .with("name", format!("{name} ({format})"))
                    .hint("F32, F16 and BF16 can be read."))
            }
        }
    }

    fn bytes_of(&self, entry: &Entry) -> Result<Vec<u8>> {
        self.files[entry.file].read(entry.start, entry.bytes())
    }

    /// Names of tensors whose number format is unknown here.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| entry.format.is_err()).map(|(name, _)| name.as_str())
    }

    /// Whether both tensors are there in this shape and hold other numbers.
    pub fn differ(&self, one: &str, other: &str, shape: &[usize]) -> Result<bool> {
        let (Ok((one, format)), Ok((other, other_format))) = (self.find(one), self.find(other)) else {
            return Ok(false);
        };
        if one.shape != shape || other.shape != shape {
            return Ok(false);
        }
        if format != other_format {
            return Ok(true);
        }
        let size = one.bytes();
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
        let (entry, format) = self.find(name)?;
        if format != Format::I64 {
            return Err(ModelError::new(
                Code::WeightsFormat,
                format!("Tensor \"{name}\" does not hold whole numbers."),
            )
            .with("name", name));
        }
        Ok(self.bytes_of(entry)?.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect())
    }
}

/// Checks one header entry.
fn entry(listed: Listed<'_>, file: usize, base: u64, total: u64) -> std::result::Result<Entry, String> {
    let Listed { dtype, shape, data_offsets: [start, end] } = listed;
    let count = shape.0.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).ok_or("the shape is too large")?;
    if start > end || end > total - base {
        return Err("its bytes lie outside the file".to_owned());
    }
    let format = match &*dtype {
        "F32" => Ok(Format::F32),
        "F16" => Ok(Format::F16),
        "BF16" => Ok(Format::BF16),
        "I64" => Ok(Format::I64),
        other => Err(other.chars().take(20).collect::<String>().into_boxed_str()),
    };
    let fits = |format: &Format| count.checked_mul(format.size()).map(|n| n as u64) == Some(end - start);
    if format.as_ref().is_ok_and(|format| !fits(format)) {
        return Err("shape and bytes do not match".to_owned());
    }
    Ok(Entry { file, start: base + start, end: base + end, format, shape: shape.0 })
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
        let readable = self.entries.iter().filter(|(_, entry)| entry.format.is_ok());
        readable.map(|(name, _)| name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).ok().map(|(entry, _)| entry.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (entry, format) = self.find(name)?;
        Ok(decode(&self.bytes_of(entry)?, format))
    }

    fn read_blocks(&self, name: &str) -> Result<Option<Blocks>> {
        let (entry, format) = self.find(name)?;
        let format = match format {
            Format::F16 => BlockFormat::F16,
            Format::BF16 => BlockFormat::BF16,
            Format::F32 | Format::I64 => return Ok(None),
        };
        let [rows, cols] = entry.shape[..] else { return Ok(None) };
        Ok(Blocks::from_file(format, rows, cols, self.bytes_of(entry)?))
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

    /// A file of this header, with `bytes` bytes of numbers.
    fn headed(json: &str, bytes: usize) -> Vec<u8> {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file.resize(file.len() + bytes, 0);
        file
    }

    #[test]
    fn n19_overlapping_and_doubled_tensors_are_refused() {
        let one = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
        for (other, reason) in [
            (r#""b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, "share bytes"),
            (r#""b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}"#, "share bytes"),
            (r#""a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}"#, "twice"),
            (r#""a":{"dtype":"I8","shape":[4],"data_offsets":[8,12]}"#, "twice"),
            (r#""__metadata__":{},"__metadata__":{}"#, "twice"),
            (r#""b":{"dtype":"F32","shape":[NaN],"data_offsets":[8,12]}"#, "cannot be read"),
            (r#""b":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[8,12]}"#, "at most 8"),
            (r#""b":{"dtype":"F32","shape":[1],"data_offsets":[8,12],"shape":[1]}"#, "duplicate"),
            (r#""b":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[8,12]}"#, "too large"),
        ] {
            let error = Weights::from_bytes(headed(&format!("{{{one},{other}}}"), 16)).unwrap_err();
            assert!(error.code == Code::WeightsBroken && error.message.contains(reason), "{other}: {error}");
        }
        let empty = r#""b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}"#;
        let read = Weights::from_bytes(headed(&format!("{{{one},{empty}}}"), 8)).unwrap();
        assert_eq!(read.names(), ["a", "b"]);
    }

    #[test]
    fn what_lies_between_the_tensors_is_of_no_interest() {
        let json = r#"{"__metadata__":{"format":"pt","x":[[]]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8],"y":{}}}"#;
        assert_eq!(Weights::from_bytes(headed(json, 12)).unwrap().read("a").unwrap(), [0.0]);
    }

    #[test]
    fn f16_a_header_that_is_too_long_is_refused_unread() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), (Limit::SafetensorsHeader.value() + 1).to_le_bytes()).unwrap();
        assert_eq!(Weights::open(file.path()).unwrap_err().code, Code::WeightsBroken);
        let whole = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        whole.set_len(1 << 33).unwrap();
        assert_eq!(Weights::open(file.path()).unwrap_err().code, Code::WeightsHeaderTooLarge);
    }

    #[test]
    fn an_index_names_files_beside_it_and_each_tensor_once() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |index: &str| {
            std::fs::write(folder.path().join(INDEX), index).unwrap();
            Weights::open_folder(folder.path()).unwrap_err().code
        };
        for file in ["../a.safetensors", "/a.safetensors", ".a.safetensors", "a.bin", "a\\\\b.safetensors"] {
            assert_eq!(
                refused(&format!(r#"{{"weight_map":{{"a":"{file}"}}}}"#)),
                Code::WeightsBroken,
                "{file}"
            );
        }
        assert_eq!(
            refused(r#"{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}"#),
            Code::WeightsBroken
        );
        assert_eq!(refused(r#"{"metadata":{}}"#), Code::WeightsBroken);
        let whole = r#"{"metadata":{"total_size":1},"weight_map":{"a":"m.safetensors","b":"n.safetensors"}}"#;
        for len in 0..whole.len() {
            assert_eq!(refused(&whole[..len]), Code::WeightsBroken, "{len} bytes");
        }
        assert_eq!(refused(r#"{"weight_map":{"a":"m.safetensors"}}"#), Code::WeightsIo);
        std::fs::create_dir(folder.path().join("m.safetensors")).unwrap();
        assert_eq!(refused(r#"{"weight_map":{"a":"m.safetensors"}}"#), Code::FileNotRegular);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn r12_mutations_never_panic(at in 0usize..10_000, byte: u8, second in 0usize..10_000, other: u8) {
            let mut bytes = small();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes[second % len] = other;
            if let Ok(weights) = Weights::from_bytes(bytes) {
                for name in weights.names() {
                    let count: usize = weights.shape(&name).unwrap().iter().product();
                    prop_assert_eq!(weights.read(&name).map(|v| v.len()), Ok(count));
                }
            }
        }
    }
}
