//! The differentiable operations a decoder is made of, each with its hand-written backward pass.
//!
//! Activations are matrices `[tokens, width]`: padding is dropped before a batch enters the model, so `tokens`
//! counts real tokens only and a batch is a list of [`Segment`]s, one per row. A backend joins by implementing
//! [`Kernels`]: [`flex`] is the one for the CPU, [`plain`] serves GPUs through burn's own operations.

pub mod flex;
mod operand;
pub mod plain;

use std::any::Any;
use std::sync::{Arc, OnceLock};

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use half::bf16;

pub use operand::Operand;

use crate::weights::Blocks;

/// A matrix on a backend. Vectors (norm weights, biases) are `[1, n]`.
pub type Mat<B> = Tensor<B, 2>;

/// One row of a batch: where its tokens lie among all tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First token.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
}

/// Penalties on the distance of keys instead of rotary positions (ALiBi, arXiv:2108.12409).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alibi {
    /// None.
    #[default]
    None,
    /// The distance times the slope of the head.
    Plain,
    /// As Falcon computes it: rounded to bf16, then multiplied by the factor on the scores.
    Rounded,
    /// The same counted twice, as the eager attention of transformers has it, in its mask and again on the scores; its
    /// usual one and the code that came with the models do not. No file asks for it: numbers recorded so are compared.
    RoundedTwice,
}

/// The penalties of a query head: what a key's place adds to its score.
#[derive(Clone, Copy, Debug)]
pub struct Slope {
    value: f32,
    /// Rounded to bf16 and then multiplied by this.
    rounded: Option<f32>,
}

impl Slope {
    /// Of the key at this place. Only differences count.
    #[inline(always)]
    pub fn at(self, place: usize) -> f32 {
        let round = |x: f32| bf16::from_f32(x).to_f32();
        match self.rounded {
            None => self.value * place as f32,
            Some(scale) => round(self.value * round(place as f32)) * scale,
        }
    }
}

/// Head counts of grouped-query attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides `query`.
    pub key: usize,
    /// Width of a head.
    pub dim: usize,
    /// Factor on the scores.
    pub scale: f32,
    /// Scores become `softcap tanh(score / softcap)`; 0: they stay.
    pub softcap: f32,
    /// A query sees itself and the keys before it, this many together; 0: all before it.
    pub window: usize,
    /// Penalties on distance.
    pub alibi: Alibi,
}

impl Heads {
    /// First key that the query at this place sees.
    pub fn first_key(self, place: usize) -> usize {
        if self.window == 0 { 0 } else { (place + 1).saturating_sub(self.window) }
    }

    /// Penalties of a query head: slopes fall by equal ratios over the largest power of two of heads, and lie between
    /// those for the rest.
    pub fn slope(self, head: usize) -> Option<Slope> {
        let first = 1usize << self.query.max(1).ilog2();
        let steps = match head.checked_sub(first) {
            None => (head + 1) as f64,
            Some(rest) => rest as f64 + 0.5,
        };
        let value = (-8.0 * steps / first as f64).exp2() as f32;
        match self.alibi {
            Alibi::None => None,
            Alibi::Plain => Some(Slope { value, rounded: None }),
            Alibi::Rounded | Alibi::RoundedTwice => {
                let times = if self.alibi == Alibi::RoundedTwice { 2.0 } else { 1.0 };
                Some(Slope { value: bf16::from_f32(value).to_f32(), rounded: Some(times * self.scale) })
            }
        }
    }
}

/// Cosines and sines of rotary positions, `[tokens, head_dim / 2]` each, on the host.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// Cosines.
    pub cos: Vec<f32>,
    /// Sines.
    pub sin: Vec<f32>,
    /// Pairs per head: `head_dim / 2`.
    pub pairs: usize,
    /// Both on a device, once a backend asked for them there.
    put: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Rotary {
    /// Angles `position x frequency` of every token.
    pub fn new(positions: &[u32], frequencies: &[f32]) -> Self {
        let mut cos = Vec::with_capacity(positions.len() * frequencies.len());
        let mut sin = Vec::with_capacity(cos.capacity());
        for &position in positions {
            for &frequency in frequencies {
                let (s, c) = (position as f32 * frequency).sin_cos();
                cos.push(c);
                sin.push(s);
            }
        }
        Self { cos, sin, pairs: frequencies.len(), put: OnceLock::new() }
    }

    /// Cosines and sines as matrices `[tokens, pairs]`, sent to the device once.
    pub fn on<B: Backend>(&self, device: &B::Device) -> (Mat<B>, Mat<B>) {
        let send = |values: &[f32]| {
            let rows = values.len() / self.pairs.max(1);
            Tensor::from_data(TensorData::new(values.to_vec(), [rows, self.pairs]), device)
        };
        let both = || -> (Mat<B>, Mat<B>) { (send(&self.cos), send(&self.sin)) };
        let put = self.put.get_or_init(|| Arc::new(both()));
        put.downcast_ref::<(Mat<B>, Mat<B>)>().cloned().unwrap_or_else(both)
    }
}

/// What attention keeps for its backward pass.
#[derive(Clone, Debug)]
pub struct AttentionState<B: Backend> {
    /// Output, `[tokens, query heads x dim]`.
    pub out: Mat<B>,
    /// Log of the sum of exponentials of each query's scores, `[tokens, query heads]`.
    pub lse: Mat<B>,
}

/// Targets of a cross-entropy: for each row of hidden states the wanted token and its weight in the loss.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Wanted token per row.
    pub ids: Vec<u32>,
    /// d loss / d (negative log-likelihood) per row.
    pub weights: Vec<f32>,
}

/// Results of a cross-entropy.
pub struct CrossEntropy<B: Backend> {
    /// Negative log-likelihood per row, nats.
    pub nll: Vec<f32>,
    /// Gradient of the hidden rows, where it was asked for.
    pub d_hidden: Option<Mat<B>>,
    /// Gradient of the output matrix, where it was asked for.
    pub d_head: Option<Mat<B>>,
}

/// Which gradients a cross-entropy is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The loss alone.
    Loss,
    /// Also the gradient of the hidden rows.
    Hidden,
    /// Also the gradient of the output matrix.
    HiddenAndHead,
}

/// Constants of one AdamW update; decay is decoupled.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this update, from 1.
    pub t: u64,
    /// Factor on the gradient (clipping).
    pub grad_scale: f64,
}

/// The operations, forward and backward. All matrices are f32 and contiguous.
pub trait Kernels: Backend {
    /// Keys and values of one layer of one sequence.
    type Cache: Send + Sync + Clone;

    /// A frozen matrix in its stored form.
    type Blocks: Send + Sync + Clone + std::fmt::Debug;

    /// Runs two halves of a batch, at the same time where the backend gains from it.
    fn pair<T: Send>(left: impl FnOnce() -> T + Send, right: impl FnOnce() -> T + Send) -> (T, T);

    /// Whether two halves of a batch are to be computed side by side by [`Kernels::pair`].
    fn splits_batches() -> bool;

    /// Does work of many small parallel parts where threads for these are at hand, and not asleep.
    fn together<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        work()
    }

    /// `x W^T + bias`: x `[n, in]`, w `[out, in]`, bias `[1, out]`.
    fn affine(x: &Mat<Self>, w: &Mat<Self>, bias: Option<&Mat<Self>>) -> Mat<Self>;

    /// `a b`, a `[n, k]`, b `[k, m]`.
    fn product(a: &Mat<Self>, b: &Mat<Self>) -> Mat<Self> {
        a.clone().matmul(b.clone())
    }

    /// `a^T b`, a `[n, p]`, b `[n, q]`.
    fn product_transposed(a: &Mat<Self>, b: &Mat<Self>) -> Mat<Self> {
        a.clone().transpose().matmul(b.clone())
    }

    /// `y + a b`, a `[n, k]`, b `[k, m]`.
    fn add_product(y: Mat<Self>, a: &Mat<Self>, b: &Mat<Self>) -> Mat<Self> {
        y + a.clone().matmul(b.clone())
    }

    /// Brings a frozen matrix to a device.
    fn put_blocks(blocks: Blocks, device: &Self::Device) -> Self::Blocks;

    /// Rows and columns of a frozen matrix.
    fn blocks_dims(w: &Self::Blocks) -> [usize; 2];

    /// A frozen matrix as f32 (for merging and writing; nothing on the way of a step needs it).
    fn blocks_to_dense(w: &Self::Blocks, device: &Self::Device) -> Mat<Self>;

    /// `x W^T + bias` with a frozen W, which is turned into f32 piece by piece.
    fn affine_blocks(x: &Mat<Self>, w: &Self::Blocks, bias: Option<&Mat<Self>>) -> Mat<Self>;

    /// `dy W` with a frozen W.
    fn product_blocks(dy: &Mat<Self>, w: &Self::Blocks) -> Mat<Self>;

    /// Rows of a frozen table: `[ids, d]`.
    fn gather_blocks(w: &Self::Blocks, ids: &[u32]) -> Mat<Self>;

    /// `x / rms(x) * w`: x `[n, d]`, w `[1, d]`.
    fn rms_norm(x: &Mat<Self>, w: &Mat<Self>, eps: f32) -> Mat<Self>;

    /// Gradients of x and, if wanted, of w.
    fn rms_norm_backward(
        x: &Mat<Self>,
        w: &Mat<Self>,
        eps: f32,
        dy: &Mat<Self>,
        want_w: bool,
    ) -> (Mat<Self>, Option<Mat<Self>>);

    /// `silu(gate) * up`.
    fn swiglu(gate: &Mat<Self>, up: &Mat<Self>) -> Mat<Self>;

    /// Gradients of gate and up.
    fn swiglu_backward(gate: &Mat<Self>, up: &Mat<Self>, dy: &Mat<Self>) -> (Mat<Self>, Mat<Self>);

    /// Rotates the two halves of each head; `inverse` turns back (which is also the gradient).
    fn rope(x: Mat<Self>, rotary: &Rotary, inverse: bool) -> Mat<Self>;

    /// Causal grouped-query attention inside each segment. q `[n, query x dim]`, k and v `[n, key x dim]`.
    fn causal_attention(
        q: &Mat<Self>,
        k: &Mat<Self>,
        v: &Mat<Self>,
        heads: Heads,
        segments: &[Segment],
    ) -> AttentionState<Self>;

    /// Gradients of q, k and v; scores are computed anew.
    fn attention_backward(
        qkv: [&Mat<Self>; 3],
        state: &AttentionState<Self>,
        d_out: &Mat<Self>,
        heads: Heads,
        segments: &[Segment],
    ) -> [Mat<Self>; 3];

    /// An empty cache with room for `capacity` tokens.
    fn new_cache(capacity: usize, heads: Heads) -> Self::Cache;

    /// Appends k and v, then lets the queries (the newest tokens) attend to everything in the cache.
    fn attention_cached(
        q: &Mat<Self>,
        k: &Mat<Self>,
        v: &Mat<Self>,
        heads: Heads,
        cache: &mut Self::Cache,
    ) -> Mat<Self>;

    /// Rows of a table: `[ids, d]`.
    fn gather_rows(table: &Mat<Self>, ids: &[u32]) -> Mat<Self>;

    /// A matrix of `rows` rows with row `i` of `values` added to row `ids[i]`.
    fn scatter_rows(values: &Mat<Self>, ids: &[u32], rows: usize) -> Mat<Self>;

    /// Cross-entropy of `hidden head^T` against targets, in blocks of rows; logits are never kept. A frozen head
    /// has no gradient: [`Want::HiddenAndHead`] needs a dense one.
    fn cross_entropy<'a>(
        hidden: &Mat<Self>,
        head: impl Into<Operand<'a, Self>>,
        targets: &Targets,
        want: Want,
    ) -> CrossEntropy<Self>;

    /// Inverted dropout; the mask is a hash of seed and element index ([`keeps`]), so it can be made twice and is
    /// the same on every backend.
    fn dropout(x: &Mat<Self>, p: f32, seed: u64) -> Mat<Self>;

    /// Sum of squares of all elements.
    fn sum_of_squares(x: &Mat<Self>) -> f64;

    /// Sum of squares of all elements of several matrices.
    fn total_of_squares<'a>(all: impl Iterator<Item = &'a Mat<Self>>) -> f64 {
        all.map(Self::sum_of_squares).sum()
    }

    /// One AdamW update; returns value, first and second moment.
    fn adamw(
        value: Mat<Self>,
        grad: &Mat<Self>,
        moments: (Mat<Self>, Mat<Self>),
        step: AdamStep,
    ) -> (Mat<Self>, Mat<Self>, Mat<Self>);

    /// A matrix from host values, row by row.
    fn from_host(values: Vec<f32>, rows: usize, cols: usize, device: &Self::Device) -> Mat<Self>;

    /// The values of a matrix, row by row.
    fn to_host(x: &Mat<Self>) -> Vec<f32>;
}

/// Odd factors of a well-tested 32-bit mixer.
pub(crate) const MIX: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// Whether dropout keeps the element at this place (row-major). 32-bit arithmetic, for a GPU has nothing wider
/// that is fast.
pub(crate) fn keeps(place: u32, seed: u64, bar: u32) -> bool {
    let mix = |x: u32| {
        let x = (x ^ (x >> 16)).wrapping_mul(MIX[0]);
        let x = (x ^ (x >> 15)).wrapping_mul(MIX[1]);
        x ^ (x >> 16)
    };
    mix(mix(place ^ seed as u32) ^ (seed >> 32) as u32) & 0x00ff_ffff >= bar
}

/// Hashes (24 bits) below this are dropped with probability `p`.
pub(crate) fn bar(p: f32) -> u32 {
    (f64::from(p) * f64::from(1 << 24)) as u32
}

/// `a b`, a `[n, k]`, b `[k, m]`.
pub fn product<B: Kernels>(a: &Mat<B>, b: &Mat<B>) -> Mat<B> {
    B::product(a, b)
}

/// `a^T b`, a `[n, p]`, b `[n, q]`: the gradient of a weight.
pub fn product_transposed<B: Kernels>(a: &Mat<B>, b: &Mat<B>) -> Mat<B> {
    B::product_transposed(a, b)
}
