//! Gradients by tensor name.

use std::collections::BTreeMap;

use crate::kernels::{Kernels, Mat};

/// A sum of gradients, one matrix per trainable tensor.
#[derive(Clone, Debug)]
pub struct Grads<B: Kernels> {
    by_name: BTreeMap<String, Mat<B>>,
}

impl<B: Kernels> Default for Grads<B> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<B: Kernels> Grads<B> {
    /// Adds to the gradient of a tensor.
    pub fn add(&mut self, name: &str, grad: Mat<B>) {
        match self.by_name.remove(name) {
            Some(sum) => self.by_name.insert(name.to_owned(), sum + grad),
            None => self.by_name.insert(name.to_owned(), grad),
        };
    }

    /// Adds all of another sum.
    pub fn merge(&mut self, other: Self) {
        for (name, grad) in other.by_name {
            self.add(&name, grad);
        }
    }

    /// The gradient of a tensor.
    pub fn get(&self, name: &str) -> Option<&Mat<B>> {
        self.by_name.get(name)
    }

    /// Names and gradients in order.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Mat<B>)> {
        self.by_name.iter()
    }

    /// Square root of the sum of squares over all tensors.
    pub fn global_norm(&self) -> f64 {
        B::total_of_squares(self.by_name.values()).sqrt()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Factor that brings a norm down to `max` (PyTorch's `clip_grad_norm_`); 1 when it is below.
pub(super) fn clip_factor(norm: f64, max: Option<f64>) -> f64 {
    max.map_or(1.0, |max| (max / (norm + 1e-6)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn sums_and_norm() {
        let device = Default::default();
        let mut grads = Grads::<Cpu>::default();
        grads.add("a", Cpu::from_host(vec![1.0, 0.0], 1, 2, &device));
        let mut other = Grads::default();
        other.add("a", Cpu::from_host(vec![2.0, 0.0], 1, 2, &device));
        other.add("b", Cpu::from_host(vec![4.0], 1, 1, &device));
        grads.merge(other);
        assert_eq!(grads.global_norm(), 5.0);
        assert!((clip_factor(5.0, Some(1.0)) - 0.2).abs() < 1e-6);
        assert_eq!((clip_factor(5.0, None), clip_factor(0.5, Some(1.0))), (1.0, 1.0));
    }
}
