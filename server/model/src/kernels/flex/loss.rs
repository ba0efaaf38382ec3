//! Cross-entropy over a large vocabulary: the gradient is written over the logits, block by block.

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorPrimitive};
use pulp::Arch;
use rayon::prelude::*;

use super::math::exp;
use super::{mat, raw, view};
use crate::kernels::{CrossEntropy, Mat, Operand, Targets, Want, product_transposed};

/// Most logits held at a time (16 MB), unless these are fewer rows than [`ROWS`].
const BLOCK: usize = 1 << 22;
/// Rows that are worth reading the output matrix for.
const ROWS: usize = 64;

/// Sum of `e^(x - top)`, in 32 lanes; with `keep` the exponentials replace the values.
#[inline(always)]
fn sum_exp(values: &mut [f32], top: f32, keep: bool) -> f32 {
    let mut lanes = [0f32; 32];
    let mut blocks = values.chunks_exact_mut(32);
    for block in &mut blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            let e = exp(*value - top);
            *lane += e;
            if keep {
                *value = e;
            }
        }
    }
    let mut total: f32 = lanes.iter().sum();
    for value in blocks.into_remainder() {
        let e = exp(*value - top);
        total += e;
        if keep {
            *value = e;
        }
    }
    total
}

/// Loss of one row; with `weight` the row becomes its gradient.
#[inline(always)]
fn row_loss(row: &mut [f32], target: usize, weight: Option<f32>) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 32];
    for block in row.chunks(32) {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let top = lanes.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let wanted = row[target];
    let total = sum_exp(row, top, weight.is_some());
    if let Some(weight) = weight {
        let scale = weight / total;
        for value in row.iter_mut() {
            *value *= scale;
        }
        row[target] -= weight;
    }
    total.ln() + top - wanted
}

/// See [`crate::kernels::Kernels::cross_entropy`].
pub(super) fn cross_entropy(
    hidden: &Mat<Flex>,
    head: Operand<'_, Flex>,
    targets: &Targets,
    want: Want,
) -> CrossEntropy<Flex> {
    let [n, d] = hidden.dims();
    let vocab = head.rows();
    let arch = Arch::new();
    let mut nll = vec![0.0; n];
    let mut d_hidden = Vec::with_capacity(if want == Want::Loss { 0 } else { n * d });
    let mut d_head: Option<Mat<Flex>> = None;
    let portions = n.div_ceil((BLOCK / vocab).max(ROWS)).max(1);
    let rows_at_once = n.div_ceil(portions).max(1);
    for first in (0..n).step_by(rows_at_once) {
        let rows = rows_at_once.min(n - first);
        let block =
            if rows == n { hidden.clone() } else { hidden.clone().slice([first..first + rows, 0..d]) };
        let mut logits = head.affine(&block, None).into_primitive().tensor().to_contiguous();
        let losses = nll[first..].par_iter_mut();
        logits.storage_mut::<f32>().par_chunks_exact_mut(vocab).zip(losses).enumerate().for_each(
            |(i, (row, nll))| {
                let weight = (want != Want::Loss).then(|| targets.weights[first + i]);
                let target = targets.ids[first + i] as usize;
                *nll = arch.dispatch(
                    #[inline(always)]
                    || row_loss(row, target, weight),
                );
            },
        );
        if want == Want::Loss {
            continue;
        }
        let d_logits: Mat<Flex> = Tensor::from_primitive(TensorPrimitive::Float(logits));
        d_hidden.extend_from_slice(view(&raw(&head.product(&d_logits))));
        if want == Want::HiddenAndHead {
            let more = product_transposed(&d_logits, &block);
            d_head = Some(match d_head {
                Some(sum) => sum + more,
                None => more,
            });
        }
    }
    let d_hidden = (want != Want::Loss).then(|| mat(d_hidden, n, d));
    CrossEntropy { nll, d_hidden, d_head }
}
