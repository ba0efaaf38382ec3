//! The feed-forward part: gated or plain, forward and backward.

use super::attention::{project, project_backward};
use super::family::Activation;
use super::layer::{Back, Fore};
use super::{Linear, ops};
use crate::kernels::{Kernels, Mat};

/// Gate and up (apart or fused) or one plain map, an activation, down.
#[derive(Clone, Debug)]
pub(crate) struct Feed<B: Kernels> {
    pub(crate) up: Vec<Linear<B>>,
    pub(crate) down: Linear<B>,
    pub(crate) gated: bool,
    pub(crate) activation: Activation,
}

/// What the feed-forward part keeps for the way back.
pub(crate) struct FeedKept<B: Kernels> {
    /// Gate and up, or what the plain map gave.
    parts: Vec<Mat<B>>,
    /// `A x` of each map of `up`, then of down.
    inner: Vec<Option<Mat<B>>>,
}

impl<B: Kernels> Feed<B> {
    fn widths(&self) -> Vec<usize> {
        vec![self.down.weight.shape()[1]; if self.gated { 2 } else { 1 }]
    }

    fn activate(&self, parts: &[Mat<B>]) -> Mat<B> {
        match (parts, self.activation) {
            ([gate, up], Activation::Silu) => B::swiglu(gate, up),
            ([gate, up], Activation::GeluTanh) => ops::gelu::<B>(gate) * up.clone(),
            ([gate, up], Activation::Gelu) => ops::exact_gelu::<B>(gate) * up.clone(),
            (plain, Activation::Silu) => {
                plain[0].clone() * burn::tensor::activation::sigmoid(plain[0].clone())
            }
            (plain, Activation::GeluTanh) => ops::gelu::<B>(&plain[0]),
            (plain, Activation::Gelu) => ops::exact_gelu::<B>(&plain[0]),
        }
    }

    fn activate_backward(&self, parts: &[Mat<B>], dy: &Mat<B>) -> Vec<Mat<B>> {
        match (parts, self.activation) {
            ([gate, up], Activation::Silu) => {
                let (d_gate, d_up) = B::swiglu_backward(gate, up, dy);
                vec![d_gate, d_up]
            }
            ([gate, up], Activation::GeluTanh) => {
                let d_up = dy.clone() * ops::gelu::<B>(gate);
                vec![ops::gelu_backward::<B>(gate, &(dy.clone() * up.clone())), d_up]
            }
            ([gate, up], Activation::Gelu) => {
                let d_up = dy.clone() * ops::exact_gelu::<B>(gate);
                vec![ops::exact_gelu_backward::<B>(gate, &(dy.clone() * up.clone())), d_up]
            }
            (plain, Activation::Silu) => {
                let s = burn::tensor::activation::sigmoid(plain[0].clone());
                let slope = (plain[0].clone() * s.clone().neg().add_scalar(1.0)).add_scalar(1.0) * s;
                vec![dy.clone() * slope]
            }
            (plain, Activation::GeluTanh) => vec![ops::gelu_backward::<B>(&plain[0], dy)],
            (plain, Activation::Gelu) => vec![ops::exact_gelu_backward::<B>(&plain[0], dy)],
        }
    }

    pub(crate) fn forward(&self, h: &Mat<B>, fore: &Fore) -> (Mat<B>, FeedKept<B>) {
        let (parts, mut inner) = project(&self.up, h, &self.widths(), fore.mode);
        let (out, out_inner) = self.down.forward(&self.activate(&parts), fore.mode);
        inner.push(out_inner);
        (out, FeedKept { parts, inner })
    }

    /// Adds gradients; gives that of the normed input h.
    pub(crate) fn backward(
        &self,
        kept: FeedKept<B>,
        h: &Mat<B>,
        dy: &Mat<B>,
        back: &mut Back<B>,
    ) -> Option<Mat<B>> {
        let FeedKept { parts, mut inner } = kept;
        let out_inner = inner.pop().flatten();
        // Computed anew: it is as large as gate and up.
        let act = self.activate(&parts);
        let d_act = self.down.backward(&act, out_inner.as_ref(), dy, back.fore.mode, back.grads, true)?;
        let d_parts = self.activate_backward(&parts, &d_act);
        project_backward(&self.up, h, &inner, d_parts, back)
    }
}
