//! Operations of few families, put together from the backend's own: correct everywhere, fused nowhere.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use crate::kernels::{CrossEntropy, Heads, Kernels, Mat, Operand, Rotary, Targets, Want, product_transposed};

/// Most logits held at a time.
const BLOCK: usize = 1 << 22;
/// `sqrt(2 / pi)`.
const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;
/// `1 / sqrt(2 pi)`.
const NORMAL_SCALE: f32 = 0.398_942_3;

/// Centred rows and the inverse of their deviation.
fn centred<B: Kernels>(x: &Mat<B>, eps: f32) -> (Mat<B>, Mat<B>) {
    let centred = x.clone() - x.clone().mean_dim(1);
    let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
    (centred, variance.add_scalar(eps).sqrt().recip())
}

/// `(x - mean) / deviation * w + b`: x `[n, d]`, w and b `[1, d]`.
pub(super) fn layer_norm<B: Kernels>(x: &Mat<B>, w: &Mat<B>, b: &Mat<B>, eps: f32) -> Mat<B> {
    let (centred, inverse) = centred::<B>(x, eps);
    centred * inverse * w.clone() + b.clone()
}

/// Gradients of x, w and b.
pub(super) fn layer_norm_backward<B: Kernels>(x: &Mat<B>, w: &Mat<B>, eps: f32, dy: &Mat<B>) -> [Mat<B>; 3] {
    let (centred, inverse) = centred::<B>(x, eps);
    let unit = centred * inverse.clone();
    let pull = dy.clone() * w.clone();
    let along = (pull.clone() * unit.clone()).mean_dim(1);
    let dx = (pull.clone() - pull.mean_dim(1) - unit.clone() * along) * inverse;
    [dx, (dy.clone() * unit).sum_dim(0), dy.clone().sum_dim(0)]
}

fn gelu_tanh<B: Kernels>(x: &Mat<B>) -> Mat<B> {
    let cube = x.clone() * x.clone() * x.clone();
    (x.clone() + cube.mul_scalar(GELU_CUBE)).mul_scalar(GELU_SCALE).tanh()
}

/// The tanh form of GELU.
pub(super) fn gelu<B: Kernels>(x: &Mat<B>) -> Mat<B> {
    x.clone().mul_scalar(0.5) * gelu_tanh::<B>(x).add_scalar(1.0)
}

/// Gradient of x.
pub(super) fn gelu_backward<B: Kernels>(x: &Mat<B>, dy: &Mat<B>) -> Mat<B> {
    let t = gelu_tanh::<B>(x);
    let square = x.clone() * x.clone();
    let slope = square.mul_scalar(3.0 * GELU_CUBE).add_scalar(1.0).mul_scalar(GELU_SCALE);
    let bend = (t.clone() * t.clone()).neg().add_scalar(1.0) * slope * x.clone();
    (bend + t.add_scalar(1.0)).mul_scalar(0.5) * dy.clone()
}

/// The probability that a normal number is below x: half of one and the error function of `x / sqrt(2)`.
fn below<B: Kernels>(x: &Mat<B>) -> Mat<B> {
    x.clone().mul_scalar(std::f32::consts::FRAC_1_SQRT_2).erf().add_scalar(1.0).mul_scalar(0.5)
}

/// GELU by the error function.
pub(super) fn exact_gelu<B: Kernels>(x: &Mat<B>) -> Mat<B> {
    x.clone() * below::<B>(x)
}

/// Gradient of x.
pub(super) fn exact_gelu_backward<B: Kernels>(x: &Mat<B>, dy: &Mat<B>) -> Mat<B> {
    let density = (x.clone() * x.clone()).mul_scalar(-0.5).exp().mul_scalar(NORMAL_SCALE);
    dy.clone() * (below::<B>(x) + x.clone() * density)
}

/// Turns the first elements of each head, twice as many as the table has pairs, by their positions; `inverse` turns
/// back. A pair lies half of these elements apart, or is two neighbours.
pub(super) fn rotated<B: Kernels>(
    x: Mat<B>,
    rotary: &Rotary,
    dim: usize,
    neighbours: bool,
    inverse: bool,
) -> Mat<B> {
    let ([n, width], turned) = (x.dims(), 2 * rotary.pairs);
    if turned == dim && !neighbours {
        return B::rope(x, rotary, inverse);
    }
    let heads = width / dim;
    let x = x.reshape([n, heads, dim]);
    let first = x.clone().slice([0..n, 0..heads, 0..turned]);
    let swapped = |x: Tensor<B, 3>, from: [usize; 2]| {
        x.reshape([n, heads, from[0], from[1]]).swap_dims(2, 3).reshape([n, heads, turned])
    };
    let halves = if neighbours { swapped(first, [rotary.pairs, 2]) } else { first };
    let halves = B::rope(halves.reshape([n, heads * turned]), rotary, inverse).reshape([n, heads, turned]);
    let first = if neighbours { swapped(halves, [2, rotary.pairs]) } else { halves };
    if turned == dim {
        return first.reshape([n, width]);
    }
    let rest = x.slice([0..n, 0..heads, turned..dim]);
    Tensor::cat(vec![first, rest], 2).reshape([n, width])
}

/// q, k and v from columns that hold, for each key head, the queries that share it, the key and its values.
pub(super) fn by_key_head<B: Kernels>(all: Mat<B>, heads: Heads) -> [Mat<B>; 3] {
    let (n, group) = (all.dims()[0], heads.query / heads.key);
    let all = all.reshape([n, heads.key, group + 2, heads.dim]);
    [0..group, group..group + 1, group + 1..group + 2].map(|part| {
        let width = heads.key * part.len() * heads.dim;
        all.clone().slice([0..n, 0..heads.key, part, 0..heads.dim]).reshape([n, width])
    })
}

/// The way back of [`by_key_head`].
pub(super) fn joined_by_key_head<B: Kernels>(parts: [Mat<B>; 3], heads: Heads) -> Mat<B> {
    let (n, group) = (parts[0].dims()[0], heads.query / heads.key);
    let parts = parts.into_iter().zip([group, 1, 1]);
    let parts = parts.map(|(part, count)| part.reshape([n, heads.key, count, heads.dim])).collect();
    Tensor::cat(parts, 2).reshape([n, heads.key * (group + 2) * heads.dim])
}

/// `cap tanh(x / cap)`.
pub(super) fn softcap<B: Kernels>(x: Mat<B>, cap: f32) -> Mat<B> {
    x.div_scalar(cap).tanh().mul_scalar(cap)
}

/// As [`Kernels::cross_entropy`], over logits bent by [`softcap`].
pub(super) fn capped_cross_entropy<B: Kernels>(
    hidden: &Mat<B>,
    head: Operand<'_, B>,
    targets: &Targets,
    want: Want,
    cap: f32,
) -> CrossEntropy<B> {
    let ([n, d], vocab, device) = (hidden.dims(), head.rows(), hidden.device());
    let rows_at_once = (BLOCK / vocab).max(1);
    let (mut nll, mut d_hidden, mut d_head) = (Vec::with_capacity(n), Vec::new(), None);
    for first in (0..n).step_by(rows_at_once) {
        let rows = rows_at_once.min(n - first);
        let block = hidden.clone().slice([first..first + rows, 0..d]);
        let ids: Vec<i64> = targets.ids[first..first + rows].iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::<B, 2, Int>::from_data(TensorData::new(ids, [rows, 1]), &device);
        let capped = softcap::<B>(head.affine(&block, None), cap);
        let top = capped.clone().max_dim(1);
        let powers = (capped.clone() - top.clone()).exp();
        let total = powers.clone().sum_dim(1);
        let losses = total.clone().log() + top - capped.clone().gather(1, ids.clone());
        nll.extend(B::to_host(&losses));
        if want == Want::Loss {
            continue;
        }
        let weights = B::from_host(targets.weights[first..first + rows].to_vec(), rows, 1, &device);
        let share = powers / total * weights.clone();
        let d_capped = share.scatter(1, ids, weights.neg(), IndexingUpdateOp::Add);
        let bent = capped.div_scalar(cap);
        let d_logits = d_capped * (bent.clone() * bent).neg().add_scalar(1.0);
        d_hidden.push(head.product(&d_logits));
        if want == Want::HiddenAndHead {
            let more = product_transposed(&d_logits, &block);
            d_head = Some(match d_head {
                Some(sum) => sum + more,
                None => more,
            });
        }
    }
    let d_hidden = (want != Want::Loss).then(|| Tensor::cat(d_hidden, 0));
    CrossEntropy { nll, d_hidden, d_head }
}
