//! Weights in files: safetensors (whole or in shards) and GGUF in, safetensors out.

pub mod blocks;
pub mod gguf;
pub mod safetensors;
pub mod write;

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use blocks::{Blocks, Quant};
pub use gguf::{Gguf, GgufValue, convert_to_folder, keep_in_folder};
pub use safetensors::Weights;
pub use write::{HostTensor, write_safetensors};

use crate::error::Code;
use crate::error::{ModelError, Result};
use contract::files;

/// Something tensors can be read from, one at a time, as f32 under their transformers names.
pub trait TensorSource {
    /// Names in order.
    fn names(&self) -> Vec<String>;
    /// Shape of a tensor, outermost dimension first; `None` when there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// Values of a tensor, row by row.
    fn read(&self, name: &str) -> Result<Vec<f32>>;
    /// A matrix as it is stored, where that is smaller than f32.
    fn read_blocks(&self, _name: &str) -> Result<Option<Blocks>> {
        Ok(None)
    }
}

/// Opens the weights of a model folder: `model.gguf` where an import kept it, otherwise safetensors.
pub fn open_folder(folder: &Path) -> Result<Box<dyn TensorSource>> {
    let gguf = folder.join(GGUF_FILE);
    if is_there(&gguf)? {
        Ok(Box::new(Gguf::read(&gguf)?))
    } else {
        Ok(Box::new(Weights::open_folder(folder)?))
    }
}

/// Name under which an import keeps a GGUF file in a model folder.
pub const GGUF_FILE: &str = "model.gguf";

/// Most tensors of a model. Source: the largest published models of any kind have about 100,000.
pub(crate) const MAX_TENSORS: usize = 1 << 18;

/// Whether there is a file. Fails for what is there and is no regular file.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match files::regular(path) {
        Ok(_) => Ok(true),
        Err(why) if why.is_missing() => Ok(false),
        Err(why) => Err(ModelError::unread(path, &why)),
    }
}

/// Two tensors that share bytes, of those given as name, first byte and end.
pub(crate) fn overlapping<'a>(spans: &mut [(&'a str, u64, u64)]) -> Option<(&'a str, &'a str)> {
    spans.sort_unstable_by_key(|(_, start, end)| (*start, *end));
    let mut before: Option<(&str, u64)> = None;
    for (name, start, end) in spans.iter().filter(|(_, start, end)| start < end) {
        match before {
            Some((other, reach)) if *start < reach => return Some((other, name)),
            _ => before = Some((name, *end)),
        }
    }
    None
}

/// Bytes that are read piece by piece: a file, or memory.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    /// A file; pieces are read when asked for.
    File(PathBuf),
    /// All of it.
    Memory(Arc<Vec<u8>>),
}

impl Bytes {
    pub(crate) fn len(&self) -> Result<u64> {
        match self {
            Self::File(path) => match files::regular(path) {
                Ok(found) => Ok(found.len()),
                Err(why) => Err(ModelError::unread(path, &why)),
            },
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads `len` bytes at `start`. The caller has checked both against [`Bytes::len`].
    pub(crate) fn read(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let fail = |error| ModelError::io(path, &error);
                let (mut file, _) = files::open(path).map_err(|why| ModelError::unread(path, &why))?;
                file.seek(SeekFrom::Start(start)).map_err(fail)?;
                let mut bytes = vec![0; len];
                file.read_exact(&mut bytes).map_err(fail)?;
                Ok(bytes)
            }
            Self::Memory(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let piece = start.checked_add(len).and_then(|end| bytes.get(start..end));
                piece
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| ModelError::new(Code::WeightsTruncated, "The bytes end too early."))
            }
        }
    }
}
