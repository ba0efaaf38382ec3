//! Attention with its linear maps, forward and backward.

use burn::tensor::Tensor;

use super::layer::{Back, Fore};
use super::norm::Norm;
use super::{Linear, Mode, ops};
use crate::config::FusedLayout;
use crate::kernels::{AttentionState, Heads, Kernels, Mat};

/// Projections, norms on heads, attention, output projection.
#[derive(Clone, Debug)]
pub(crate) struct Attention<B: Kernels> {
    /// q, k and v, or one map that gives all three side by side.
    pub(crate) qkv: Vec<Linear<B>>,
    pub(crate) output: Linear<B>,
    /// On q and on k: on each head, or on all of them together.
    pub(crate) head_norms: Option<[Norm<B>; 2]>,
    /// How the one map gives q, k and v.
    pub(crate) fused: FusedLayout,
    /// Whether positions turn q and k.
    pub(crate) rotates: bool,
    /// Whether they turn pairs of neighbours.
    pub(crate) neighbours: bool,
    /// Tokens seen; 0: all before.
    pub(crate) window: usize,
}

/// What attention keeps for the way back.
pub(crate) struct AttentionKept<B: Kernels> {
    /// As they meet: normed and rotated.
    qkv: [Mat<B>; 3],
    /// q and k before their norms.
    plain: Option<[Mat<B>; 2]>,
    state: AttentionState<B>,
    /// `A x` of each map of `qkv`, then of the output.
    inner: Vec<Option<Mat<B>>>,
}

/// Columns side by side, cut apart.
pub(super) fn split<B: Kernels>(all: Mat<B>, widths: &[usize]) -> Vec<Mat<B>> {
    let (rows, mut at) = (all.dims()[0], 0);
    let mut parts = Vec::with_capacity(widths.len());
    for width in widths {
        parts.push(all.clone().slice([0..rows, at..at + width]));
        at += width;
    }
    parts
}

/// Outputs of several maps of one input, or of one fused map cut into `widths`; and the adapters' inner products.
pub(super) fn project<B: Kernels>(
    maps: &[Linear<B>],
    x: &Mat<B>,
    widths: &[usize],
    mode: Mode,
) -> (Vec<Mat<B>>, Vec<Option<Mat<B>>>) {
    let (mut outs, inner): (Vec<_>, Vec<_>) = maps.iter().map(|map| map.forward(x, mode)).unzip();
    if maps.len() < widths.len()
        && let Some(all) = outs.pop()
    {
        outs = split::<B>(all, widths);
    }
    (outs, inner)
}

/// The way back of [`project`]: the gradient of x.
pub(super) fn project_backward<B: Kernels>(
    maps: &[Linear<B>],
    x: &Mat<B>,
    inner: &[Option<Mat<B>>],
    mut d_outs: Vec<Mat<B>>,
    back: &mut Back<B>,
) -> Option<Mat<B>> {
    if maps.len() < d_outs.len() {
        d_outs = vec![Tensor::cat(d_outs, 1)];
    }
    let mode = back.fore.mode;
    let parts = maps.iter().zip(inner).zip(&d_outs);
    parts
        .filter_map(|((map, inner), dy)| map.backward(x, inner.as_ref(), dy, mode, back.grads, true))
        .reduce(|a, b| a + b)
}

impl<B: Kernels> Attention<B> {
    fn heads(&self, heads: Heads) -> Heads {
        Heads { window: self.window, ..heads }
    }

    fn by_key_head(&self) -> bool {
        self.qkv.len() == 1 && self.fused == FusedLayout::ByKeyHead
    }

    /// q, k and v, and the adapters' inner products.
    fn qkv(&self, h: &Mat<B>, heads: Heads, mode: Mode) -> (Vec<Mat<B>>, Vec<Option<Mat<B>>>) {
        if !self.by_key_head() {
            let Heads { query, key, dim, .. } = heads;
            return project(&self.qkv, h, &[query * dim, key * dim, key * dim], mode);
        }
        let (outs, inner) = project(&self.qkv, h, &[], mode);
        (outs.into_iter().flat_map(|all| ops::by_key_head::<B>(all, heads)).collect(), inner)
    }

    /// Turns q or k by their positions; `inverse` turns back, which is also the gradient.
    fn rotated(&self, x: Mat<B>, fore: &Fore, inverse: bool) -> Mat<B> {
        match fore.rotaries.of(self.window > 0).filter(|_| self.rotates) {
            Some(rotary) => ops::rotated::<B>(x, rotary, fore.heads.dim, self.neighbours, inverse),
            None => x,
        }
    }

    /// q, k and v as they meet, q and k before their norms, and the adapters' inner products.
    #[expect(clippy::type_complexity, reason = "taken apart at once by both callers")]
    fn meet(&self, h: &Mat<B>, fore: &Fore) -> ([Mat<B>; 3], Option<[Mat<B>; 2]>, Vec<Option<Mat<B>>>) {
        let (mut parts, inner) = self.qkv(h, fore.heads, fore.mode);
        let (v, k, q) = (parts.remove(2), parts.remove(1), parts.remove(0));
        let (mut q, mut k, mut plain) = (q, k, None);
        if let Some([q_norm, k_norm]) = &self.head_norms {
            let normed = (q_norm.forward(&q, fore.eps), k_norm.forward(&k, fore.eps));
            plain = Some([q, k]);
            (q, k) = normed;
        }
        ([self.rotated(q, fore, false), self.rotated(k, fore, false), v], plain, inner)
    }

    pub(crate) fn forward(&self, h: &Mat<B>, fore: &Fore) -> (Mat<B>, AttentionKept<B>) {
        let (qkv, plain, mut inner) = self.meet(h, fore);
        let [q, k, v] = &qkv;
        let state = B::causal_attention(q, k, v, self.heads(fore.heads), fore.segments);
        let (out, out_inner) = self.output.forward(&state.out, fore.mode);
        inner.push(out_inner);
        (out, AttentionKept { qkv, plain, state, inner })
    }

    /// Over what the caches hold: one segment and one cache for each sequence.
    pub(crate) fn forward_cached(&self, h: &Mat<B>, fore: &Fore, caches: &mut [&mut B::Cache]) -> Mat<B> {
        let (qkv, ..) = self.meet(h, fore);
        let heads = self.heads(fore.heads);
        let alone = caches.len() == 1;
        let outs = fore.segments.iter().zip(caches).map(|(segment, cache)| {
            let rows = segment.start..segment.start + segment.len;
            let part = |all: &Mat<B>| match alone {
                true => all.clone(),
                false => all.clone().slice([rows.clone(), 0..all.dims()[1]]),
            };
            let [q, k, v] = qkv.each_ref().map(part);
            B::attention_cached(&q, &k, &v, heads, cache)
        });
        let out = Tensor::cat(outs.collect(), 0);
        self.output.forward(&out, fore.mode).0
    }

    /// Adds gradients; gives that of the normed input h.
    pub(crate) fn backward(
        &self,
        kept: AttentionKept<B>,
        h: &Mat<B>,
        dy: &Mat<B>,
        back: &mut Back<B>,
    ) -> Option<Mat<B>> {
        let AttentionKept { qkv, plain, state, mut inner } = kept;
        let (fore, out_inner) = (back.fore, inner.pop().flatten());
        let d_out = self.output.backward(&state.out, out_inner.as_ref(), dy, fore.mode, back.grads, true)?;
        let heads = self.heads(fore.heads);
        let [mut dq, mut dk, dv] =
            B::attention_backward(qkv.each_ref(), &state, &d_out, heads, fore.segments);
        (dq, dk) = (self.rotated(dq, &fore, true), self.rotated(dk, &fore, true));
        if let (Some([q_norm, k_norm]), Some([q, k])) = (&self.head_norms, plain) {
            dq = q_norm.backward(&q, fore.eps, &dq, back.grads);
            dk = k_norm.backward(&k, fore.eps, &dk, back.grads);
        }
        let d_outs = match self.by_key_head() {
            true => vec![ops::joined_by_key_head::<B>([dq, dk, dv], heads)],
            false => vec![dq, dk, dv],
        };
        project_backward(&self.qkv, h, &inner, d_outs, back)
    }
}
