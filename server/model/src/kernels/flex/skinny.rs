//! Products with one side of a few numbers, as adapters have them. Packing the long side for a blocked product
//! would cost more than the product.

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorPrimitive};
use pulp::Arch;
use rayon::prelude::*;

use super::math::{add_four, add_scaled, dot};
use super::{by_rows, fill_rows, mat, raw, view};
use crate::kernels::Mat;

/// Up to this width a side is small.
pub(super) const SKINNY: usize = 32;
/// Rows of a sum of outer products that one task gathers.
const ROWS_AT_ONCE: usize = 4;

/// `a b^T` for few rows of b: a `[n, k]`, b `[p, k]`.
pub(super) fn dots(a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
    let ([n, k], p) = (a.dims(), b.dims()[0]);
    let (a, b) = (raw(a), raw(b));
    let (a, b) = (view(&a), view(&b));
    let out = by_rows(
        n,
        p,
        #[inline(always)]
        |first, chunk| {
            for (row, out) in chunk.chunks_exact_mut(p).enumerate() {
                let a = &a[(first + row) * k..][..k];
                for (y, b) in out.iter_mut().zip(b.chunks_exact(k)) {
                    *y = dot(a, b);
                }
            }
        },
    );
    mat(out, n, p)
}

/// `y + a b` for few columns of a: a `[n, r]`, b `[r, m]`.
pub(super) fn add_product(y: Mat<Flex>, a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
    let ([n, m], r) = (y.dims(), a.dims()[1]);
    let (a, b) = (raw(a), raw(b));
    let (a, b) = (view(&a), view(&b));
    let mut y = y.into_primitive().tensor().to_contiguous();
    let start = y.layout().start_offset();
    fill_rows(
        &mut y.storage_mut::<f32>()[start..start + n * m],
        m,
        #[inline(always)]
        |first, chunk| {
            for (row, y) in chunk.chunks_exact_mut(m).enumerate() {
                let a = &a[(first + row) * r..][..r];
                let (fours, rest) = a.as_chunks::<4>();
                let (b_fours, b_rest) = b.split_at(fours.len() * 4 * m);
                for (a, b) in fours.iter().zip(b_fours.chunks_exact(4 * m)) {
                    add_four(y, *a, b);
                }
                for (a, b) in rest.iter().zip(b_rest.chunks_exact(m)) {
                    add_scaled(y, *a, b);
                }
            }
        },
    );
    Tensor::from_primitive(TensorPrimitive::Float(y))
}

/// `a^T b` for few columns of a: a `[n, p]`, b `[n, q]`.
pub(super) fn outer_sum(a: &Mat<Flex>, b: &Mat<Flex>) -> Mat<Flex> {
    let ([n, p], q) = (a.dims(), b.dims()[1]);
    let (a, b) = (raw(a), raw(b));
    let (a, b) = (view(&a), view(&b));
    let mut out = vec![0.0; p * q];
    let arch = Arch::new();
    out.par_chunks_mut(ROWS_AT_ONCE * q).enumerate().for_each(|(i, chunk)| {
        arch.dispatch(
            #[inline(always)]
            || {
                for row in 0..n {
                    let b = &b[row * q..(row + 1) * q];
                    for (k, out) in chunk.chunks_exact_mut(q).enumerate() {
                        add_scaled(out, a[row * p + i * ROWS_AT_ONCE + k], b);
                    }
                }
            },
        );
    });
    mat(out, p, q)
}
