//! Products of few rows with GGUF's blocks of 32, in whole numbers: the rows become two 16-bit codes a number with a
//! scale per block, so results are those of f32; the weight's codes are never turned into f32. Such a product is bound
//! by reading the weight.

mod machine;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use pulp::Arch;
use rayon::prelude::*;

use machine::Machine;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use machine::Plain;

use crate::weights::Blocks;
use crate::weights::blocks::{Form, half};
use crate::weights::gguf::BlockFormat;

/// Up to this many rows a product is done this way.
pub(super) const FEW: usize = 6;
/// Numbers of a block.
const BLOCK: usize = 32;
/// Weights with fewer numbers than this are not worth a second thread.
const ALONE: usize = 1 << 17;
/// Numbers of a weight that one task reads.
const TASK: usize = 1 << 16;

/// Rows of a weight read side by side.
const STREAMS: usize = 2;

/// Steps of the second codes in one of the first.
const STEPS: f32 = 65_534.0;

/// 32 numbers of a row: `(first + second / STEPS) x scale`, which is f32 to the last bit or two of the largest.
#[derive(Clone, Copy)]
struct Codes {
    first: [i16; BLOCK],
    /// What rounding to the first left over.
    second: [i16; BLOCK],
    scale: f32,
    /// Sum of the numbers.
    sum: f32,
}

impl Codes {
    #[inline(always)]
    fn new(x: &[f32; BLOCK]) -> Self {
        let top = x.iter().fold(0f32, |top, x| top.max(x.abs()));
        let factor = if top > 0.0 { 32767.0 / top } else { 0.0 };
        let (mut first, mut second) = ([0; BLOCK], [0; BLOCK]);
        for ((first, second), x) in first.iter_mut().zip(&mut second).zip(x) {
            let scaled = x * factor;
            let whole = scaled.round_ties_even();
            (*first, *second) = (whole as i16, ((scaled - whole) * STEPS).round_ties_even() as i16);
        }
        // A number that is none stays none in every product.
        let sum: f32 = x.iter().sum();
        Self { first, second, scale: if sum.is_finite() { top / 32767.0 } else { f32::NAN }, sum }
    }
}

/// A form of blocks: `code x scale + least`.
trait Stored<const BYTES: usize> {
    /// Scale and least.
    fn scales(block: &[u8; BYTES]) -> (f32, f32);
    /// Its codes.
    fn codes<M: Machine>(machine: M, block: &[u8; BYTES]) -> M::Wide;
}

#[inline(always)]
fn half_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> f32 {
    half(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// Sixteen bytes of a block.
#[inline(always)]
fn sixteen<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> [u8; 16] {
    std::array::from_fn(|i| block[at + i])
}

struct Q4_0;
struct Q4_1;
struct Q8_0;

impl Stored<18> for Q4_0 {
    #[inline(always)]
    fn scales(block: &[u8; 18]) -> (f32, f32) {
        let scale = half_at(block, 0);
        (scale, -8.0 * scale)
    }

    #[inline(always)]
    fn codes<M: Machine>(m: M, block: &[u8; 18]) -> M::Wide {
        m.nibbles(sixteen(block, 2))
    }
}

impl Stored<20> for Q4_1 {
    #[inline(always)]
    fn scales(block: &[u8; 20]) -> (f32, f32) {
        (half_at(block, 0), half_at(block, 2))
    }

    #[inline(always)]
    fn codes<M: Machine>(m: M, block: &[u8; 20]) -> M::Wide {
        m.nibbles(sixteen(block, 4))
    }
}

impl Stored<34> for Q8_0 {
    #[inline(always)]
    fn scales(block: &[u8; 34]) -> (f32, f32) {
        (half_at(block, 0), 0.0)
    }

    #[inline(always)]
    fn codes<M: Machine>(m: M, block: &[u8; 34]) -> M::Wide {
        m.bytes([sixteen(block, 2), sixteen(block, 18)])
    }
}

/// Products of one row of codes with `N` rows of a weight.
#[inline(always)]
fn dots<const BYTES: usize, const N: usize, S: Stored<BYTES>, M: Machine>(
    machine: M,
    rows: [&[[u8; BYTES]]; N],
    x: &[Codes],
) -> [f32; N] {
    let mut sums = [machine.zero(); N];
    let mut rest = [0.0; N];
    let rows = rows.map(|row| &row[..x.len()]);
    for (i, x) in x.iter().enumerate() {
        for n in 0..N {
            let block = &rows[n][i];
            let (scale, least) = S::scales(block);
            sums[n] = machine.add(sums[n], S::codes(machine, block), x, scale * x.scale);
            rest[n] += least * x.sum;
        }
    }
    std::array::from_fn(|n| machine.total(sums[n]) + rest[n])
}

/// Fills `out` `[rows, n]` from rows of a weight, [`STREAMS`] at a time. These lie far apart, so that each is a stream
/// the machine reads ahead in.
#[inline(always)]
fn fill_on<const BYTES: usize, S: Stored<BYTES>, M: Machine>(
    machine: M,
    bytes: &[u8],
    per_row: usize,
    x: &[Vec<Codes>],
    out: &mut [f32],
) {
    let (blocks, n) = (bytes.as_chunks::<BYTES>().0, x.len());
    let apart = blocks.len() / per_row / STREAMS;
    for row in 0..apart {
        let at: [usize; STREAMS] = std::array::from_fn(|stream| stream * apart + row);
        let rows = at.map(|row| &blocks[row * per_row..][..per_row]);
        for (i, x) in x.iter().enumerate() {
            for (row, found) in at.iter().zip(dots::<BYTES, STREAMS, S, M>(machine, rows, x)) {
                out[row * n + i] = found;
            }
        }
    }
    let done = STREAMS * apart;
    for (row, out) in blocks[done * per_row..].chunks(per_row).zip(out[done * n..].chunks_mut(n)) {
        for (y, x) in out.iter_mut().zip(x) {
            [*y] = dots::<BYTES, 1, S, M>(machine, [row], x);
        }
    }
}

/// The same with the best instructions of this machine.
fn fill<const BYTES: usize, S: Stored<BYTES>>(
    bytes: &[u8],
    per_row: usize,
    x: &[Vec<Codes>],
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || fill_on::<BYTES, S, _>(simd, bytes, per_row, x, out),
        );
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    return fill_on::<BYTES, S, _>(machine::Simd128, bytes, per_row, x, out);
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    Arch::new().dispatch(
        #[inline(always)]
        || fill_on::<BYTES, S, _>(Plain, bytes, per_row, x, out),
    );
}

/// `W x^T` `[outer, n]` for rows x `[n, inner]`; `None` for forms that are not blocks of 32.
pub(super) fn product(x: &[f32], w: &Blocks) -> Option<Vec<f32>> {
    let Form::File { format, bytes } = w.form() else { return None };
    let fill = match format {
        BlockFormat::Q4_0 => fill::<18, Q4_0>,
        BlockFormat::Q4_1 => fill::<20, Q4_1>,
        BlockFormat::Q8_0 => fill::<34, Q8_0>,
        _ => return None,
    };
    let [outer, inner] = w.dims();
    let per_row = (inner / BLOCK).max(1);
    let rows = x.chunks_exact(inner).map(|row| row.as_chunks().0.iter().map(Codes::new).collect());
    let rows: Vec<Vec<Codes>> = rows.collect();
    let (n, row_bytes) = (rows.len(), bytes.len() / outer.max(1));
    let mut out = vec![0.0; n * outer];
    if outer * inner < ALONE {
        fill(bytes, per_row, &rows, &mut out);
    } else {
        let at_once = (TASK / inner).max(16).next_multiple_of(STREAMS);
        let tasks = out.par_chunks_mut(at_once * n).zip(bytes.par_chunks(at_once * row_bytes));
        tasks.for_each(|(out, bytes)| fill(bytes, per_row, &rows, out));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Random codes under random scales between 0.02 and 0.1.
    fn weight(format: BlockFormat, rows: usize, cols: usize) -> Blocks {
        let size = format.bytes((rows * cols) as u64, cols as u64).unwrap() as usize;
        let block = size / (rows * cols / BLOCK);
        let mut rng = Rng::new(11);
        let byte = |i: usize, drawn: u8| match i % block {
            1 => 0x28 | (drawn & 3),
            3 if format == BlockFormat::Q4_1 => 0xa8 | (drawn & 3),
            _ => drawn,
        };
        let bytes = (0..size).map(|i| byte(i, rng.next_u64() as u8)).collect();
        Blocks::from_file(format, rows, cols, bytes).unwrap()
    }

    #[test]
    fn whole_numbers_give_what_f32_gives() {
        for format in [BlockFormat::Q4_0, BlockFormat::Q4_1, BlockFormat::Q8_0] {
            for (n, outer, inner) in [(1, 7, 64), (3, 640, 576), (FEW, 33, 96)] {
                let w = weight(format, outer, inner);
                let x = Rng::new(2).normals(n * inner, 1.0);
                let (dense, got) = (w.to_f32(), product(&x, &w).unwrap());
                for (at, got) in got.iter().enumerate() {
                    let (row, x) = (&dense[at / n * inner..][..inner], &x[at % n * inner..][..inner]);
                    let terms = || row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                    let (want, size) = (terms().sum::<f64>(), terms().map(|t| t * t).sum::<f64>().sqrt());
                    let error = (f64::from(*got) - want).abs() / size;
                    assert!(error < 1e-6, "{format:?} {outer}x{inner}: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn a_number_that_dwarfs_the_others_does_not_round_them_away() {
        let w = weight(BlockFormat::Q4_1, 64, 576);
        let mut x = Rng::new(2).normals(576, 1.0);
        let without = product(&x, &w).unwrap();
        x[100] += 3000.0;
        let (with, dense) = (product(&x, &w).unwrap(), w.to_f32());
        for ((a, b), row) in without.iter().zip(&with).zip(dense.chunks_exact(576)) {
            let (change, want) = (f64::from(*b) - f64::from(*a), 3000.0 * f64::from(row[100]));
            assert!((change - want).abs() < 2e-7 * want.abs() + 2e-3, "{change} for {want}");
        }
    }

    #[test]
    fn the_portable_form_agrees_with_the_vectors() {
        let w = weight(BlockFormat::Q4_1, 4, 64);
        let Form::File { bytes, .. } = w.form() else { panic!("blocks") };
        let x = Rng::new(2).normals(64, 1.0);
        let codes: Vec<Codes> = x.as_chunks().0.iter().map(Codes::new).collect();
        let fast = product(&x, &w).unwrap();
        for (row, fast) in bytes.as_chunks().0.chunks_exact(2).zip(fast) {
            let [plain] = dots::<20, 1, Q4_1, _>(Plain, [row], &codes);
            assert!((plain - fast).abs() < 1e-4 * plain.abs().max(1.0), "{plain} {fast}");
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let w = weight(BlockFormat::Q8_0, 2, 64);
        let mut x = vec![1.0; 64];
        x[40] = f32::NAN;
        assert!(product(&x, &w).unwrap().iter().all(|y| y.is_nan()));
        assert!(product(&x, &Blocks::from_file(BlockFormat::F16, 1, 64, vec![0; 128]).unwrap()).is_none());
    }
}
