//! Writing safetensors, f32, so that a torn write never lies under the final name.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::Code;
use crate::error::{ModelError, Result};

/// A named tensor on the host, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Name as transformers or PEFT spell it.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f32>,
}

fn header(tensors: &[(String, Vec<usize>)]) -> Result<Vec<u8>> {
    let mut map = Map::new();
    map.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut offset = 0usize;
    for (name, shape) in tensors {
        let end = offset + shape.iter().product::<usize>() * 4;
        map.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [offset, end] }));
        offset = end;
    }
    let mut text = serde_json::to_vec(&Value::Object(map)).map_err(|error| {
        ModelError::new(Code::WeightsWrite, format!("The header could not be written: {error}."))
    })?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}

fn write_values(out: &mut impl Write, values: &[f32]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for block in values.chunks(1 << 14) {
        buffer.clear();
        block.iter().for_each(|value| buffer.extend_from_slice(&value.to_le_bytes()));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// A whole file in memory.
pub fn to_bytes(tensors: &[HostTensor]) -> Result<Vec<u8>> {
    let shapes: Vec<_> = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    let header = header(&shapes)?;
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&header);
    for tensor in tensors {
        tensor.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
    Ok(out)
}

/// Writes tensors to `path`: temporary name, fsync, rename. For more tensors than fit in memory twice use
/// [`write_streamed`].
pub fn write_safetensors(path: &Path, tensors: &[HostTensor]) -> Result<()> {
    let shapes: Vec<_> = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    write_streamed(path, &shapes, |i| Ok(tensors[i].values.clone()))
}

/// As [`write_safetensors`], with values asked for one tensor at a time.
pub fn write_streamed(
    path: &Path,
    shapes: &[(String, Vec<usize>)],
    mut values: impl FnMut(usize) -> Result<Vec<f32>>,
) -> Result<()> {
    atomically(path, |out| {
        let io = |error: std::io::Error| ModelError::io(path, &error);
        let header = header(shapes)?;
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        for (i, (name, shape)) in shapes.iter().enumerate() {
            let values = values(i)?;
            if values.len() != shape.iter().product::<usize>() {
                return Err(ModelError::new(
                    Code::WeightsWrite,
                    format!("\"{name}\": values do not fill its shape."),
                ));
            }
            write_values(out, &values).map_err(io)?;
        }
        Ok(())
    })
}

/// Writes bytes to `path`: temporary name, fsync, rename.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    atomically(path, |out| out.write_all(bytes).map_err(|error| ModelError::io(path, &error)))
}

fn atomically(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let io = |error: std::io::Error| ModelError::io(path, &error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary).map_err(io)?);
    let written = fill(&mut out).and_then(|()| {
        let file = out.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{TensorSource, Weights};

    #[test]
    fn leaves_no_temporary_file_and_replaces_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        for value in [1.0, 2.0] {
            let tensor = HostTensor { name: "x".into(), shape: vec![1], values: vec![value] };
            write_safetensors(&path, &[tensor]).unwrap();
        }
        assert_eq!(Weights::open(&path).unwrap().read("x").unwrap(), [2.0]);
        let bad = write_streamed(&path, &[("x".into(), vec![2])], |_| Ok(vec![0.0]));
        assert!(bad.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
