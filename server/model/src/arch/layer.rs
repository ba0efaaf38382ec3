//! One decoder layer, forward and backward.

use super::attention::{Attention, AttentionKept};
use super::feed::{Feed, FeedKept};
use super::norm::Norm;
use super::rope::Rotaries;
use super::{Linear, Mode, Param};
use crate::kernels::{Heads, Kernels, Mat, Segment};
use crate::train::Grads;

/// Norm, attention, norm, feed-forward; both with residuals, in some families with a norm before they join.
#[derive(Clone, Debug)]
pub(crate) struct Layer<B: Kernels> {
    pub(crate) attention_norm: Norm<B>,
    pub(crate) attention: Attention<B>,
    pub(crate) after_attention: Option<Norm<B>>,
    pub(crate) feed_norm: Norm<B>,
    pub(crate) feed: Feed<B>,
    pub(crate) after_feed: Option<Norm<B>>,
}

/// What a layer keeps: normed inputs and the gated product are computed anew on the way back.
pub(crate) struct LayerState<B: Kernels> {
    x: Mat<B>,
    attention: AttentionKept<B>,
    /// What attention gave, where a norm follows.
    attended: Option<Mat<B>>,
    middle: Mat<B>,
    feed: FeedKept<B>,
    fed: Option<Mat<B>>,
}

/// What every layer needs on the way forth.
#[derive(Clone, Copy)]
pub(crate) struct Fore<'a> {
    pub(crate) heads: Heads,
    pub(crate) eps: f32,
    pub(crate) rotaries: &'a Rotaries,
    pub(crate) segments: &'a [Segment],
    pub(crate) mode: Mode,
}

/// What every step of the way back needs.
pub(crate) struct Back<'a, B: Kernels> {
    pub(crate) fore: Fore<'a>,
    pub(crate) grads: &'a mut Grads<B>,
}

/// Through the norm that follows, where there is one; keeps what went in.
fn normed_after<B: Kernels>(norm: Option<&Norm<B>>, y: Mat<B>, eps: f32) -> (Mat<B>, Option<Mat<B>>) {
    match norm {
        Some(norm) => (norm.forward(&y, eps), Some(y)),
        None => (y, None),
    }
}

impl<B: Kernels> Layer<B> {
    pub(crate) fn linears(&self) -> Vec<&Linear<B>> {
        let feed = self.feed.up.iter().chain([&self.feed.down]);
        self.attention.qkv.iter().chain([&self.attention.output]).chain(feed).collect()
    }

    pub(crate) fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        let feed = self.feed.up.iter_mut().chain([&mut self.feed.down]);
        self.attention.qkv.iter_mut().chain([&mut self.attention.output]).chain(feed).collect()
    }

    fn norms(&self) -> impl Iterator<Item = &Norm<B>> {
        let heads = self.attention.head_norms.iter().flatten();
        let first = std::iter::once(&self.attention_norm).chain(&self.after_attention);
        first.chain([&self.feed_norm]).chain(&self.after_feed).chain(heads)
    }

    pub(crate) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm<B>> {
        let heads = self.attention.head_norms.iter_mut().flatten();
        let first = std::iter::once(&mut self.attention_norm).chain(&mut self.after_attention);
        first.chain([&mut self.feed_norm]).chain(&mut self.after_feed).chain(heads)
    }

    /// Base weights that are dense.
    pub(crate) fn params(&self) -> Vec<&Param<B>> {
        let mut all: Vec<&Param<B>> = self.norms().flat_map(Norm::params).collect();
        for linear in self.linears() {
            all.extend(linear.weight.param());
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

    pub(crate) fn forward(&self, x: Mat<B>, fore: &Fore) -> (Mat<B>, LayerState<B>) {
        let h = self.attention_norm.forward(&x, fore.eps);
        let (y, attention) = self.attention.forward(&h, fore);
        let (y, attended) = normed_after(self.after_attention.as_ref(), y, fore.eps);
        let middle = x.clone() + y;
        let h = self.feed_norm.forward(&middle, fore.eps);
        let (y, feed) = self.feed.forward(&h, fore);
        let (y, fed) = normed_after(self.after_feed.as_ref(), y, fore.eps);
        (middle.clone() + y, LayerState { x, attention, attended, middle, feed, fed })
    }

    pub(crate) fn forward_cached(&self, x: Mat<B>, fore: &Fore, caches: &mut [&mut B::Cache]) -> Mat<B> {
        let h = self.attention_norm.forward(&x, fore.eps);
        let y = self.attention.forward_cached(&h, fore, caches);
        let middle = x + normed_after(self.after_attention.as_ref(), y, fore.eps).0;
        let h = self.feed_norm.forward(&middle, fore.eps);
        let y = self.feed.forward(&h, fore).0;
        middle + normed_after(self.after_feed.as_ref(), y, fore.eps).0
    }

    /// Adds this layer's gradients; returns the gradient of its input.
    pub(crate) fn backward(&self, state: LayerState<B>, dy: Mat<B>, back: &mut Back<B>) -> Mat<B> {
        let LayerState { x, attention, attended, middle, feed, fed } = state;
        let eps = back.fore.eps;
        let d_joined = match (&self.after_feed, fed) {
            (Some(norm), Some(fed)) => norm.backward(&fed, eps, &dy, back.grads),
            _ => dy.clone(),
        };
        let h = self.feed_norm.forward(&middle, eps);
        let d_middle = match self.feed.backward(feed, &h, &d_joined, back) {
            Some(dh) => dy + self.feed_norm.backward(&middle, eps, &dh, back.grads),
            None => dy,
        };
        let d_joined = match (&self.after_attention, attended) {
            (Some(norm), Some(attended)) => norm.backward(&attended, eps, &d_middle, back.grads),
            _ => d_middle.clone(),
        };
        let h = self.attention_norm.forward(&x, eps);
        match self.attention.backward(attention, &h, &d_joined, back) {
            Some(dh) => d_middle + self.attention_norm.backward(&x, eps, &dh, back.grads),
            None => d_middle,
        }
    }
}
