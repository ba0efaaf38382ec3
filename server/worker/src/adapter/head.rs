//! Value heads as TRL and the original toolkit write them, and the score of a reward model.

use std::path::Path;

use contract::Code;
use contract::problem::Problem;
use model::weights::{HostTensor, TensorSource, Weights};

use super::{count, open, shape, tensor};
use crate::problems::of_model;

/// One number per position: a row as wide as the model, and perhaps a bias.
#[derive(Debug)]
pub(super) struct Head {
    weights: Weights,
    weight: String,
    bias: Option<String>,
}

impl Head {
    /// The head in a file of its own.
    pub(super) fn of_file(path: &Path) -> Result<Self, Problem> {
        let weights = open(path)?;
        let names = weights.names();
        Self::of(weights, &names)
    }

    /// The head that lies among an adapter's tensors.
    pub(super) fn within(weights: &Weights, names: &[String]) -> Result<Self, Problem> {
        Self::of(weights.clone(), names)
    }

    fn of(weights: Weights, names: &[String]) -> Result<Self, Problem> {
        let (mut weight, mut bias) = (None, None);
        for name in names {
            let slot = if name.ends_with("bias") { &mut bias } else { &mut weight };
            if !name.ends_with("bias") && !name.ends_with("weight") || slot.replace(name.clone()).is_some() {
                return Err(tensor(name));
            }
        }
        let weight = weight.ok_or_else(|| {
            Problem::new(Code::ValueHeadMissing, "The value head holds no weight.")
                .with("name", "summary.weight")
        })?;
        let width = count(&weights, &weight) as usize;
        let found = weights.shape(&weight).unwrap_or_default();
        if width == 0 || (found != [1, width] && found != [width]) {
            return Err(shape(&weight, &found, &[1, width]));
        }
        if let Some(bias) = bias.as_ref().filter(|bias| count(&weights, bias) != 1) {
            return Err(shape(bias, &weights.shape(bias).unwrap_or_default(), &[1]));
        }
        Ok(Self { weights, weight, bias })
    }

    /// Its width.
    pub(super) fn width(&self) -> u64 {
        count(&self.weights, &self.weight)
    }

    /// Its tensors under the names that Burnish and TRL read.
    pub(super) fn tensors(&self) -> Result<Vec<HostTensor>, Problem> {
        let weight = self.weights.read(&self.weight).map_err(of_model)?;
        let bias = match &self.bias {
            Some(bias) => self.weights.read(bias).map_err(of_model)?,
            None => vec![0.0],
        };
        let of = |name: &str, shape: Vec<usize>, values| HostTensor { name: name.to_owned(), shape, values };
        Ok(vec![
            of("v_head.summary.bias", vec![1], bias),
            of("v_head.summary.weight", vec![1, weight.len()], weight),
        ])
    }
}
