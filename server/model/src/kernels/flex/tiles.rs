//! Blocked products in f32 of a few plain rows with packed columns.
//!
//! One side lies as it is, row after row, and is read number by number; the other is packed so that the numbers
//! of [`columns`] neighbouring columns lie side by side. A tile of the result stays in registers meanwhile.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a tile.
pub(super) const TALL: usize = 6;
/// Vectors of a tile.
const VECTORS: usize = 2;
/// Inner numbers at a time: so much of the packed side stays in the first cache.
const DEPTH: usize = 256;
/// Inner places packed before the next row's turn.
const NEAR: usize = 16;

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        VECTORS * S::F32_LANES
    }
}

/// Columns that are packed side by side on this machine.
pub(super) fn columns() -> usize {
    Arch::new().dispatch(Lanes)
}

/// Packs rows `[n, inner]` as columns: groups of [`columns`] rows, in each the numbers of one inner place side by
/// side. Missing rows of the last group are zero.
pub(super) fn pack(x: &[f32], inner: usize, columns: usize) -> Vec<f32> {
    let size = columns * inner;
    let mut out = vec![0.0; (x.len() / inner).div_ceil(columns) * size];
    out.par_chunks_exact_mut(size).zip(x.par_chunks(size)).for_each(|(group, x)| {
        // Few inner places at a time, so that what is written stays near.
        for first in (0..inner).step_by(NEAR) {
            for (lane, row) in x.chunks_exact(inner).enumerate() {
                let row = &row[first..inner.min(first + NEAR)];
                for (x, out) in row.iter().zip(group[first * columns..].chunks_exact_mut(columns)) {
                    out[lane] = *x;
                }
            }
        }
    });
    out
}

/// Copies rows `[depth, inner]` into groups of columns `[columns, depth]` each; what lies beyond `inner` stays zero.
pub(super) fn group(rows: &[f32], inner: usize, columns: usize, out: &mut [f32]) {
    let depth = rows.len() / inner;
    for (k, row) in rows.chunks_exact(inner).enumerate() {
        for (values, out) in row.chunks(columns).zip(out.chunks_exact_mut(depth * columns)) {
            out[k * columns..][..values.len()].copy_from_slice(values);
        }
    }
}

/// `sums += a b`: a `[rows, inner]` with `stride` numbers from row to row, b one packed group `[inner, columns]`,
/// sums `[rows, columns]`.
pub(super) struct Band<'a> {
    pub(super) a: &'a [f32],
    pub(super) stride: usize,
    pub(super) inner: usize,
    pub(super) b: &'a [f32],
    pub(super) sums: &'a mut [f32],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = VECTORS * S::F32_LANES;
        for first in (0..self.inner).step_by(DEPTH) {
            let depth = DEPTH.min(self.inner - first);
            let b = S::as_simd_f32s(&self.b[first * columns..(first + depth) * columns]).0;
            let rows = self.sums.chunks_mut(TALL * columns).enumerate();
            for (tile, sums) in rows {
                let present = sums.len() / columns;
                // Rows that are not there are read as the last one and forgotten.
                let row = |i: usize| {
                    let at = (tile * TALL + i.min(present - 1)) * self.stride + first;
                    &self.a[at..at + depth]
                };
                let a: [&[f32]; TALL] = [row(0), row(1), row(2), row(3), row(4), row(5)];
                let found = tile_product(simd, a, b);
                let sums = S::as_mut_simd_f32s(sums).0;
                for (sums, found) in sums.chunks_exact_mut(VECTORS).zip(&found) {
                    for (sum, found) in sums.iter_mut().zip(found) {
                        *sum = simd.add_f32s(*sum, *found);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn tile_product<S: Simd>(simd: S, a: [&[f32]; TALL], b: &[S::f32s]) -> [[S::f32s; VECTORS]; TALL] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; TALL];
    let (b, _) = b.as_chunks::<VECTORS>();
    let depth = b.len();
    let a = a.map(|row| &row[..depth]);
    for k in 0..depth {
        let b = b[k];
        for i in 0..TALL {
            let x = simd.splat_f32s(a[i][k]);
            for j in 0..VECTORS {
                sums[i][j] = simd.mul_add_e_f32s(x, b[j], sums[i][j]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_band_is_the_plain_product_whatever_the_sizes() {
        let columns = columns();
        for (rows, inner, n) in [(1, 1, 1), (6, 256, 16), (7, 300, 33), (13, 31, 5)] {
            let mut rng = Rng::new(7);
            let (a, x) = (rng.normals(rows * inner, 1.0), rng.normals(n * inner, 1.0));
            let packed = pack(&x, inner, columns);
            for (j, b) in packed.chunks_exact(columns * inner).enumerate() {
                let mut sums = vec![1.0; rows * columns];
                Arch::new().dispatch(Band { a: &a, stride: inner, inner, b, sums: &mut sums });
                for (r, sums) in sums.chunks_exact(columns).enumerate() {
                    for (lane, got) in sums.iter().enumerate() {
                        let row = x.chunks_exact(inner).nth(j * columns + lane);
                        let terms = row.map(|row| row.iter().zip(&a[r * inner..]).map(|(x, a)| x * a).sum());
                        let want: f32 = 1.0 + terms.unwrap_or(0.0);
                        assert!((got - want).abs() < 1e-3, "{rows}x{inner}x{n}: {got} {want}");
                    }
                }
            }
        }
    }
}
