//! The value head: one number per position from the last hidden state (S-130 to S-132).

use std::path::Path;

use crate::arch::Param;
use crate::error::Code;
use crate::error::{ModelError, Result, file_name};
use crate::kernels::{Kernels, Mat, product, product_transposed};
use crate::rng::{Rng, splitmix};
use crate::train::Grads;
use crate::weights::{HostTensor, TensorSource, Weights, write_safetensors};

/// `dropout(hidden) w + b` in f32.
#[derive(Clone, Debug)]
pub struct ValueHead<B: Kernels> {
    /// `[1, d]`.
    pub weight: Param<B>,
    /// `[1]`.
    pub bias: Param<B>,
    /// Share of the hidden state that is dropped in training.
    pub dropout: f32,
}

impl<B: Kernels> ValueHead<B> {
    fn of(weight: Vec<f32>, bias: f32, dropout: f32, device: &B::Device) -> Self {
        let width = weight.len();
        let param = |name: &str, shape: Vec<usize>, value: Mat<B>| Param {
            name: name.into(),
            shape,
            value,
            trainable: true,
        };
        Self {
            weight: param("v_head.weight", vec![1, width], B::from_host(weight, 1, width, device)),
            bias: param("v_head.bias", vec![1], B::from_host(vec![bias], 1, 1, device)),
            dropout,
        }
    }

    /// A fresh head, PyTorch's linear initialisation: uniform within `1 / sqrt(width)`.
    pub fn fresh(width: usize, dropout: f32, seed: u64, device: &B::Device) -> Self {
        let mut rng = Rng::new(splitmix(seed ^ 0x7661_6c75_6568_6561));
        let bound = 1.0 / (width as f64).sqrt();
        let weight = rng.uniforms(width, bound);
        let bias = rng.uniforms(1, bound)[0];
        Self::of(weight, bias, dropout, device)
    }

    /// A head that gives 0 everywhere (S-132): values drawn by chance would be as wide as the rewards, and
    /// advantages little but their noise.
    pub fn zero(width: usize, dropout: f32, device: &B::Device) -> Self {
        Self::of(vec![0.0; width], 0.0, dropout, device)
    }

    /// Reads `….summary.weight` `[1, width]` and `….summary.bias` `[1]` from a file of one head; with `prefix`,
    /// from a file of several (`default.`, `reward.`).
    ///
    /// # Errors
    /// When the file is missing or holds no head of this width.
    pub fn load(path: &Path, prefix: &str, width: usize, dropout: f32, device: &B::Device) -> Result<Self> {
        let weights = Weights::open(path)?;
        let find = |name: &str| {
            let wanted = |found: &String| found.starts_with(prefix) && found.ends_with(name);
            weights.names().into_iter().find(wanted).ok_or_else(|| {
                ModelError::new(Code::ValueHeadMissing, format!("{} holds no \"{name}\".", file_name(path)))
                    .with("name", name)
                    .hint("Choose a checkpoint of a reward model run.")
            })
        };
        let (weight, bias) = (weights.read(&find("summary.weight")?)?, weights.read(&find("summary.bias")?)?);
        if weight.len() != width || bias.len() != 1 {
            return Err(ModelError::new(
                Code::ValueHeadWidth,
                format!("The value head is {} wide, this model {width}.", weight.len()),
            )
            .with("found", weight.len())
            .with("width", width)
            .hint("The head was trained on another base model."));
        }
        Ok(Self::of(weight, bias[0], dropout, device))
    }

    /// Writes the head as `v_head.summary.weight` and `v_head.summary.bias`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let tensor = |name: &str, param: &Param<B>| HostTensor {
            name: name.into(),
            shape: param.shape.clone(),
            values: B::to_host(&param.value),
        };
        let tensors =
            [tensor("v_head.summary.bias", &self.bias), tensor("v_head.summary.weight", &self.weight)];
        write_safetensors(path, &tensors)
    }

    /// Its tensors.
    pub fn params(&self) -> [&Param<B>; 2] {
        [&self.weight, &self.bias]
    }

    /// Its tensors, to be changed.
    pub fn params_mut(&mut self) -> [&mut Param<B>; 2] {
        [&mut self.weight, &mut self.bias]
    }

    fn dropped(&self, hidden: &Mat<B>, seed: Option<u64>) -> Option<Mat<B>> {
        let seed = seed.filter(|_| self.dropout > 0.0)?;
        Some(B::dropout(hidden, self.dropout, splitmix(seed ^ 0x6865_6164)))
    }

    /// Values of normed hidden states `[tokens, d]`, one each; `seed` drops, `None` does not.
    pub fn values(&self, hidden: &Mat<B>, seed: Option<u64>) -> Vec<f32> {
        let dropped = self.dropped(hidden, seed);
        let hidden = dropped.as_ref().unwrap_or(hidden);
        B::to_host(&B::affine(hidden, &self.weight.value, Some(&self.bias.value)))
    }

    /// Adds the head's gradients; returns the gradient of the hidden states.
    pub fn backward(
        &self,
        hidden: &Mat<B>,
        d_values: Vec<f32>,
        seed: Option<u64>,
        device: &B::Device,
        grads: &mut Grads<B>,
    ) -> Mat<B> {
        let count = d_values.len();
        let d_values = B::from_host(d_values, count, 1, device);
        let dropped = self.dropped(hidden, seed);
        grads.add(&self.weight.name, product_transposed(&d_values, dropped.as_ref().unwrap_or(hidden)));
        grads.add(&self.bias.name, d_values.clone().sum_dim(0));
        let d_hidden = product(&d_values, &self.weight.value);
        self.dropped(&d_hidden, seed).unwrap_or(d_hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn s_130_a_fresh_head_is_pytorchs_linear_and_drops_only_in_training() {
        let device = Default::default();
        let head = ValueHead::<Cpu>::fresh(64, 0.1, 1, &device);
        let weight = Cpu::to_host(&head.weight.value);
        assert!(weight.iter().all(|w| w.abs() <= 0.125) && weight.iter().any(|w| w.abs() > 0.1));
        let hidden = Cpu::from_host((0..128).map(|i| i as f32 / 64.0).collect(), 2, 64, &device);
        let plain = head.values(&hidden, None);
        assert_eq!(plain, head.values(&hidden, None));
        assert_ne!(plain, head.values(&hidden, Some(5)));
        assert_eq!(head.values(&hidden, Some(5)), head.values(&hidden, Some(5)));
        let by_hand: f32 = weight.iter().zip(0..).map(|(w, i)| w * (i as f32 / 64.0)).sum();
        assert!((plain[0] - by_hand - Cpu::to_host(&head.bias.value)[0]).abs() < 1e-5);
    }

    #[test]
    fn s_132_the_head_of_a_new_policy_expects_nothing() {
        let device = Default::default();
        let head = ValueHead::<Cpu>::zero(4, 0.0, &device);
        let hidden = Cpu::from_host(vec![3.0; 8], 2, 4, &device);
        assert_eq!(head.values(&hidden, None), [0.0, 0.0]);
    }

    #[test]
    fn s_131_s_132_a_head_goes_round_and_another_width_is_refused() {
        let (device, place) = (Default::default(), tempfile::tempdir().unwrap());
        let path = place.path().join("value_head.safetensors");
        let missing = ValueHead::<Cpu>::load(&path, "", 8, 0.0, &device);
        assert!(missing.is_err(), "a missing file is an error, not a warning");
        let head = ValueHead::<Cpu>::fresh(8, 0.0, 1, &device);
        head.save(&path).unwrap();
        let again = ValueHead::<Cpu>::load(&path, "", 8, 0.0, &device).unwrap();
        assert_eq!(Cpu::to_host(&again.weight.value), Cpu::to_host(&head.weight.value));
        assert_eq!(
            ValueHead::<Cpu>::load(&path, "", 9, 0.0, &device).unwrap_err().code,
            Code::ValueHeadWidth
        );
    }
}
