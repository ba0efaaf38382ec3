//! Causal grouped-query attention on slices; scores live one row at a time.

use burn::backend::Flex;
use pulp::Arch;
use rayon::prelude::*;

use super::math::{add_scaled, dot, exp};
use super::{mat, raw, view};
use crate::kernels::{AttentionState, Heads, Mat, Segment, Slope};

/// Keys and values of one layer, `[tokens, key heads x dim]`, in buffers reserved once.
#[derive(Clone, Debug)]
pub struct HostCache {
    keys: Vec<f32>,
    values: Vec<f32>,
    width: usize,
}

impl HostCache {
    /// Empty, with room for `capacity` tokens.
    pub fn new(capacity: usize, heads: Heads) -> Self {
        let width = heads.key * heads.dim;
        let buffer = || Vec::with_capacity(capacity * width);
        Self { keys: buffer(), values: buffer(), width }
    }

    /// Adds the keys and values of new tokens.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) {
        self.keys.extend_from_slice(keys);
        self.values.extend_from_slice(values);
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.keys.len() / self.width
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Bends a score to stay within plus and minus `cap`; 0 leaves it.
#[inline(always)]
fn bend(score: f32, cap: f32) -> f32 {
    if cap == 0.0 { score } else { cap * (score / cap).tanh() }
}

/// What the distances of keys add to the scores of a query.
#[derive(Clone, Copy)]
struct Distances {
    slope: Slope,
    /// Place of the first key.
    first: usize,
    /// What the query's own place would add.
    own: f32,
}

impl Distances {
    /// Of the query at `place` of a head, over keys from `first` on; `None` where distances do not count.
    fn new(heads: Heads, head: usize, place: usize, first: usize) -> Option<Self> {
        let slope = heads.slope(head)?;
        Some(Self { slope, first, own: slope.at(place) })
    }

    /// Of the key `at` places behind the first.
    #[inline(always)]
    fn of(self, at: usize) -> f32 {
        self.slope.at(self.first + at) - self.own
    }
}

/// Softmax attention of one query over `scores.len()` keys; returns the log-sum-exp. `out` is overwritten.
#[inline(always)]
fn attend(
    q: &[f32],
    (keys, values): (&[f32], &[f32]),
    heads: Heads,
    distances: Option<Distances>,
    scores: &mut [f32],
    out: &mut [f32],
) -> f32 {
    let (dim, stride) = (q.len(), heads.key * heads.dim);
    let mut top = f32::NEG_INFINITY;
    for (score, key) in scores.iter_mut().zip(keys.chunks(stride)) {
        *score = bend(dot(q, &key[..dim]) * heads.scale, heads.softcap);
        top = top.max(*score);
    }
    if let Some(distances) = distances {
        top = f32::NEG_INFINITY;
        for (at, score) in scores.iter_mut().enumerate() {
            *score += distances.of(at);
            top = top.max(*score);
        }
    }
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = exp(*score - top);
        total += *score;
    }
    out.fill(0.0);
    for (score, value) in scores.iter().zip(values.chunks(stride)) {
        add_scaled(out, *score / total, &value[..dim]);
    }
    top + total.ln()
}

fn pairs(segments: &[Segment], heads: usize) -> Vec<(Segment, usize)> {
    segments.iter().flat_map(|segment| (0..heads).map(move |head| (*segment, head))).collect()
}

/// Copies blocks `[len, width]` of (segment, head) pairs into a `[n, heads x width]` matrix.
fn place<'a>(
    out: &mut [f32],
    stride: usize,
    width: usize,
    blocks: impl Iterator<Item = ((Segment, usize), &'a [f32])>,
) {
    for ((segment, head), block) in blocks {
        for (i, row) in block.chunks_exact(width).enumerate() {
            let at = (segment.start + i) * stride + head * width;
            out[at..at + width].copy_from_slice(row);
        }
    }
}

/// See [`crate::kernels::Kernels::causal_attention`].
pub(super) fn forward(
    q: &Mat<Flex>,
    k: &Mat<Flex>,
    v: &Mat<Flex>,
    heads: Heads,
    segments: &[Segment],
) -> AttentionState<Flex> {
    let n = q.dims()[0];
    let (q, k, v) = (raw(q), raw(k), raw(v));
    let (q, k, v) = (view(&q), view(&k), view(&v));
    let (wide, narrow, dim) = (heads.query * heads.dim, heads.key * heads.dim, heads.dim);
    let arch = Arch::new();
    let jobs = pairs(segments, heads.query);
    let blocks: Vec<(Vec<f32>, Vec<f32>)> = jobs
        .par_iter()
        .map(|&(segment, head)| {
            let from = segment.start * narrow + head / (heads.query / heads.key) * dim;
            let mut out = vec![0.0; segment.len * dim];
            let mut lse = vec![0.0; segment.len];
            let mut scores = vec![0.0; segment.len];
            arch.dispatch(
                #[inline(always)]
                || {
                    for i in 0..segment.len {
                        let q = &q[(segment.start + i) * wide + head * dim..][..dim];
                        let row = &mut out[i * dim..(i + 1) * dim];
                        let first = heads.first_key(i);
                        let at = from + first * narrow;
                        let distances = Distances::new(heads, head, i, first);
                        let scores = &mut scores[first..=i];
                        lse[i] = attend(q, (&k[at..], &v[at..]), heads, distances, scores, row);
                    }
                },
            );
            (out, lse)
        })
        .collect();
    let (mut out, mut lse) = (vec![0.0; n * wide], vec![0.0; n * heads.query]);
    place(&mut out, wide, dim, jobs.iter().copied().zip(blocks.iter().map(|b| b.0.as_slice())));
    place(&mut lse, heads.query, 1, jobs.iter().copied().zip(blocks.iter().map(|b| b.1.as_slice())));
    AttentionState { out: mat(out, n, wide), lse: mat(lse, n, heads.query) }
}

/// One query's part of the backward pass.
struct Query<'a> {
    q: &'a [f32],
    d_out: &'a [f32],
    lse: f32,
    /// `d_out . out`
    pull: f32,
    distances: Option<Distances>,
}

#[inline(always)]
fn query_backward(
    query: &Query,
    (keys, values): (&[f32], &[f32]),
    heads: Heads,
    dq: &mut [f32],
    (dk, dv): (&mut [f32], &mut [f32]),
) {
    let (dim, stride) = (query.q.len(), heads.key * heads.dim);
    let rows = keys.chunks(stride).zip(values.chunks(stride));
    let grads = dk.chunks_exact_mut(dim).zip(dv.chunks_exact_mut(dim));
    for (at, ((key, value), (dk, dv))) in rows.zip(grads).enumerate() {
        let (key, value) = (&key[..dim], &value[..dim]);
        let score = bend(dot(query.q, key) * heads.scale, heads.softcap);
        let p = exp(score + query.distances.map_or(0.0, |distances| distances.of(at)) - query.lse);
        add_scaled(dv, p, query.d_out);
        let mut ds = p * (dot(query.d_out, value) - query.pull) * heads.scale;
        if heads.softcap != 0.0 {
            let bent = score / heads.softcap;
            ds *= 1.0 - bent * bent;
        }
        add_scaled(dq, ds, key);
        add_scaled(dk, ds, query.q);
    }
}

/// See [`crate::kernels::Kernels::attention_backward`].
pub(super) fn backward(
    qkv: [&Mat<Flex>; 3],
    state: &AttentionState<Flex>,
    d_out: &Mat<Flex>,
    heads: Heads,
    segments: &[Segment],
) -> [Mat<Flex>; 3] {
    let n = d_out.dims()[0];
    let [q, k, v] = qkv.map(raw);
    let (q, k, v) = (view(&q), view(&k), view(&v));
    let (out, lse, d_out) = (raw(&state.out), raw(&state.lse), raw(d_out));
    let (out, lse, d_out) = (view(&out), view(&lse), view(&d_out));
    let (wide, narrow, dim) = (heads.query * heads.dim, heads.key * heads.dim, heads.dim);
    let group = heads.query / heads.key;
    let arch = Arch::new();
    let jobs = pairs(segments, heads.key);
    let blocks: Vec<[Vec<f32>; 3]> = jobs
        .par_iter()
        .map(|&(segment, key_head)| {
            let from = segment.start * narrow + key_head * dim;
            let mut dq = vec![0.0; segment.len * group * dim];
            let (mut dk, mut dv) = (vec![0.0; segment.len * dim], vec![0.0; segment.len * dim]);
            arch.dispatch(
                #[inline(always)]
                || {
                    for i in 0..segment.len {
                        for member in 0..group {
                            let head = key_head * group + member;
                            let at = (segment.start + i) * wide + head * dim;
                            let first = heads.first_key(i);
                            let query = Query {
                                q: &q[at..at + dim],
                                d_out: &d_out[at..at + dim],
                                lse: lse[(segment.start + i) * heads.query + head],
                                pull: dot(&d_out[at..at + dim], &out[at..at + dim]),
                                distances: Distances::new(heads, head, i, first),
                            };
                            let dq = &mut dq[(i * group + member) * dim..][..dim];
                            let (seen, at) = (first * dim..(i + 1) * dim, from + first * narrow);
                            let grads = (&mut dk[seen.clone()], &mut dv[seen]);
                            query_backward(&query, (&k[at..], &v[at..]), heads, dq, grads);
                        }
                    }
                },
            );
            [dq, dk, dv]
        })
        .collect();
    let widths = [(wide, group * dim), (narrow, dim), (narrow, dim)];
    [0, 1, 2].map(|which| {
        let (stride, width) = widths[which];
        let mut all = vec![0.0; n * stride];
        place(&mut all, stride, width, jobs.iter().copied().zip(blocks.iter().map(|b| b[which].as_slice())));
        mat(all, n, stride)
    })
}

/// The newest tokens' queries over the whole cache.
pub(super) fn cached(q: &Mat<Flex>, heads: Heads, cache: &HostCache) -> Mat<Flex> {
    let n = q.dims()[0];
    let q = raw(q);
    let q = view(&q);
    let (wide, narrow, dim) = (heads.query * heads.dim, heads.key * heads.dim, heads.dim);
    let before = cache.len() - n;
    let arch = Arch::new();
    let mut out = vec![0.0; n * wide];
    let run = |i: usize, head: usize, out: &mut [f32]| {
        let first = heads.first_key(before + i);
        let from = head / (heads.query / heads.key) * dim + first * narrow;
        let mut scores = vec![0.0; before + i + 1 - first];
        let q = &q[i * wide + head * dim..][..dim];
        let distances = Distances::new(heads, head, before + i, first);
        arch.dispatch(
            #[inline(always)]
            || attend(q, (&cache.keys[from..], &cache.values[from..]), heads, distances, &mut scores, out),
        );
    };
    if n * cache.len() * wide < 1 << 16 {
        out.chunks_exact_mut(dim).enumerate().for_each(|(i, out)| run(i / heads.query, i % heads.query, out));
    } else {
        out.par_chunks_exact_mut(dim)
            .enumerate()
            .for_each(|(i, out)| run(i / heads.query, i % heads.query, out));
    }
    mat(out, n, wide)
}
