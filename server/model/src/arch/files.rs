//! How tensors lie in files where that differs from how they lie in memory: GPT-2 stores linear maps transposed,
//! and some published folders leave out the first part of every name.

use crate::config::ModelConfig;
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::weights::TensorSource;

/// Rows and columns swapped.
pub(crate) fn transposed(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..cols).flat_map(|col| (0..rows).map(move |row| values[row * cols + col])).collect()
}

/// Shape in a file of a tensor that has this shape in memory.
pub(super) fn file_shape(config: &ModelConfig, name: &str, shape: &[usize]) -> Vec<usize> {
    match shape {
        [outer, inner] if config.is_transposed(name) => vec![*inner, *outer],
        _ => shape.to_vec(),
    }
}

/// The name under which the files hold a tensor.
pub(super) fn file_name<'n>(weights: &dyn TensorSource, name: &'n str) -> &'n str {
    let bare = name.split_once('.').map(|(_, bare)| bare);
    bare.filter(|bare| weights.shape(name).is_none() && weights.shape(bare).is_some()).unwrap_or(name)
}

/// Values of a tensor as they lie in memory. Fails when it is missing or has another shape.
pub(super) fn read(
    config: &ModelConfig,
    weights: &dyn TensorSource,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>> {
    let wanted = file_shape(config, name, shape);
    let stored = file_name(weights, name);
    if let Some(found) = weights.shape(stored).filter(|found| *found != wanted) {
        return Err(ModelError::new(
            Code::WeightsShape,
            format!("Tensor \"{name}\" has shape {found:?}, config.json asks for {wanted:?}."),
        )
        .with("name", name)
        .hint("config.json and the weights belong to different models."));
    }
    let values = weights.read(stored)?;
    Ok(if wanted == shape && !config.is_transposed(name) {
        values
    } else {
        transposed(&values, wanted[0], wanted[1])
    })
}

/// Values of a tensor as files hold them.
pub(super) fn to_file(config: &ModelConfig, name: &str, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
    match shape {
        [outer, inner] if config.is_transposed(name) => transposed(&values, *outer, *inner),
        _ => values,
    }
}
