//! One decoder layer, forward and backward.

use super::{Linear, Mode, Param};
use crate::kernels::{AttentionState, Heads, Kernels, Mat, Rotary, Segment};
use crate::train::Grads;

/// Norm, attention, norm, gated feed-forward; both with residuals.
#[derive(Clone, Debug)]
pub(crate) struct Layer<B: Kernels> {
    pub(crate) input_norm: Param<B>,
    pub(crate) q: Linear<B>,
    pub(crate) k: Linear<B>,
    pub(crate) v: Linear<B>,
    pub(crate) o: Linear<B>,
    pub(crate) post_norm: Param<B>,
    pub(crate) gate: Linear<B>,
    pub(crate) up: Linear<B>,
    pub(crate) down: Linear<B>,
}

/// What a layer keeps: normed inputs and the gated product are computed anew on the way back.
pub(crate) struct LayerState<B: Kernels> {
    x: Mat<B>,
    qkv: [Mat<B>; 3],
    attention: AttentionState<B>,
    middle: Mat<B>,
    gate: Mat<B>,
    up: Mat<B>,
    /// `A x` of q, k, v, o, gate, up, down.
    inner: [Option<Mat<B>>; 7],
}

/// What every step of the way back needs.
pub(crate) struct Back<'a, B: Kernels> {
    pub(crate) heads: Heads,
    pub(crate) eps: f32,
    pub(crate) rotary: &'a Rotary,
    pub(crate) segments: &'a [Segment],
    pub(crate) mode: Mode,
    pub(crate) grads: &'a mut Grads<B>,
}

impl<B: Kernels> Layer<B> {
    pub(crate) fn linears(&self) -> [&Linear<B>; 7] {
        [&self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down]
    }

    pub(crate) fn linears_mut(&mut self) -> [&mut Linear<B>; 7] {
        [&mut self.q, &mut self.k, &mut self.v, &mut self.o, &mut self.gate, &mut self.up, &mut self.down]
    }

    /// Base weights.
    pub(crate) fn params(&self) -> Vec<&Param<B>> {
        let mut all = vec![&self.input_norm, &self.post_norm];
        for linear in self.linears() {
            all.push(&linear.weight);
            all.extend(&linear.bias);
        }
        all
    }

    /// Whether anything in it, adapters included, is trainable.
    pub(crate) fn trains(&self) -> bool {
        self.params().iter().any(|param| param.trainable)
            || self
                .linears()
                .iter()
                .any(|l| l.lora.iter().flat_map(super::LoraPart::params).any(|p| p.trainable))
    }

    pub(crate) fn forward(
        &self,
        x: Mat<B>,
        heads: Heads,
        eps: f32,
        rotary: &Rotary,
        segments: &[Segment],
        mode: Mode,
    ) -> (Mat<B>, LayerState<B>) {
        let h = B::rms_norm(&x, &self.input_norm.value, eps);
        let ((q, qa), (k, ka), (v, va)) =
            (self.q.forward(&h, mode), self.k.forward(&h, mode), self.v.forward(&h, mode));
        let (q, k) = (B::rope(q, rotary, false), B::rope(k, rotary, false));
        let attention = B::causal_attention(&q, &k, &v, heads, segments);
        let (o, oa) = self.o.forward(&attention.out, mode);
        let middle = x.clone() + o;
        let (y, gate, up, [ga, ua, da]) = self.feed_forward(&middle, eps, mode);
        let inner = [qa, ka, va, oa, ga, ua, da];
        (y, LayerState { x, qkv: [q, k, v], attention, middle, gate, up, inner })
    }

    /// Output with residual, gate, up and the adapters' inner products.
    #[expect(clippy::type_complexity, reason = "taken apart at once by both callers")]
    fn feed_forward(
        &self,
        middle: &Mat<B>,
        eps: f32,
        mode: Mode,
    ) -> (Mat<B>, Mat<B>, Mat<B>, [Option<Mat<B>>; 3]) {
        let h = B::rms_norm(middle, &self.post_norm.value, eps);
        let ((gate, ga), (up, ua)) = (self.gate.forward(&h, mode), self.up.forward(&h, mode));
        let (down, da) = self.down.forward(&B::swiglu(&gate, &up), mode);
        (middle.clone() + down, gate, up, [ga, ua, da])
    }

    pub(crate) fn forward_cached(
        &self,
        x: Mat<B>,
        heads: Heads,
        eps: f32,
        rotary: &Rotary,
        cache: &mut B::Cache,
        mode: Mode,
    ) -> Mat<B> {
        let h = B::rms_norm(&x, &self.input_norm.value, eps);
        let q = B::rope(self.q.forward(&h, mode).0, rotary, false);
        let k = B::rope(self.k.forward(&h, mode).0, rotary, false);
        let v = self.v.forward(&h, mode).0;
        let out = B::attention_cached(&q, &k, &v, heads, cache);
        let middle = x + self.o.forward(&out, mode).0;
        self.feed_forward(&middle, eps, mode).0
    }

    /// Adds this layer's gradients; returns the gradient of its input.
    pub(crate) fn backward(&self, state: LayerState<B>, dy: Mat<B>, back: &mut Back<B>) -> Mat<B> {
        let middle = self.feed_forward_backward(&state, dy, back);
        self.attention_backward(&state, middle, back)
    }

    fn feed_forward_backward(&self, state: &LayerState<B>, dy: Mat<B>, back: &mut Back<B>) -> Mat<B> {
        let [.., ga, ua, da] = state.inner.each_ref().map(Option::as_ref);
        let mode = back.mode;
        let act = B::swiglu(&state.gate, &state.up);
        let d_act = self.down.backward(&act, da, &dy, mode, back.grads, true);
        let Some(d_act) = d_act else { return dy };
        let (d_gate, d_up) = B::swiglu_backward(&state.gate, &state.up, &d_act);
        let h = B::rms_norm(&state.middle, &self.post_norm.value, back.eps);
        let from_gate = self.gate.backward(&h, ga, &d_gate, mode, back.grads, true);
        let from_up = self.up.backward(&h, ua, &d_up, mode, back.grads, true);
        self.norm_backward(&self.post_norm, &state.middle, sum([from_gate, from_up]), dy, back)
    }

    fn attention_backward(&self, state: &LayerState<B>, dy: Mat<B>, back: &mut Back<B>) -> Mat<B> {
        let [qa, ka, va, oa, ..] = state.inner.each_ref().map(Option::as_ref);
        let mode = back.mode;
        let d_out = self.o.backward(&state.attention.out, oa, &dy, mode, back.grads, true);
        let Some(d_out) = d_out else { return dy };
        let [dq, dk, dv] =
            B::attention_backward(state.qkv.each_ref(), &state.attention, &d_out, back.heads, back.segments);
        let (dq, dk) = (B::rope(dq, back.rotary, true), B::rope(dk, back.rotary, true));
        let h = B::rms_norm(&state.x, &self.input_norm.value, back.eps);
        let parts = [
            self.q.backward(&h, qa, &dq, mode, back.grads, true),
            self.k.backward(&h, ka, &dk, mode, back.grads, true),
            self.v.backward(&h, va, &dv, mode, back.grads, true),
        ];
        self.norm_backward(&self.input_norm, &state.x, sum(parts), dy, back)
    }

    /// Through the norm and along the residual.
    fn norm_backward(
        &self,
        norm: &Param<B>,
        x: &Mat<B>,
        dh: Option<Mat<B>>,
        dy: Mat<B>,
        back: &mut Back<B>,
    ) -> Mat<B> {
        let Some(dh) = dh else { return dy };
        let (dx, dw) = B::rms_norm_backward(x, &norm.value, back.eps, &dh, norm.trainable);
        if let Some(dw) = dw {
            back.grads.add(&norm.name, dw);
        }
        dy + dx
    }
}

fn sum<B: Kernels, const N: usize>(parts: [Option<Mat<B>>; N]) -> Option<Mat<B>> {
    parts.into_iter().flatten().reduce(|a, b| a + b)
}
