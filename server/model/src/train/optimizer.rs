//! AdamW with decoupled decay; its state can be stored and given back.

use std::collections::BTreeMap;

use crate::arch::{CausalLm, Param};
use crate::error::Code;
use crate::error::{ModelError, Result};
use crate::kernels::{AdamStep, Kernels, Mat};
use crate::train::{Grads, ValueHead};
use crate::weights::HostTensor;

/// Constants of AdamW, PyTorch's defaults but for the decay, which is off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Decoupled weight decay; biases and norm weights are spared.
    pub weight_decay: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// AdamW over the trainable tensors of a model. Only tensors that had a gradient have state.
#[derive(Clone, Debug)]
pub struct AdamW<B: Kernels> {
    config: OptimConfig,
    moments: BTreeMap<String, (Mat<B>, Mat<B>)>,
    t: u64,
}

/// Whether weight decay applies to a tensor.
pub(super) fn decays(name: &str) -> bool {
    !name.ends_with(".bias") && !name.contains("norm.weight") && !name.contains(".ln_")
}

impl<B: Kernels> AdamW<B> {
    /// An optimizer that has not stepped yet.
    pub fn new(config: OptimConfig) -> Self {
        Self { config, moments: BTreeMap::new(), t: 0 }
    }

    /// Updates made so far.
    pub fn steps(&self) -> u64 {
        self.t
    }

    /// Updates every trainable tensor that has a gradient; gradients are multiplied by `grad_scale` first.
    pub fn step(
        &mut self,
        model: &mut CausalLm<B>,
        head: Option<&mut ValueHead<B>>,
        grads: &Grads<B>,
        lr: f64,
        grad_scale: f64,
    ) {
        self.t += 1;
        let device = model.device().clone();
        let update = (lr, grad_scale);
        model.visit_mut(|param| self.update(param, grads, update, &device));
        for param in head.into_iter().flat_map(|head| head.params_mut()) {
            self.update(param, grads, update, &device);
        }
    }

    fn update(
        &mut self,
        param: &mut Param<B>,
        grads: &Grads<B>,
        (lr, grad_scale): (f64, f64),
        device: &B::Device,
    ) {
        let Some(grad) = grads.get(&param.name).filter(|_| param.trainable) else { return };
        let OptimConfig { beta1, beta2, eps, weight_decay } = self.config;
        let [rows, cols] = param.value.dims();
        let zeros = || B::from_host(vec![0.0; rows * cols], rows, cols, device);
        let moments = self.moments.remove(&param.name).unwrap_or_else(|| (zeros(), zeros()));
        let weight_decay = if decays(&param.name) { weight_decay } else { 0.0 };
        let step = AdamStep { lr, beta1, beta2, eps, weight_decay, t: self.t, grad_scale };
        // The value is taken out so that the update can happen in place.
        let value = std::mem::replace(&mut param.value, B::from_host(vec![0.0], 1, 1, device));
        let (value, m, v) = B::adamw(value, grad, moments, step);
        param.value = value;
        self.moments.insert(param.name.clone(), (m, v));
    }

    /// Both moments of every tensor (`NAME.exp_avg`, `NAME.exp_avg_sq`); the step count is [`AdamW::steps`].
    pub fn state(&self) -> Vec<HostTensor> {
        let mut tensors = Vec::with_capacity(2 * self.moments.len());
        for (name, (m, v)) in &self.moments {
            for (kind, moment) in [("exp_avg", m), ("exp_avg_sq", v)] {
                let values = B::to_host(moment);
                tensors.push(HostTensor {
                    name: format!("{name}.{kind}"),
                    shape: moment.dims().to_vec(),
                    values,
                });
            }
        }
        tensors
    }

    /// Takes stored state back. Fails when a moment is missing or has another shape than its tensor.
    pub fn load_state(
        &mut self,
        steps: u64,
        tensors: Vec<HostTensor>,
        model: &CausalLm<B>,
        head: Option<&ValueHead<B>>,
    ) -> Result<()> {
        let mut by_name: BTreeMap<String, HostTensor> =
            tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let mut moments = BTreeMap::new();
        let mut wrong = None;
        let mut restore = |param: &Param<B>| {
            let mut take = |kind: &str| by_name.remove(&format!("{}.{kind}", param.name));
            let (Some(m), Some(v)) = (take("exp_avg"), take("exp_avg_sq")) else { return };
            let [rows, cols] = param.value.dims();
            if m.values.len() != rows * cols || v.values.len() != rows * cols {
                wrong = Some(param.name.clone());
                return;
            }
            let put = |values| B::from_host(values, rows, cols, model.device());
            moments.insert(param.name.clone(), (put(m.values), put(v.values)));
        };
        model.visit(&mut restore);
        head.into_iter().flat_map(ValueHead::params).for_each(&mut restore);
        if let Some(name) = wrong.or_else(|| by_name.keys().next().cloned()) {
            return Err(ModelError::new(
                Code::OptimizerState,
                format!("The stored optimizer state \"{name}\" does not fit this model."),
            )
            .with("name", &name)
            .hint("Resume with the same model and the same LoRA settings."));
        }
        (self.t, self.moments) = (steps, moments);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_spares_biases_and_norms() {
        assert!(decays("model.layers.0.mlp.up_proj.weight") && decays("x.lora_A.weight"));
        assert!(!decays("transformer.h.0.ln_1.weight") && decays("transformer.h.0.attn.c_attn.weight"));
        assert!(
            !decays("model.norm.weight")
                && !decays("a.q_proj.bias")
                && !decays("model.layers.0.input_layernorm.weight")
        );
    }
}
