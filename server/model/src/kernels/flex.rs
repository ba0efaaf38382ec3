//! The CPU: plain slices, the widest vector instructions of the machine, rayon's threads.

mod attention;
mod blocks;
mod coded;
mod loss;
mod math;
mod skinny;
mod tiles;
mod wide;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    AdamStep, AttentionState, CrossEntropy, Heads, Kernels, Mat, Operand, Rotary, Segment, Targets, Want,
};
use crate::weights::Blocks;
pub use attention::HostCache;
use math::{dot, sigmoid};
use skinny::SKINNY;
use wide::Source;

/// Rows handled by one task of an elementwise kernel.
const ROWS_PER_TASK: usize = 8;
/// Up to this many rows a product is done row by row: it is bound by reading the weight once.
const NARROW: usize = 3;

pub(super) fn raw(x: &Mat<Flex>) -> FlexTensor {
    x.clone().into_primitive().tensor().to_contiguous()
}

pub(super) fn view(raw: &FlexTensor) -> &[f32] {
    let start = raw.layout().start_offset();
    &raw.storage::<f32>()[start..start + raw.layout().num_elements()]
}

pub(super) fn mat(values: Vec<f32>, rows: usize, cols: usize) -> Mat<Flex> {
    let raw = FlexTensor::from_data(TensorData::new(values, [rows, cols]));
    Tensor::from_primitive(TensorPrimitive::Float(raw))
}

/// Fills a `[rows, cols]` matrix in parallel, `fill(first row, chunk)` for blocks of whole rows.
fn by_rows(rows: usize, cols: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    fill_rows(&mut out, cols, fill);
    out
}

/// As [`by_rows`], over what is there already.
fn fill_rows(out: &mut [f32], cols: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    let arch = Arch::new();
    if out.len() <= ROWS_PER_TASK * cols {
        arch.dispatch(|| fill(0, out));
    } else {
        out.par_chunks_mut(ROWS_PER_TASK * cols)
            .enumerate()
            .for_each(|(i, chunk)| arch.dispatch(|| fill(i * ROWS_PER_TASK, chunk)));
    }
}

/// `x W^T` for few rows: every task reads a band of W once.
fn narrow_product(x: &[f32], w: &[f32], n: usize, inner: usize, outer: usize) -> Vec<f32> {
    let band = (65_536 / inner).clamp(16, 4096);
    let arch = Arch::new();
    let mut out = vec![0.0; n * outer];
    for (x, out) in x.chunks_exact(inner).zip(out.chunks_exact_mut(outer)) {
        out.par_chunks_mut(band).zip(w.par_chunks(band * inner)).for_each(|(out, w)| {
            arch.dispatch(
                #[inline(always)]
                || {
                    for (y, row) in out.iter_mut().zip(w.chunks_exact(inner)) {
                        *y = if inner <= SKINNY {
                            x.iter().zip(row).map(|(x, w)| x * w).sum()
                        } else {
                            dot(x, row)
                        };
                    }
                },
            );
        });
    }
    out
}

#[cfg(feature = "threads")]
fn one_thread() -> Option<&'static [rayon::ThreadPool; 2]> {
    static POOLS: std::sync::OnceLock<Option<[rayon::ThreadPool; 2]>> = std::sync::OnceLock::new();
    let build =
        || rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads().div_ceil(2)).build();
    POOLS.get_or_init(|| Some([build().ok()?, build().ok()?])).as_ref()
}

impl Kernels for Flex {
    type Cache = HostCache;
    type Blocks = Blocks;

    fn pair<T: Send>(left: impl FnOnce() -> T + Send, right: impl FnOnce() -> T + Send) -> (T, T) {
        #[cfg(not(feature = "threads"))]
        return (left(), right());
        #[cfg(feature = "threads")]
        match one_thread() {
            Some([a, b]) => std::thread::scope(|scope| {
                let other = scope.spawn(|| b.install(right));
                let left = a.install(left);
                match other.join() {
                    Ok(right) => (left, right),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }),
            None => (left(), right()),
        }
    }

    fn splits_batches() -> bool {
        cfg!(feature = "threads") && rayon::current_num_threads() > 1
    }

    // From outside the pool every product would wake one of its threads and wait for it.
    #[cfg(feature = "threads")]
    fn together<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        rayon::scope(|_| work())
    }

    fn affine(x: &Mat<Flex>, w: &Mat<Flex>, bias: Option<&Mat<Flex>>) -> Mat<Flex> {
        let [n, inner] = x.dims();
        let outer = w.dims()[0];
        let y = if n > NARROW && outer <= SKINNY {
            skinny::dots(x, w)
        } else if n <= NARROW {
            let (x, w) = (raw(x), raw(w));
            mat(narrow_product(view(&x), view(&w), n, inner, outer), n, outer)
        } else {
            let (x, w) = (raw(x), raw(w));
            mat(wide::affine(view(&x), Source::Dense(view(&w)), inner, outer), n, outer)
        };
        match bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }

    fn product(a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
        let ([n, k], m) = (a.dims(), b.dims()[1]);
        if k <= SKINNY {
            skinny::add_product(mat(vec![0.0; n * m], n, m), a, b)
        } else if m <= SKINNY {
            skinny::dots(a, &b.clone().transpose())
        } else {
            let (a, b) = (raw(a), raw(b));
            mat(wide::product(view(&a), Source::Dense(view(&b)), k, m), n, m)
        }
    }

    fn product_transposed(a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
        let ([n, p], q) = (a.dims(), b.dims()[1]);
        if p <= SKINNY {
            skinny::outer_sum(a, b)
        } else if q <= SKINNY {
            skinny::outer_sum(b, a).transpose()
        } else {
            let (a, b) = (raw(a), raw(b));
            let a = wide::transposed(view(&a), n, p);
            mat(wide::product(&a, Source::Dense(view(&b)), n, q), p, q)
        }
    }

    fn add_product(y: Mat<Flex>, a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
        if a.dims()[1] <= SKINNY { skinny::add_product(y, a, b) } else { y + Self::product(a, b) }
    }

    fn put_blocks(blocks: Blocks, _device: &Self::Device) -> Blocks {
        blocks
    }

    fn blocks_dims(w: &Blocks) -> [usize; 2] {
        w.dims()
    }

    fn blocks_to_dense(w: &Blocks, _device: &Self::Device) -> Mat<Flex> {
        let [rows, cols] = w.dims();
        mat(w.to_f32(), rows, cols)
    }

    fn affine_blocks(x: &Mat<Flex>, w: &Blocks, bias: Option<&Mat<Flex>>) -> Mat<Flex> {
        let y = blocks::affine(x, w);
        match bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }

    fn product_blocks(dy: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
        blocks::back(dy, w)
    }

    fn gather_blocks(w: &Blocks, ids: &[u32]) -> Mat<Flex> {
        blocks::gather(w, ids)
    }

    fn rms_norm(x: &Mat<Flex>, w: &Mat<Flex>, eps: f32) -> Mat<Flex> {
        let [n, d] = x.dims();
        let (x, w) = (raw(x), raw(w));
        let (x, w) = (view(&x), view(&w));
        let out = by_rows(
            n,
            d,
            #[inline(always)]
            |first, chunk| {
                for (row, y) in chunk.chunks_exact_mut(d).enumerate() {
                    let x = &x[(first + row) * d..][..d];
                    let scale = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
                    for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                        *y = x * scale * w;
                    }
                }
            },
        );
        mat(out, n, d)
    }

    fn rms_norm_backward(
        x: &Mat<Flex>,
        w: &Mat<Flex>,
        eps: f32,
        dy: &Mat<Flex>,
        want_w: bool,
    ) -> (Mat<Flex>, Option<Mat<Flex>>) {
        let [n, d] = x.dims();
        let (x, w, dy) = (raw(x), raw(w), raw(dy));
        let (x, w, dy) = (view(&x), view(&w), view(&dy));
        let dx = by_rows(
            n,
            d,
            #[inline(always)]
            |first, chunk| {
                for (row, dx) in chunk.chunks_exact_mut(d).enumerate() {
                    let at = (first + row) * d;
                    let (x, dy) = (&x[at..at + d], &dy[at..at + d]);
                    let scale = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
                    for ((g, dy), w) in dx.iter_mut().zip(dy).zip(w) {
                        *g = dy * w;
                    }
                    let pull = dot(dx, x) * scale * scale * scale / d as f32;
                    for (g, x) in dx.iter_mut().zip(x) {
                        *g = *g * scale - x * pull;
                    }
                }
            },
        );
        let dw = want_w.then(|| {
            let mut dw = vec![0.0; d];
            for (x, dy) in x.chunks_exact(d).zip(dy.chunks_exact(d)) {
                let scale = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
                for ((g, x), dy) in dw.iter_mut().zip(x).zip(dy) {
                    *g += dy * x * scale;
                }
            }
            mat(dw, 1, d)
        });
        (mat(dx, n, d), dw)
    }

    fn swiglu(gate: &Mat<Flex>, up: &Mat<Flex>) -> Mat<Flex> {
        let [n, d] = gate.dims();
        let (gate, up) = (raw(gate), raw(up));
        let (gate, up) = (view(&gate), view(&up));
        let out = by_rows(
            n,
            d,
            #[inline(always)]
            |first, chunk| {
                let at = first * d;
                let (gate, up) = (&gate[at..at + chunk.len()], &up[at..at + chunk.len()]);
                for ((y, g), u) in chunk.iter_mut().zip(gate).zip(up) {
                    *y = g * sigmoid(*g) * u;
                }
            },
        );
        mat(out, n, d)
    }

    fn swiglu_backward(gate: &Mat<Flex>, up: &Mat<Flex>, dy: &Mat<Flex>) -> (Mat<Flex>, Mat<Flex>) {
        let [n, d] = gate.dims();
        let (gate, up, dy) = (raw(gate), raw(up), raw(dy));
        let (gate, up, dy) = (view(&gate), view(&up), view(&dy));
        let (mut dg, mut du) = (vec![0.0; n * d], vec![0.0; n * d]);
        let arch = Arch::new();
        let size = ROWS_PER_TASK * d;
        dg.par_chunks_mut(size).zip(du.par_chunks_mut(size)).enumerate().for_each(|(i, (dg, du))| {
            let range = i * size..i * size + dg.len();
            let inputs = (&gate[range.clone()], &up[range.clone()], &dy[range]);
            arch.dispatch(
                #[inline(always)]
                || math::swiglu_gradients(inputs, dg, du),
            );
        });
        (mat(dg, n, d), mat(du, n, d))
    }

    fn rope(x: Mat<Flex>, rotary: &Rotary, inverse: bool) -> Mat<Flex> {
        let [n, width] = x.dims();
        let mut raw = x.into_primitive().tensor().to_contiguous();
        let start = raw.layout().start_offset();
        let half = rotary.pairs;
        let sign = if inverse { -1.0 } else { 1.0 };
        fill_rows(
            &mut raw.storage_mut::<f32>()[start..start + n * width],
            width,
            #[inline(always)]
            |first, chunk| {
                for (row, values) in chunk.chunks_exact_mut(width).enumerate() {
                    let at = (first + row) * half;
                    let (cos, sin) = (&rotary.cos[at..at + half], &rotary.sin[at..at + half]);
                    math::rotate(values, cos, sin, sign);
                }
            },
        );
        Tensor::from_primitive(TensorPrimitive::Float(raw))
    }

    fn causal_attention(
        q: &Mat<Flex>,
        k: &Mat<Flex>,
        v: &Mat<Flex>,
        heads: Heads,
        segments: &[Segment],
    ) -> AttentionState<Flex> {
        attention::forward(q, k, v, heads, segments)
    }

    fn attention_backward(
        qkv: [&Mat<Flex>; 3],
        state: &AttentionState<Flex>,
        d_out: &Mat<Flex>,
        heads: Heads,
        segments: &[Segment],
    ) -> [Mat<Flex>; 3] {
        attention::backward(qkv, state, d_out, heads, segments)
    }

    fn new_cache(capacity: usize, heads: Heads) -> HostCache {
        HostCache::new(capacity, heads)
    }

    fn attention_cached(
        q: &Mat<Flex>,
        k: &Mat<Flex>,
        v: &Mat<Flex>,
        heads: Heads,
        cache: &mut HostCache,
    ) -> Mat<Flex> {
        cache.append(view(&raw(k)), view(&raw(v)));
        attention::cached(q, heads, cache)
    }

    fn gather_rows(table: &Mat<Flex>, ids: &[u32]) -> Mat<Flex> {
        let d = table.dims()[1];
        let table = raw(table);
        let table = view(&table);
        let mut out = Vec::with_capacity(ids.len() * d);
        for &id in ids {
            out.extend_from_slice(&table[id as usize * d..][..d]);
        }
        mat(out, ids.len(), d)
    }

    fn scatter_rows(values: &Mat<Flex>, ids: &[u32], rows: usize) -> Mat<Flex> {
        let d = values.dims()[1];
        let values = raw(values);
        let mut out = vec![0.0; rows * d];
        for (&id, value) in ids.iter().zip(view(&values).chunks_exact(d)) {
            for (y, x) in out[id as usize * d..][..d].iter_mut().zip(value) {
                *y += x;
            }
        }
        mat(out, rows, d)
    }

    fn cross_entropy<'a>(
        hidden: &Mat<Flex>,
        head: impl Into<Operand<'a, Flex>>,
        targets: &Targets,
        want: Want,
    ) -> CrossEntropy<Flex> {
        loss::cross_entropy(hidden, head.into(), targets, want)
    }

    fn dropout(x: &Mat<Flex>, p: f32, seed: u64) -> Mat<Flex> {
        let [n, d] = x.dims();
        let x = raw(x);
        let x = view(&x);
        let keep = 1.0 / (1.0 - p);
        let bar = super::bar(p);
        let out = by_rows(n, d, |first, chunk| {
            for (i, y) in chunk.iter_mut().enumerate() {
                let at = first * d + i;
                let kept = super::keeps(at as u32, seed, bar);
                *y = if kept { x[at] * keep } else { 0.0 };
            }
        });
        mat(out, n, d)
    }

    fn sum_of_squares(x: &Mat<Flex>) -> f64 {
        let x = raw(x);
        view(&x)
            .par_chunks(1 << 15)
            .map(|x| x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>())
            .sum()
    }

    fn adamw(
        value: Mat<Flex>,
        grad: &Mat<Flex>,
        moments: (Mat<Flex>, Mat<Flex>),
        step: AdamStep,
    ) -> (Mat<Flex>, Mat<Flex>, Mat<Flex>) {
        let grad = raw(grad);
        let grad = view(&grad);
        let [mut p, mut m, mut v] =
            [value, moments.0, moments.1].map(|x| x.into_primitive().tensor().to_contiguous());
        {
            let [p, m, v] = [&mut p, &mut m, &mut v].map(|x| {
                let range = x.layout().start_offset()..x.layout().start_offset() + x.layout().num_elements();
                &mut x.storage_mut::<f32>()[range]
            });
            let size = 1 << 14;
            let arch = Arch::new();
            p.par_chunks_mut(size)
                .zip(m.par_chunks_mut(size))
                .zip(v.par_chunks_mut(size))
                .zip(grad.par_chunks(size))
                .for_each(|(((p, m), v), g)| {
                    arch.dispatch(
                        #[inline(always)]
                        || math::adam(p, g, m, v, step),
                    );
                });
        }
        let [p, m, v] = [p, m, v].map(|x| Tensor::from_primitive(TensorPrimitive::Float(x)));
        (p, m, v)
    }

    fn from_host(values: Vec<f32>, rows: usize, cols: usize, _device: &Self::Device) -> Mat<Flex> {
        mat(values, rows, cols)
    }

    fn to_host(x: &Mat<Flex>) -> Vec<f32> {
        view(&raw(x)).to_vec()
    }
}
