//! Every kernel with burn's own tensor operations, for any backend: what runs on a GPU.
//!
//! Nothing is read back to the host but losses and norms; only indices, masks of a few numbers and rotary tables
//! go the other way. A backend takes part by implementing the marker [`Plain`].

mod attention;
mod blocks;
mod loss;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData, activation};

use super::{
    AdamStep, AttentionState, CrossEntropy, Heads, Kernels, Mat, Operand, Rotary, Segment, Targets, Want,
    product,
};
use crate::weights::Blocks;
pub use attention::TensorCache;
pub use blocks::TensorBlocks;

/// Backends whose kernels are made of burn's tensor operations.
pub trait Plain: Backend {}

#[cfg(feature = "cuda")]
impl Plain for burn::backend::Cuda {}

/// Token ids or row numbers on the device.
fn indices<B: Backend>(ids: &[u32], device: &B::Device) -> Tensor<B, 1, Int> {
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let count = ids.len();
    Tensor::from_data(TensorData::new(ids, [count]), device)
}

fn inverse_rms<B: Backend>(x: &Mat<B>, eps: f32) -> Mat<B> {
    x.clone().powi_scalar(2).mean_dim(1).add_scalar(eps).sqrt().recip()
}

/// A 32-bit hash of every element's place; the last 24 bits of it. See [`super::keeps`].
fn hashed_places<B: Backend>(rows: usize, cols: usize, seed: u64, device: &B::Device) -> Tensor<B, 2, Int> {
    let count = i64::try_from(rows * cols).unwrap_or(i64::MAX);
    let at = Tensor::<B, 1, Int>::arange(0..count, (device, DType::I32)).reshape([rows, cols]);
    let signed = |word: u32| word.cast_signed();
    let xor = |x: Tensor<B, 2, Int>, word: u32| x.bitwise_xor_scalar(elem::<B>(signed(word)));
    let shifted = |x: Tensor<B, 2, Int>, by: i32| {
        let right = x.clone().bitwise_right_shift_scalar(elem::<B>(by));
        // The sign is not to be drawn along.
        x.bitwise_xor(right.bitwise_and_scalar(elem::<B>((1 << (32 - by)) - 1)))
    };
    let mix = |x| {
        let x = shifted(x, 16).mul_scalar(signed(super::MIX[0]));
        let x = shifted(x, 15).mul_scalar(signed(super::MIX[1]));
        shifted(x, 16)
    };
    let x = mix(xor(at, seed as u32));
    mix(xor(x, (seed >> 32) as u32)).bitwise_and_scalar(elem::<B>(0x00ff_ffff))
}

fn elem<B: Backend>(value: i32) -> B::IntElem {
    burn::tensor::ElementConversion::elem(value)
}

impl<B: Plain> Kernels for B {
    type Cache = TensorCache<B>;
    type Blocks = TensorBlocks<B>;

    fn pair<T: Send>(left: impl FnOnce() -> T + Send, right: impl FnOnce() -> T + Send) -> (T, T) {
        (left(), right())
    }

    fn splits_batches() -> bool {
        false
    }

    fn affine(x: &Mat<B>, w: &Mat<B>, bias: Option<&Mat<B>>) -> Mat<B> {
        let y = product(x, &w.clone().transpose());
        match bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }

    fn put_blocks(blocks: Blocks, device: &B::Device) -> TensorBlocks<B> {
        TensorBlocks::put(&blocks, device)
    }

    fn blocks_dims(w: &TensorBlocks<B>) -> [usize; 2] {
        w.dims()
    }

    fn blocks_to_dense(w: &TensorBlocks<B>, _device: &B::Device) -> Mat<B> {
        w.dense()
    }

    fn affine_blocks(x: &Mat<B>, w: &TensorBlocks<B>, bias: Option<&Mat<B>>) -> Mat<B> {
        Self::affine(x, &w.dense(), bias)
    }

    fn product_blocks(dy: &Mat<B>, w: &TensorBlocks<B>) -> Mat<B> {
        product(dy, &w.dense())
    }

    fn gather_blocks(w: &TensorBlocks<B>, ids: &[u32]) -> Mat<B> {
        w.gather(ids)
    }

    fn rms_norm(x: &Mat<B>, w: &Mat<B>, eps: f32) -> Mat<B> {
        x.clone() * inverse_rms(x, eps) * w.clone()
    }

    fn rms_norm_backward(
        x: &Mat<B>,
        w: &Mat<B>,
        eps: f32,
        dy: &Mat<B>,
        want_w: bool,
    ) -> (Mat<B>, Option<Mat<B>>) {
        let d = x.dims()[1] as f32;
        let scale = inverse_rms(x, eps);
        let g = dy.clone() * w.clone();
        let pull = (g.clone() * x.clone()).sum_dim(1) * scale.clone().powi_scalar(3).div_scalar(d);
        let dx = g * scale.clone() - x.clone() * pull;
        let dw = want_w.then(|| (dy.clone() * x.clone() * scale).sum_dim(0));
        (dx, dw)
    }

    fn swiglu(gate: &Mat<B>, up: &Mat<B>) -> Mat<B> {
        activation::silu(gate.clone()) * up.clone()
    }

    fn swiglu_backward(gate: &Mat<B>, up: &Mat<B>, dy: &Mat<B>) -> (Mat<B>, Mat<B>) {
        let s = activation::sigmoid(gate.clone());
        let silu = gate.clone() * s.clone();
        // silu' = s + silu (1 - s)
        let slope = s.clone() + silu.clone() * s.neg().add_scalar(1.0);
        (dy.clone() * up.clone() * slope, dy.clone() * silu)
    }

    fn rope(x: Mat<B>, rotary: &Rotary, inverse: bool) -> Mat<B> {
        let [n, width] = x.dims();
        let half = rotary.pairs;
        let heads = width / (2 * half);
        let (cos, sin) = rotary.on::<B>(&x.device());
        let turn = |table: Mat<B>| table.reshape([n, 1, half]);
        let (cos, sin) = (turn(cos), turn(if inverse { sin.neg() } else { sin }));
        let x = x.reshape([n, heads, 2 * half]);
        let a = x.clone().slice([0..n, 0..heads, 0..half]);
        let b = x.slice([0..n, 0..heads, half..2 * half]);
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos + a * sin;
        Tensor::cat(vec![first, second], 2).reshape([n, width])
    }

    fn causal_attention(
        q: &Mat<B>,
        k: &Mat<B>,
        v: &Mat<B>,
        heads: Heads,
        segments: &[Segment],
    ) -> AttentionState<B> {
        attention::forward(q, k, v, heads, segments)
    }

    fn attention_backward(
        qkv: [&Mat<B>; 3],
        state: &AttentionState<B>,
        d_out: &Mat<B>,
        heads: Heads,
        segments: &[Segment],
    ) -> [Mat<B>; 3] {
        attention::backward(qkv, state, d_out, heads, segments)
    }

    fn new_cache(capacity: usize, _heads: Heads) -> TensorCache<B> {
        TensorCache::new(capacity)
    }

    fn attention_cached(
        q: &Mat<B>,
        k: &Mat<B>,
        v: &Mat<B>,
        heads: Heads,
        cache: &mut TensorCache<B>,
    ) -> Mat<B> {
        cache.append(k, v);
        attention::cached(q, heads, cache)
    }

    fn gather_rows(table: &Mat<B>, ids: &[u32]) -> Mat<B> {
        table.clone().select(0, indices(ids, &table.device()))
    }

    fn scatter_rows(values: &Mat<B>, ids: &[u32], rows: usize) -> Mat<B> {
        let device = values.device();
        let zeros = Tensor::zeros([rows, values.dims()[1]], &device);
        zeros.select_assign(0, indices(ids, &device), values.clone(), IndexingUpdateOp::Add)
    }

    fn cross_entropy<'a>(
        hidden: &Mat<B>,
        head: impl Into<Operand<'a, B>>,
        targets: &Targets,
        want: Want,
    ) -> CrossEntropy<B> {
        loss::cross_entropy(hidden, head.into(), targets, want)
    }

    fn dropout(x: &Mat<B>, p: f32, seed: u64) -> Mat<B> {
        let [rows, cols] = x.dims();
        let gone = hashed_places::<B>(rows, cols, seed, &x.device()).lower_elem(super::bar(p));
        x.clone().mul_scalar(1.0 / (1.0 - p)).mask_fill(gone, 0.0)
    }

    fn sum_of_squares(x: &Mat<B>) -> f64 {
        f64::from(Self::to_host(&x.clone().powi_scalar(2).sum().reshape([1, 1]))[0])
    }

    fn total_of_squares<'a>(all: impl Iterator<Item = &'a Mat<B>>) -> f64 {
        let sums: Vec<Tensor<B, 1>> = all.map(|x| x.clone().powi_scalar(2).sum()).collect();
        if sums.is_empty() {
            return 0.0;
        }
        // One read for all of them.
        let count = sums.len();
        Self::to_host(&Tensor::cat(sums, 0).reshape([1, count])).iter().map(|x| f64::from(*x)).sum()
    }

    fn adamw(
        value: Mat<B>,
        grad: &Mat<B>,
        (m, v): (Mat<B>, Mat<B>),
        step: AdamStep,
    ) -> (Mat<B>, Mat<B>, Mat<B>) {
        let t = step.t.min(i32::MAX as u64) as i32;
        let size = step.lr / (1.0 - step.beta1.powi(t));
        let root = (1.0 - step.beta2.powi(t)).sqrt();
        let g = grad.clone().mul_scalar(step.grad_scale);
        let m = m.mul_scalar(step.beta1) + g.clone().mul_scalar(1.0 - step.beta1);
        let v = v.mul_scalar(step.beta2) + g.powi_scalar(2).mul_scalar(1.0 - step.beta2);
        let change = m.clone() / (v.clone().sqrt().div_scalar(root).add_scalar(step.eps));
        let value = value.mul_scalar(1.0 - step.lr * step.weight_decay) - change.mul_scalar(size);
        (value, m, v)
    }

    fn from_host(values: Vec<f32>, rows: usize, cols: usize, device: &B::Device) -> Mat<B> {
        Tensor::from_data(TensorData::new(values, [rows, cols]), device)
    }

    fn to_host(x: &Mat<B>) -> Vec<f32> {
        x.to_data().convert::<f32>().into_vec().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
