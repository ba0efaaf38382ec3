//! Products with frozen matrices: a panel of rows is turned into f32, multiplied and forgotten.

use burn::backend::Flex;
use burn::tensor::Tensor;
use pulp::Arch;
use rayon::prelude::*;

use super::math::dot;
use super::{NARROW, by_rows, mat, raw, view};
use crate::kernels::{Mat, product};
use crate::weights::Blocks;

/// Numbers of a panel (4 MB).
const PANEL: usize = 1 << 20;

fn panel_rows(w: &Blocks) -> usize {
    let [rows, cols] = w.dims();
    (PANEL / cols.max(1)).clamp(1, rows.max(1))
}

/// Rows `first..first + rows` as f32.
fn panel(w: &Blocks, first: usize, rows: usize) -> Mat<Flex> {
    let cols = w.dims()[1];
    let values = by_rows(
        rows,
        cols,
        #[inline(always)]
        |row, chunk| w.read_rows(first + row, chunk),
    );
    mat(values, rows, cols)
}

/// See [`crate::kernels::Kernels::affine_blocks`].
pub(super) fn affine(x: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
    let n = x.dims()[0];
    let outer = w.dims()[0];
    if n <= NARROW {
        return narrow(x, w);
    }
    let at_once = panel_rows(w);
    if at_once == outer {
        return product(x, &panel(w, 0, outer).transpose());
    }
    let mut out = vec![0.0; n * outer];
    for first in (0..outer).step_by(at_once) {
        let rows = at_once.min(outer - first);
        let part = raw(&product(x, &panel(w, first, rows).transpose()));
        for (out, part) in out.chunks_exact_mut(outer).zip(view(&part).chunks_exact(rows)) {
            out[first..first + rows].copy_from_slice(part);
        }
    }
    mat(out, n, outer)
}

/// `x W^T` for few rows: every task turns the rows of its band into f32 one by one.
fn narrow(x: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
    let n = x.dims()[0];
    let [outer, inner] = w.dims();
    let x = raw(x);
    let x = view(&x);
    let band = (65_536 / inner.max(1)).clamp(16, 4096);
    let arch = Arch::new();
    // One output row per weight row, turned at the end.
    let mut out = vec![0.0; n * outer];
    out.par_chunks_mut(band * n).enumerate().for_each(|(i, out)| {
        let mut row = vec![0.0; inner];
        arch.dispatch(
            #[inline(always)]
            || {
                for (j, out) in out.chunks_exact_mut(n).enumerate() {
                    w.read_rows(i * band + j, &mut row);
                    for (y, x) in out.iter_mut().zip(x.chunks_exact(inner)) {
                        *y = dot(x, &row);
                    }
                }
            },
        );
    });
    if n == 1 { mat(out, 1, outer) } else { mat(out, outer, n).transpose() }
}

/// See [`crate::kernels::Kernels::product_blocks`].
pub(super) fn back(dy: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
    let n = dy.dims()[0];
    let [outer, inner] = w.dims();
    let at_once = panel_rows(w);
    if at_once == outer {
        return product(dy, &panel(w, 0, outer));
    }
    let mut sum: Option<Mat<Flex>> = None;
    for first in (0..outer).step_by(at_once) {
        let rows = at_once.min(outer - first);
        let more = product(&dy.clone().slice([0..n, first..first + rows]), &panel(w, first, rows));
        sum = Some(match sum {
            Some(sum) => sum + more,
            None => more,
        });
    }
    sum.unwrap_or_else(|| Tensor::zeros([n, inner], &dy.device()))
}

/// See [`crate::kernels::Kernels::gather_blocks`].
pub(super) fn gather(w: &Blocks, ids: &[u32]) -> Mat<Flex> {
    let cols = w.dims()[1];
    let mut out = vec![0.0; ids.len() * cols];
    for (id, out) in ids.iter().zip(out.chunks_exact_mut(cols.max(1))) {
        w.read_rows(*id as usize, out);
    }
    mat(out, ids.len(), cols)
}
