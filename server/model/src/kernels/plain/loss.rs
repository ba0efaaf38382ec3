//! Cross-entropy in blocks of rows.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::indices;
use crate::kernels::{CrossEntropy, Kernels, Mat, Operand, Targets, Want, product_transposed};

/// Most logits held at a time; a few copies of them live at once.
const BLOCK: usize = 1 << 26;

/// Loss of each row and, if wanted, the gradient of the logits.
fn rows_loss<B: Kernels>(
    logits: Mat<B>,
    targets: Tensor<B, 2, Int>,
    weights: Option<Mat<B>>,
) -> (Mat<B>, Option<Mat<B>>) {
    let wanted = logits.clone().gather(1, targets.clone());
    let top = logits.clone().max_dim(1);
    let e = (logits - top.clone()).exp();
    let total = e.clone().sum_dim(1);
    let nll = total.clone().log() + top - wanted;
    let d_logits = weights.map(|weights| {
        let p = e * (weights.clone() / total);
        p.scatter(1, targets, weights.neg(), IndexingUpdateOp::Add)
    });
    (nll, d_logits)
}

/// See [`crate::kernels::Kernels::cross_entropy`].
pub(super) fn cross_entropy<B: Kernels>(
    hidden: &Mat<B>,
    head: Operand<'_, B>,
    targets: &Targets,
    want: Want,
) -> CrossEntropy<B> {
    let [n, d] = hidden.dims();
    let device = hidden.device();
    let rows_at_once = (BLOCK / head.rows()).max(1);
    let (mut losses, mut d_hidden) = (Vec::new(), Vec::new());
    let mut d_head: Option<Mat<B>> = None;
    for first in (0..n).step_by(rows_at_once) {
        let rows = rows_at_once.min(n - first);
        let block = hidden.clone().slice([first..first + rows, 0..d]);
        let ids = indices::<B>(&targets.ids[first..first + rows], &device).reshape([rows, 1]);
        let weights = (want != Want::Loss).then(|| {
            let weights = targets.weights[first..first + rows].to_vec();
            Tensor::from_data(TensorData::new(weights, [rows, 1]), &device)
        });
        let (nll, d_logits) = rows_loss(head.affine(&block, None), ids, weights);
        losses.push(nll);
        let Some(d_logits) = d_logits else { continue };
        d_hidden.push(head.product(&d_logits));
        if want == Want::HiddenAndHead {
            let more = product_transposed(&d_logits, &block);
            d_head = Some(match d_head {
                Some(sum) => sum + more,
                None => more,
            });
        }
    }
    let nll = if losses.is_empty() { Vec::new() } else { host(Tensor::cat(losses, 0)) };
    let d_hidden = (!d_hidden.is_empty()).then(|| Tensor::cat(d_hidden, 0));
    CrossEntropy { nll, d_hidden, d_head }
}

fn host<B: Kernels>(x: Mat<B>) -> Vec<f32> {
    x.into_data().convert::<f32>().into_vec().unwrap_or_default()
}
