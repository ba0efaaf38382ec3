//! A linear map with an optional low-rank adapter: `y = W x + bias + scale B (A x)`.

use super::{Mode, Param, Weight};
use crate::kernels::{Kernels, Mat, product, product_transposed};
use crate::rng::splitmix;
use crate::train::Grads;

mod dora;

pub use dora::Magnitude;

/// The low-rank part.
#[derive(Clone, Debug)]
pub struct LoraPart<B: Kernels> {
    /// `[r, in]`.
    pub a: Param<B>,
    /// `[out, r]`.
    pub b: Param<B>,
    /// `alpha / r`, or `alpha / sqrt(r)`.
    pub scale: f32,
    /// Share of the adapter's input that is dropped in training.
    pub dropout: f32,
    /// DoRA: the length of each output row, learnt by itself.
    pub magnitude: Option<Magnitude<B>>,
}

impl<B: Kernels> LoraPart<B> {
    /// Its tensors.
    pub fn params(&self) -> impl Iterator<Item = &Param<B>> {
        [&self.a, &self.b].into_iter().chain(self.magnitude.iter().map(|m| &m.value))
    }

    /// Its tensors, to be changed.
    pub fn params_mut(&mut self) -> impl Iterator<Item = &mut Param<B>> {
        [&mut self.a, &mut self.b].into_iter().chain(self.magnitude.iter_mut().map(|m| &mut m.value))
    }
}

/// A linear map.
#[derive(Clone, Debug)]
pub struct Linear<B: Kernels> {
    /// `[out, in]`.
    pub weight: Weight<B>,
    /// `[1, out]`.
    pub bias: Option<Param<B>>,
    /// Adapter.
    pub lora: Option<LoraPart<B>>,
    /// Number of this map in the model: makes dropout masks differ.
    pub index: u64,
}

impl<B: Kernels> Linear<B> {
    fn active(&self, mode: Mode) -> Option<&LoraPart<B>> {
        self.lora.as_ref().filter(|_| !mode.without_adapter)
    }

    fn dropped(&self, x: &Mat<B>, lora: &LoraPart<B>, mode: Mode) -> Option<Mat<B>> {
        let seed = mode.dropout.filter(|_| lora.dropout > 0.0)?;
        Some(B::dropout(x, lora.dropout, splitmix(seed ^ self.index.wrapping_mul(0x517c_c1b7_2722_0a95))))
    }

    /// Output, and `A x` for the way back.
    pub(crate) fn forward(&self, x: &Mat<B>, mode: Mode) -> (Mat<B>, Option<Mat<B>>) {
        let lora = self.active(mode);
        if let Some((lora, magnitude)) = lora.and_then(|lora| Some((lora, lora.magnitude.as_ref()?))) {
            return self.dora_forward(x, lora, magnitude, mode);
        }
        let y = self.weight.operand().affine(x, self.bias.as_ref().map(|bias| &bias.value));
        let Some(lora) = lora else { return (y, None) };
        let dropped = self.dropped(x, lora, mode);
        let inner = B::affine(dropped.as_ref().unwrap_or(x), &lora.a.value, None);
        let scaled = inner.clone().mul_scalar(lora.scale);
        if x.dims()[0] == 1 {
            return (y + B::affine(&scaled, &lora.b.value, None), Some(inner));
        }
        (B::add_product(y, &scaled, &lora.b.value.clone().transpose()), Some(inner))
    }

    /// Adds the gradients of what is trainable; returns the gradient of x if wanted.
    pub(crate) fn backward(
        &self,
        x: &Mat<B>,
        inner: Option<&Mat<B>>,
        dy: &Mat<B>,
        mode: Mode,
        grads: &mut Grads<B>,
        want_x: bool,
    ) -> Option<Mat<B>> {
        if self.weight.trainable() {
            grads.add(self.weight.name(), product_transposed(dy, x));
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.trainable) {
            grads.add(&bias.name, dy.clone().sum_dim(0));
        }
        if let (Some(lora), Some(inner)) = (self.active(mode), inner)
            && let Some(magnitude) = &lora.magnitude
        {
            return self.dora_backward(x, inner, dy, lora, magnitude, mode, grads, want_x);
        }
        let dx = want_x.then(|| self.weight.operand().product(dy));
        let (Some(lora), Some(inner)) = (self.active(mode), inner) else { return dx };
        let d_inner = self.lora_backward(x, inner, dy, lora, mode, grads);
        dx.map(|dx| {
            if lora.dropout == 0.0 || mode.dropout.is_none() {
                return B::add_product(dx, &d_inner, &lora.a.value);
            }
            let more = product(&d_inner, &lora.a.value);
            // The same mask, for its gradient is the mask itself.
            dx + self.dropped(&more, lora, mode).unwrap_or(more)
        })
    }

    /// Gradients of A and B; returns the gradient of `A x`, `[tokens, r]`.
    fn lora_backward(
        &self,
        x: &Mat<B>,
        inner: &Mat<B>,
        dy: &Mat<B>,
        lora: &LoraPart<B>,
        mode: Mode,
        grads: &mut Grads<B>,
    ) -> Mat<B> {
        let d_inner = product(dy, &lora.b.value).mul_scalar(lora.scale);
        if lora.b.trainable {
            grads.add(&lora.b.name, product_transposed(dy, inner).mul_scalar(lora.scale));
        }
        if lora.a.trainable {
            let dropped = self.dropped(x, lora, mode);
            grads.add(&lora.a.name, product_transposed(&d_inner, dropped.as_ref().unwrap_or(x)));
        }
        d_inner
    }
}
