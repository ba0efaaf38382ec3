//! One decoder layer, forward and backward.

use super::attention::{Attention, AttentionKept};
use super::feed::{Feed, FeedKept};
use super::norm::Norm;
use super::rope::Rotaries;
use super::{Linear, Mode, Param};
use crate::config::Sequence;
use crate::kernels::{Heads, Kernels, Mat, Segment};
use crate::train::Grads;

/// Norm, attention, norm, feed-forward; both with residuals, in some families with a norm before they join, or without
/// one before they begin. In some both read the layer's input.
#[derive(Clone, Debug)]
pub(crate) struct Layer<B: Kernels> {
    pub(crate) sequence: Sequence,
    pub(crate) attention_norm: Option<Norm<B>>,
    pub(crate) attention: Attention<B>,
    pub(crate) after_attention: Option<Norm<B>>,
    pub(crate) feed_norm: Option<Norm<B>>,
    pub(crate) feed: Feed<B>,
    pub(crate) after_feed: Option<Norm<B>>,
}

/// What a layer keeps: normed inputs and the gated product are computed anew on the way back.
pub(crate) struct LayerState<B: Kernels> {
    x: Mat<B>,
    attention: AttentionKept<B>,
    /// What attention gave, where a norm follows.
    attended: Option<Mat<B>>,
    /// What the feed-forward part reads, before its norm.
    middle: Mat<B>,
    feed: FeedKept<B>,
    fed: Option<Mat<B>>,
}

/// What every layer needs on the way forth.
#[derive(Clone, Copy)]
pub(crate) struct Fore<'a> {
    pub(crate) heads: Heads,
    pub(crate) eps: f32,
    /// Factor on what both parts of a layer add.
    pub(crate) residual: f32,
    pub(crate) rotaries: &'a Rotaries,
    pub(crate) segments: &'a [Segment],
    pub(crate) mode: Mode,
}

impl Fore<'_> {
    /// What a part of a layer gave, as it joins the residual stream; the same for its gradient.
    fn joining<B: Kernels>(&self, y: Mat<B>) -> Mat<B> {
        if self.residual == 1.0 { y } else { y.mul_scalar(self.residual) }
    }
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

/// Through the norm that goes before, where there is one.
fn normed_before<B: Kernels>(norm: Option<&Norm<B>>, x: &Mat<B>, eps: f32) -> Mat<B> {
    norm.map_or_else(|| x.clone(), |norm| norm.forward(x, eps))
}

/// The way back of [`normed_before`].
fn before_backward<B: Kernels>(norm: Option<&Norm<B>>, x: &Mat<B>, dh: Mat<B>, back: &mut Back<B>) -> Mat<B> {
    match norm {
        Some(norm) => norm.backward(x, back.fore.eps, &dh, back.grads),
        None => dh,
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
        let first = self.attention_norm.iter().chain(&self.after_attention);
        first.chain(&self.feed_norm).chain(&self.after_feed).chain(heads)
    }

    pub(crate) fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm<B>> {
        let heads = self.attention.head_norms.iter_mut().flatten();
        let first = self.attention_norm.iter_mut().chain(&mut self.after_attention);
        first.chain(&mut self.feed_norm).chain(&mut self.after_feed).chain(heads)
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

    /// What the feed-forward part reads, of the layer's input, what attention read and what it gave.
    fn feed_input(&self, middle: &Mat<B>, h: Mat<B>, eps: f32) -> Mat<B> {
        match self.sequence {
            Sequence::SideBySide => h,
            _ => normed_before(self.feed_norm.as_ref(), middle, eps),
        }
    }

    pub(crate) fn forward(&self, x: Mat<B>, fore: &Fore) -> (Mat<B>, LayerState<B>) {
        let h = normed_before(self.attention_norm.as_ref(), &x, fore.eps);
        let (y, attention) = self.attention.forward(&h, fore);
        let (y, attended) = normed_after(self.after_attention.as_ref(), y, fore.eps);
        let joined = x.clone() + fore.joining(y);
        let middle = if self.sequence == Sequence::OneAfterTheOther { joined.clone() } else { x.clone() };
        let h = self.feed_input(&middle, h, fore.eps);
        let (y, feed) = self.feed.forward(&h, fore);
        let (y, fed) = normed_after(self.after_feed.as_ref(), y, fore.eps);
        (joined + fore.joining(y), LayerState { x, attention, attended, middle, feed, fed })
    }

    pub(crate) fn forward_cached(&self, x: Mat<B>, fore: &Fore, caches: &mut [&mut B::Cache]) -> Mat<B> {
        let h = normed_before(self.attention_norm.as_ref(), &x, fore.eps);
        let y = self.attention.forward_cached(&h, fore, caches);
        let joined = x.clone() + fore.joining(normed_after(self.after_attention.as_ref(), y, fore.eps).0);
        let middle = if self.sequence == Sequence::OneAfterTheOther { &joined } else { &x };
        let h = self.feed_input(middle, h, fore.eps);
        let y = self.feed.forward(&h, fore).0;
        joined + fore.joining(normed_after(self.after_feed.as_ref(), y, fore.eps).0)
    }

    /// Adds this layer's gradients; returns the gradient of its input.
    pub(crate) fn backward(&self, state: LayerState<B>, dy: Mat<B>, back: &mut Back<B>) -> Mat<B> {
        let LayerState { x, attention, attended, middle, feed, fed } = state;
        let (eps, fore) = (back.fore.eps, back.fore);
        let mut d_fed = fore.joining(dy.clone());
        if let (Some(norm), Some(fed)) = (&self.after_feed, fed) {
            d_fed = norm.backward(&fed, eps, &d_fed, back.grads);
        }
        let h = normed_before(self.attention_norm.as_ref(), &x, eps);
        let feed_h = self.feed_input(&middle, h.clone(), eps);
        let d_feed_h = self.feed.backward(feed, &feed_h, &d_fed, back);
        // Past attention: to what the feed-forward part read, or to what both read.
        let (dx, shared) = match (self.sequence, d_feed_h) {
            (Sequence::SideBySide, d_feed_h) => (dy.clone(), d_feed_h),
            (_, Some(d_feed_h)) => {
                (dy.clone() + before_backward(self.feed_norm.as_ref(), &middle, d_feed_h, back), None)
            }
            (_, None) => (dy.clone(), None),
        };
        let in_sequence = self.sequence == Sequence::OneAfterTheOther;
        let mut d_attended = fore.joining(if in_sequence { dx.clone() } else { dy });
        if let (Some(norm), Some(attended)) = (&self.after_attention, attended) {
            d_attended = norm.backward(&attended, eps, &d_attended, back.grads);
        }
        let dh = self.attention.backward(attention, &h, &d_attended, back);
        match dh.into_iter().chain(shared).reduce(|a, b| a + b) {
            Some(dh) => dx + before_backward(self.attention_norm.as_ref(), &x, dh, back),
            None => dx,
        }
    }
}
