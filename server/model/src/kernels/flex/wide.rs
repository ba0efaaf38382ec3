//! Products of many rows with a weight, dense or in blocks. A weight in blocks is turned into f32 once, a few rows
//! at a time, straight into the form the tiles read.

use pulp::Arch;
use rayon::prelude::*;

use super::tiles::{Band, TALL, columns, group, pack};
use super::{by_rows, fill_rows};
use crate::weights::Blocks;

/// Numbers of a weight that one task holds as f32 (256 KB).
const HELD: usize = 1 << 16;
/// Numbers of a panel: of a weight as f32 on the way back, of a result that is not turned yet on the way forth
/// (1 MB: it stays in the second cache).
const PANEL: usize = 1 << 18;
/// Rows of a weight packed together on the way back.
const DEPTH: usize = 128;
/// Rows of the result that one task of the way back fills, at most.
const ROWS: usize = 60;

/// A weight `[rows, cols]`.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// As f32.
    Dense(&'a [f32]),
    /// In blocks.
    Blocks(&'a Blocks),
}

impl Source<'_> {
    /// Whole rows from `first` on; blocks are turned into f32 in `scratch`.
    fn rows<'b>(&'b self, first: usize, count: usize, cols: usize, scratch: &'b mut Vec<f32>) -> &'b [f32] {
        match self {
            Self::Dense(values) => &values[first * cols..(first + count) * cols],
            Self::Blocks(blocks) => {
                scratch.resize(count * cols, 0.0);
                Arch::new().dispatch(
                    #[inline(always)]
                    || blocks.read_rows(first, scratch),
                );
                scratch
            }
        }
    }
}

/// `x W^T`: x `[n, inner]`, W `[outer, inner]`.
pub(super) fn affine(x: &[f32], w: Source, inner: usize, outer: usize) -> Vec<f32> {
    let n = x.len() / inner.max(1);
    if n * inner * outer == 0 {
        return vec![0.0; n * outer];
    }
    let (arch, columns) = (Arch::new(), columns());
    let packed = pack(x, inner, columns);
    let rows_at_once = (HELD / inner / TALL).clamp(1, 8) * TALL;
    let panel_rows = (PANEL / n / rows_at_once).max(1) * rows_at_once;
    let mut out = vec![0.0; n * outer];
    // One row per output, turned while it is near.
    let mut panel = vec![0.0; panel_rows.min(outer) * n];
    for first in (0..outer).step_by(panel_rows) {
        let panel = &mut panel[..panel_rows.min(outer - first) * n];
        let parts = panel.par_chunks_mut(rows_at_once * n).enumerate();
        parts.for_each_init(Default::default, |(scratch, sums): &mut (Vec<f32>, Vec<f32>), (i, out)| {
            let rows = out.len() / n;
            let a = w.rows(first + i * rows_at_once, rows, inner, scratch);
            for (j, b) in packed.chunks_exact(columns * inner).enumerate() {
                sums.clear();
                sums.resize(rows * columns, 0.0);
                arch.dispatch(Band { a, stride: inner, inner, b, sums });
                let (from, to) = (j * columns, n.min((j + 1) * columns));
                for (out, sums) in out.chunks_exact_mut(n).zip(sums.chunks_exact(columns)) {
                    out[from..to].copy_from_slice(&sums[..to - from]);
                }
            }
        });
        fill_rows(&mut out, outer, |from, out| turn(panel, n, from, out, outer, first));
    }
    out
}

/// `a W`: a `[n, outer]`, W `[outer, inner]`.
pub(super) fn product(a: &[f32], w: Source, outer: usize, inner: usize) -> Vec<f32> {
    let n = a.len() / outer.max(1);
    let mut out = vec![0.0; n * inner];
    if out.is_empty() {
        return out;
    }
    let (arch, columns) = (Arch::new(), columns());
    let width = inner.div_ceil(columns) * columns;
    let panel_rows = (PANEL / width / DEPTH).max(1) * DEPTH;
    let rows_at_once = n.div_ceil(2 * rayon::current_num_threads()).next_multiple_of(TALL).min(ROWS);
    let mut panel = Vec::new();
    for first in (0..outer).step_by(panel_rows) {
        let rows = panel_rows.min(outer - first);
        panel.resize(rows * width, 0.0);
        let groups = panel.par_chunks_mut(DEPTH * width).enumerate();
        groups.for_each_init(Vec::new, |scratch, (i, out)| {
            let rows = w.rows(first + i * DEPTH, out.len() / width, inner, scratch);
            group(rows, inner, columns, out);
        });
        let parts = out.par_chunks_mut(rows_at_once * inner).enumerate();
        parts.for_each_init(Vec::new, |sums: &mut Vec<f32>, (i, out)| {
            let rows = out.len() / inner;
            for j in 0..width / columns {
                sums.clear();
                sums.resize(rows * columns, 0.0);
                for (g, packed) in panel.chunks(DEPTH * width).enumerate() {
                    let depth = packed.len() / width;
                    let a = &a[i * rows_at_once * outer + first + g * DEPTH..];
                    let b = &packed[j * depth * columns..][..depth * columns];
                    arch.dispatch(Band { a, stride: outer, inner: depth, b, sums });
                }
                let (from, to) = (j * columns, inner.min((j + 1) * columns));
                for (out, sums) in out.chunks_exact_mut(inner).zip(sums.chunks_exact(columns)) {
                    for (y, sum) in out[from..to].iter_mut().zip(sums) {
                        *y += sum;
                    }
                }
            }
        });
    }
    out
}

/// `a [rows, cols]` turned into `[cols, rows]`.
pub(super) fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    by_rows(cols, rows, |from, out| turn(a, cols, from, out, rows, 0))
}

/// Writes the columns of `a [.., cols]` from `from` on as the rows of `out [.., width]`, each from `at` on.
fn turn(a: &[f32], cols: usize, from: usize, out: &mut [f32], width: usize, at: usize) {
    for (i, a) in a.chunks_exact(cols).enumerate() {
        for (out, value) in out.chunks_exact_mut(width).zip(&a[from..]) {
            out[at + i] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::weights::Quant;

    fn plain(a: &[f32], b: &[f32], n: usize, k: usize, m: usize) -> Vec<f32> {
        let term = |i: usize, j: usize, l: usize| f64::from(a[i * k + l]) * f64::from(b[l * m + j]);
        (0..n * m).map(|at| (0..k).map(|l| term(at / m, at % m, l)).sum::<f64>() as f32).collect()
    }

    #[track_caller]
    fn near(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 2e-4, "{worst}");
    }

    #[test]
    fn products_are_the_plain_ones_whatever_the_sizes() {
        for (n, inner, outer) in [(4, 64, 64), (70, 96, 300), (17, 33, 5), (130, 40, 129)] {
            let mut rng = Rng::new(3);
            let (x, w) = (rng.normals(n * inner, 1.0), rng.normals(outer * inner, 1.0));
            let turned = transposed(&w, outer, inner);
            near(&affine(&x, Source::Dense(&w), inner, outer), &plain(&x, &turned, n, inner, outer));
            let dy = rng.normals(n * outer, 1.0);
            near(&product(&dy, Source::Dense(&w), outer, inner), &plain(&dy, &w, n, outer, inner));
            if let Some(blocks) = Quant::Int8.apply(&w, outer, inner) {
                let dense = blocks.to_f32();
                let kept = Source::Blocks(&blocks);
                let (a, b) = (affine(&x, kept, inner, outer), product(&dy, kept, outer, inner));
                assert_eq!(a, affine(&x, Source::Dense(&dense), inner, outer));
                assert_eq!(b, product(&dy, Source::Dense(&dense), outer, inner));
            }
        }
        assert!(affine(&[], Source::Dense(&[1.0]), 1, 1).is_empty());
        assert!(product(&[], Source::Dense(&[1.0]), 1, 1).is_empty());
    }

    #[test]
    fn what_is_larger_than_a_panel_is_done_to_its_end() {
        let (n, outer, inner) = (21, 20_000, 64);
        let mut rng = Rng::new(5);
        let (a, w) = (rng.normals(n * outer, 0.1), rng.normals(outer * inner, 0.1));
        near(&product(&a, Source::Dense(&w), outer, inner), &plain(&a, &w, n, outer, inner));
        let x = rng.normals(n * inner, 0.1);
        let turned = transposed(&w, outer, inner);
        near(&affine(&x, Source::Dense(&w), inner, outer), &plain(&x, &turned, n, inner, outer));
    }
}
