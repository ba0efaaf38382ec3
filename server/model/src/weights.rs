//! Weights in files: safetensors (whole or in shards) and GGUF in, safetensors out.

pub mod gguf;
pub mod safetensors;
pub mod write;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

pub use gguf::{Gguf, GgufValue, convert_to_folder};
pub use safetensors::Weights;
pub use write::{HostTensor, write_safetensors};

use crate::error::{ModelError, Result};

/// Something tensors can be read from, one at a time, as f32 under their transformers names.
pub trait TensorSource {
    /// Names in order.
    fn names(&self) -> Vec<String>;
    /// Shape of a tensor, outermost dimension first; `None` when there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// Values of a tensor, row by row.
    fn read(&self, name: &str) -> Result<Vec<f32>>;
}

/// Bytes that are read piece by piece: a file, or memory.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    /// A file; pieces are read when asked for.
    File(PathBuf),
    /// All of it.
    Memory(Arc<[u8]>),
}

impl Bytes {
    pub(crate) fn len(&self) -> Result<u64> {
        match self {
            Self::File(path) => {
                Ok(std::fs::metadata(path).map_err(|error| ModelError::io(path, &error))?.len())
            }
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads `len` bytes at `start`. The caller has checked both against [`Bytes::len`].
    pub(crate) fn read(&self, start: u64, len: usize) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let fail = |error| ModelError::io(path, &error);
                let mut file = File::open(path).map_err(fail)?;
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
                    .ok_or_else(|| ModelError::new("weights.truncated", "The bytes end too early."))
            }
        }
    }
}
