//! Products with frozen matrices in the form they are stored in.

use burn::backend::Flex;
use pulp::Arch;
use rayon::prelude::*;

use super::math::dot;
use super::wide::{self, Source, transposed};
use super::{NARROW, coded, mat, raw, view};
use crate::kernels::Mat;
use crate::weights::Blocks;

/// See [`crate::kernels::Kernels::affine_blocks`].
pub(super) fn affine(x: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
    let n = x.dims()[0];
    let [outer, inner] = w.dims();
    let x = raw(x);
    let x = view(&x);
    let few = if n <= coded::FEW { coded::product(x, w) } else { None };
    match few {
        Some(found) => turned(found, n, outer),
        None if n <= NARROW => turned(narrow(x, w), n, outer),
        None => mat(wide::affine(x, Source::Blocks(w), inner, outer), n, outer),
    }
}

/// One row per output, as `[n, outer]`.
fn turned(found: Vec<f32>, n: usize, outer: usize) -> Mat<Flex> {
    if n == 1 { mat(found, 1, outer) } else { mat(transposed(&found, outer, n), n, outer) }
}

/// `W x^T` `[outer, n]` for few rows: every task turns the rows of its band into f32 one by one.
fn narrow(x: &[f32], w: &Blocks) -> Vec<f32> {
    let [outer, inner] = w.dims();
    let n = x.len() / inner.max(1);
    let band = (65_536 / inner.max(1)).clamp(16, 4096);
    let arch = Arch::new();
    let mut out = vec![0.0; n * outer];
    out.par_chunks_mut((band * n).max(1)).enumerate().for_each(|(i, out)| {
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
    out
}

/// See [`crate::kernels::Kernels::product_blocks`].
pub(super) fn back(dy: &Mat<Flex>, w: &Blocks) -> Mat<Flex> {
    let [outer, inner] = w.dims();
    mat(wide::product(view(&raw(dy)), Source::Blocks(w), outer, inner), dy.dims()[0], inner)
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
