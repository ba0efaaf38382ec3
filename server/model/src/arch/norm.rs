//! Norms of all kinds, over whole rows or over each head.

use super::family::NormKind;
use super::{Param, ops};
use crate::kernels::{Kernels, Mat};
use crate::train::Grads;

/// A norm.
#[derive(Clone, Debug)]
pub(crate) struct Norm<B: Kernels> {
    pub(crate) kind: NormKind,
    /// `[1, width]`.
    pub(crate) weight: Param<B>,
    pub(crate) bias: Option<Param<B>>,
}

impl<B: Kernels> Norm<B> {
    pub(crate) fn params(&self) -> impl Iterator<Item = &Param<B>> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    pub(crate) fn params_mut(&mut self) -> impl Iterator<Item = &mut Param<B>> {
        std::iter::once(&mut self.weight).chain(&mut self.bias)
    }

    fn factor(&self) -> Mat<B> {
        match self.kind {
            NormKind::RmsFromOne => self.weight.value.clone().add_scalar(1.0),
            _ => self.weight.value.clone(),
        }
    }

    /// Rows as wide as the norm; wider ones are several heads side by side.
    fn folded(&self, x: &Mat<B>) -> Mat<B> {
        let ([rows, cols], width) = (x.dims(), self.weight.value.dims()[1]);
        if cols == width { x.clone() } else { x.clone().reshape([rows * cols / width, width]) }
    }

    /// Normed rows (or heads), same shape as x.
    pub(crate) fn forward(&self, x: &Mat<B>, eps: f32) -> Mat<B> {
        let folded = self.folded(x);
        let y = match &self.bias {
            Some(bias) => ops::layer_norm::<B>(&folded, &self.weight.value, &bias.value, eps),
            None => B::rms_norm(&folded, &self.factor(), eps),
        };
        y.reshape(x.dims())
    }

    /// Adds the gradients of what is trainable; gives the gradient of x.
    pub(crate) fn backward(&self, x: &Mat<B>, eps: f32, dy: &Mat<B>, grads: &mut Grads<B>) -> Mat<B> {
        let (folded, d_folded) = (self.folded(x), self.folded(dy));
        let dx = match &self.bias {
            Some(bias) => {
                let [dx, dw, db] = ops::layer_norm_backward::<B>(&folded, &self.weight.value, eps, &d_folded);
                if self.weight.trainable {
                    grads.add(&self.weight.name, dw);
                }
                if bias.trainable {
                    grads.add(&bias.name, db);
                }
                dx
            }
            None => {
                let wanted = self.weight.trainable;
                let (dx, dw) = B::rms_norm_backward(&folded, &self.factor(), eps, &d_folded, wanted);
                if let Some(dw) = dw {
                    grads.add(&self.weight.name, dw);
                }
                dx
            }
        };
        dx.reshape(x.dims())
    }
}
