//! Grouped-query attention as batched products; the scores of one row of the batch at a time.
//!
//! Queries that share a key head lie one after another in `[key heads, group x tokens, dim]`, so no key is copied
//! and the sum over the group comes with the product.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData, activation};

use crate::kernels::{AttentionState, Heads, Mat, Segment, Slope};

/// Keys and values of one layer in buffers reserved with the first token, `[capacity, key heads x dim]`.
#[derive(Clone, Debug)]
pub struct TensorCache<B: Backend> {
    pair: Option<[Mat<B>; 2]>,
    len: usize,
    capacity: usize,
}

impl<B: Backend> TensorCache<B> {
    /// Empty, with room for `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        Self { pair: None, len: 0, capacity }
    }

    /// Adds the keys and values of new tokens.
    pub fn append(&mut self, k: &Mat<B>, v: &Mat<B>) {
        let [n, width] = k.dims();
        let total = self.len + n;
        // Asked for more than was reserved: room for as much again.
        let missing = if total > self.capacity { total } else { 0 };
        self.capacity += missing;
        let room = self.capacity;
        let device = k.device();
        let empty = || [Tensor::zeros([room, width], &device), Tensor::zeros([room, width], &device)];
        let old = self.pair.take().unwrap_or_else(empty);
        let mut new = [k, v].into_iter();
        self.pair = Some(old.map(|buffer| {
            let short = room - buffer.dims()[0];
            let buffer = match short {
                0 => buffer,
                _ => Tensor::cat(vec![buffer, Tensor::zeros([short, width], &device)], 0),
            };
            match new.next() {
                Some(rows) => buffer.slice_assign([self.len..total, 0..width], rows.clone()),
                None => buffer,
            }
        }));
        self.len = total;
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// `[n, key x group x dim]` to `[key, group x n, dim]`.
fn grouped<B: Backend>(x: Mat<B>, n: usize, heads: Heads, group: usize) -> Tensor<B, 3> {
    x.reshape([n, heads.key, group, heads.dim]).permute([1, 2, 0, 3]).reshape([
        heads.key,
        group * n,
        heads.dim,
    ])
}

/// Back to `[n, key x group x dim]`.
fn flat<B: Backend>(x: Tensor<B, 3>, n: usize, heads: Heads, group: usize) -> Mat<B> {
    x.reshape([heads.key, group, n, heads.dim])
        .permute([2, 0, 1, 3])
        .reshape([n, heads.key * group * heads.dim])
}

/// Scaled (and bent) scores, distances left out, `[key, group, n, keys]`.
fn scores<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    [n, keys, group]: [usize; 3],
    heads: Heads,
) -> Tensor<B, 4> {
    let scores = q.matmul(k.swap_dims(1, 2)).mul_scalar(heads.scale).reshape([heads.key, group, n, keys]);
    if heads.softcap == 0.0 { scores } else { bend(scores, heads.softcap) }
}

/// `cap tanh(x / cap)`.
fn bend<B: Backend>(x: Tensor<B, 4>, cap: f32) -> Tensor<B, 4> {
    x.div_scalar(cap).tanh().mul_scalar(cap)
}

/// What distances add to the scores, `[key, group, n, keys]`; query `i` is token `keys - n + i`.
fn distanced<B: Backend>(scores: Tensor<B, 4>, heads: Heads) -> Tensor<B, 4> {
    let [key, group, n, keys] = scores.dims();
    let slopes: Vec<Slope> = (0..heads.query).filter_map(|head| heads.slope(head)).collect();
    if slopes.is_empty() {
        return scores;
    }
    let device = scores.device();
    let put = |places: std::ops::Range<usize>, rows: usize| {
        let values = slopes.iter().flat_map(|slope| places.clone().map(|place| slope.at(place))).collect();
        let shape = if rows == 1 { [key, group, 1, keys] } else { [key, group, rows, 1] };
        Tensor::<B, 4>::from_data(TensorData::new::<f32, _>(values, shape), &device)
    };
    let all = put(0..keys, 1);
    let own = match n {
        1 => all.clone().slice([0..key, 0..group, 0..1, keys - 1..keys]),
        _ => put(keys - n..keys, n),
    };
    scores + (all - own)
}

/// Minus infinity where a key comes later than the query or before its window; query `i` is token `keys - n + i`.
fn masked<B: Backend>(scores: Tensor<B, 4>, heads: Heads) -> Tensor<B, 4> {
    let shape @ [_, _, n, keys] = scores.dims();
    let device = scores.device();
    let before = (keys - n) as i64;
    let hide = |scores: Tensor<B, 4>, mask: Tensor<B, 2, Bool>| {
        scores.mask_fill(mask.reshape([1, 1, n, keys]).expand(shape), f32::NEG_INFINITY)
    };
    let scores = match n {
        1 => scores,
        _ => hide(scores, Tensor::tril_mask([n, keys], before, &device)),
    };
    match heads.window {
        0 => scores,
        window if window >= keys => scores,
        window => hide(scores, Tensor::triu_mask([n, keys], before + 1 - window as i64, &device)),
    }
}

fn rows<B: Backend>(x: &Mat<B>, segment: Segment) -> Mat<B> {
    let width = x.dims()[1];
    x.clone().slice([segment.start..segment.start + segment.len, 0..width])
}

fn stack<B: Backend>(mut parts: Vec<Mat<B>>) -> Mat<B> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

/// See [`crate::kernels::Kernels::causal_attention`]. Segments follow one another without gaps.
pub(super) fn forward<B: Backend>(
    q: &Mat<B>,
    k: &Mat<B>,
    v: &Mat<B>,
    heads: Heads,
    segments: &[Segment],
) -> AttentionState<B> {
    let group = heads.query / heads.key;
    let (mut outs, mut lses) = (Vec::new(), Vec::new());
    for &segment in segments {
        let n = segment.len;
        let q = grouped(rows(q, segment), n, heads, group);
        let (k, v) = (grouped(rows(k, segment), n, heads, 1), grouped(rows(v, segment), n, heads, 1));
        let scores = masked(distanced(scores(q, k, [n, n, group], heads), heads), heads);
        let top = scores.clone().max_dim(3);
        let e = (scores - top.clone()).exp();
        let total = e.clone().sum_dim(3);
        let lse = top + total.clone().log();
        let p = (e / total).reshape([heads.key, group * n, n]);
        outs.push(flat(p.matmul(v), n, heads, group));
        lses.push(lse.reshape([heads.query, n]).transpose());
    }
    AttentionState { out: stack(outs), lse: stack(lses) }
}

/// See [`crate::kernels::Kernels::attention_backward`].
pub(super) fn backward<B: Backend>(
    qkv: [&Mat<B>; 3],
    state: &AttentionState<B>,
    d_out: &Mat<B>,
    heads: Heads,
    segments: &[Segment],
) -> [Mat<B>; 3] {
    let group = heads.query / heads.key;
    let mut grads = [Vec::new(), Vec::new(), Vec::new()];
    for &segment in segments {
        let n = segment.len;
        let [q, k, v] = qkv.map(|x| rows(x, segment));
        let (q, k, v) = (grouped(q, n, heads, group), grouped(k, n, heads, 1), grouped(v, n, heads, 1));
        let (out, d_out) = (rows(&state.out, segment), rows(d_out, segment));
        let (out, d_out) = (grouped(out, n, heads, group), grouped(d_out, n, heads, group));
        let lse = rows(&state.lse, segment).transpose().reshape([heads.key, group, n, 1]);
        let bent = scores(q.clone(), k.clone(), [n, n, group], heads);
        let slope = (heads.softcap != 0.0).then(|| {
            let unit = bent.clone().div_scalar(heads.softcap);
            unit.powi_scalar(2).neg().add_scalar(1.0).reshape([heads.key, group * n, n])
        });
        let p = (masked(distanced(bent, heads), heads) - lse).exp();
        let p = p.reshape([heads.key, group * n, n]);
        let pull = (d_out.clone() * out).sum_dim(2);
        let dv = p.clone().swap_dims(1, 2).matmul(d_out.clone());
        let ds = (p * (d_out.matmul(v.swap_dims(1, 2)) - pull)).mul_scalar(heads.scale);
        let ds = match slope {
            Some(slope) => ds * slope,
            None => ds,
        };
        grads[0].push(flat(ds.clone().matmul(k), n, heads, group));
        grads[1].push(flat(ds.swap_dims(1, 2).matmul(q), n, heads, 1));
        grads[2].push(flat(dv, n, heads, 1));
    }
    grads.map(stack)
}

/// The newest tokens' queries over the whole cache.
pub(super) fn cached<B: Backend>(q: &Mat<B>, heads: Heads, cache: &TensorCache<B>) -> Mat<B> {
    let group = heads.query / heads.key;
    let (n, held) = (q.dims()[0], cache.len());
    let Some([k, v]) = &cache.pair else { return q.clone() };
    let all = Segment { start: 0, len: held };
    let (k, v) = (grouped(rows(k, all), held, heads, 1), grouped(rows(v, all), held, heads, 1));
    let scores = scores(grouped(q.clone(), n, heads, group), k, [n, held, group], heads);
    let scores = masked(distanced(scores, heads), heads);
    let p = activation::softmax(scores, 3).reshape([heads.key, group * n, held]);
    flat(p.matmul(v), n, heads, group)
}
