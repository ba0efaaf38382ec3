//! DoRA (arXiv:2402.09353): the adapted weight `W + scale B A` is brought to a length per output row that is
//! learnt by itself. As in PEFT, no gradient flows through the length it is divided by.

use super::{Linear, LoraPart};
use crate::arch::{Mode, Param};
use crate::kernels::{Kernels, Mat, Operand, product};
use crate::train::Grads;

/// The learnt lengths of the output rows.
#[derive(Clone, Debug)]
pub struct Magnitude<B: Kernels> {
    /// `[1, out]`.
    pub value: Param<B>,
    /// Squared lengths of the rows of W alone, `[1, out]`.
    pub base: Mat<B>,
}

impl<B: Kernels> Magnitude<B> {
    /// Squared lengths of the rows of a weight, `[1, out]`.
    pub fn squared_lengths(weight: &Mat<B>) -> Mat<B> {
        (weight.clone() * weight.clone()).sum_dim(1).transpose()
    }
}

impl<B: Kernels> LoraPart<B> {
    /// Lengths of the rows of `W + scale B A`, `[1, out]`, without forming it:
    /// `|W|² + 2 s (W Aᵀ)·B + s² (B A Aᵀ)·B` row by row.
    pub(crate) fn adapted_lengths(&self, weight: Operand<'_, B>, base: &Mat<B>) -> Mat<B> {
        let (a, b) = (&self.a.value, &self.b.value);
        let w_a = weight.affine(a, None).transpose();
        let a_a = B::affine(a, a, None);
        let cross = (w_a * b.clone()).sum_dim(1).mul_scalar(2.0 * self.scale);
        let own = (product(b, &a_a) * b.clone()).sum_dim(1).mul_scalar(self.scale * self.scale);
        (base.clone() + (cross + own).transpose()).clamp_min(0.0).sqrt()
    }

    /// Factor on each output: learnt length by present length, `[1, out]`; and the present lengths.
    pub(crate) fn gain(&self, weight: Operand<'_, B>, magnitude: &Magnitude<B>) -> (Mat<B>, Mat<B>) {
        let lengths = self.adapted_lengths(weight, &magnitude.base).clamp_min(f32::MIN_POSITIVE);
        (magnitude.value.value.clone() / lengths.clone(), lengths)
    }
}

impl<B: Kernels> Linear<B> {
    /// `W x + bias + (g - 1) W x' + g scale B A x'`, x' being x after dropout.
    pub(super) fn dora_forward(
        &self,
        x: &Mat<B>,
        lora: &LoraPart<B>,
        magnitude: &Magnitude<B>,
        mode: Mode,
    ) -> (Mat<B>, Option<Mat<B>>) {
        let (gain, _) = lora.gain(self.weight.operand(), magnitude);
        let plain = self.weight.operand().affine(x, None);
        let dropped = self.dropped(x, lora, mode);
        let inner = B::affine(dropped.as_ref().unwrap_or(x), &lora.a.value, None);
        let more = B::affine(&inner, &lora.b.value, None).mul_scalar(lora.scale);
        let mut y = match dropped {
            None => (plain + more) * gain,
            Some(dropped) => {
                let masked = self.weight.operand().affine(&dropped, None);
                plain + masked * (gain.clone() - 1.0) + more * gain
            }
        };
        if let Some(bias) = &self.bias {
            y = y + bias.value.clone();
        }
        (y, Some(inner))
    }

    /// Gradients of A, B and the lengths; returns the gradient of x if wanted.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of Linear::backward and the two parts it found"
    )]
    pub(super) fn dora_backward(
        &self,
        x: &Mat<B>,
        inner: &Mat<B>,
        dy: &Mat<B>,
        lora: &LoraPart<B>,
        magnitude: &Magnitude<B>,
        mode: Mode,
        grads: &mut Grads<B>,
        want_x: bool,
    ) -> Option<Mat<B>> {
        let (gain, lengths) = lora.gain(self.weight.operand(), magnitude);
        let dropped = self.dropped(x, lora, mode);
        let seen = dropped.as_ref().unwrap_or(x);
        if magnitude.value.trainable {
            let adapted = self.weight.operand().affine(seen, None)
                + B::affine(inner, &lora.b.value, None).mul_scalar(lora.scale);
            grads.add(&magnitude.value.name, (dy.clone() * adapted).sum_dim(0) / lengths);
        }
        let scaled = dy.clone() * gain.clone();
        let through = product(&self.lora_backward(x, inner, &scaled, lora, mode, grads), &lora.a.value);
        want_x.then(|| match dropped {
            None => self.weight.operand().product(&scaled) + through,
            Some(_) => {
                let masked = self.weight.operand().product(&(dy.clone() * (gain - 1.0))) + through;
                self.weight.operand().product(dy) + self.dropped(&masked, lora, mode).unwrap_or(masked)
            }
        })
    }
}
