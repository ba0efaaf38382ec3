//! Products of few rows with GGUF's blocks of 32, in whole numbers: the rows become 16-bit codes with a scale per
//! block (an error of 2^-16 of the block's largest number, so results are those of f32 to five digits), the weight's
//! codes are never turned into f32. Such a product is bound by reading the weight.

use pulp::Arch;
use rayon::prelude::*;

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

/// 32 numbers of a row: `code x scale`.
#[derive(Clone, Copy)]
struct Codes {
    codes: [i16; BLOCK],
    scale: f32,
    /// Sum of the numbers.
    sum: f32,
}

impl Codes {
    #[inline(always)]
    fn new(x: &[f32; BLOCK]) -> Self {
        let top = x.iter().fold(0f32, |top, x| top.max(x.abs()));
        let factor = if top > 0.0 { 32767.0 / top } else { 0.0 };
        let mut codes = [0; BLOCK];
        for (code, x) in codes.iter_mut().zip(x) {
            *code = (x * factor).round_ties_even() as i16;
        }
        // A number that is none stays none in every product.
        let sum: f32 = x.iter().sum();
        Self { codes, scale: if sum.is_finite() { top / 32767.0 } else { f32::NAN }, sum }
    }
}

/// A form of blocks: `code x scale + least`.
trait Stored<const BYTES: usize> {
    /// Scale and least.
    fn scales(block: &[u8; BYTES]) -> (f32, f32);
    /// Sum of `code x code`.
    fn dot(block: &[u8; BYTES], x: &[i16; BLOCK]) -> i32;
    /// The same in eight parts.
    #[cfg(target_arch = "x86_64")]
    fn dot_v3(simd: pulp::x86::V3, block: &[u8; BYTES], x: &[i16; BLOCK]) -> std::arch::x86_64::__m256i;
}

#[inline(always)]
fn half_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> f32 {
    half(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// The 4-bit codes at the end of a block, low halves first.
#[inline(always)]
fn nibbles<const BYTES: usize>(block: &[u8; BYTES]) -> [u8; 16] {
    std::array::from_fn(|i| block[BYTES - 16 + i])
}

#[inline(always)]
fn dot_nibbles(codes: [u8; 16], x: &[i16; BLOCK]) -> i32 {
    let (low, high) = x.split_at(16);
    let pairs = codes.iter().zip(low).zip(high);
    pairs.map(|((q, a), b)| i32::from(q & 15) * i32::from(*a) + i32::from(q >> 4) * i32::from(*b)).sum()
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_nibbles_v3(simd: pulp::x86::V3, codes: [u8; 16], x: &[i16; BLOCK]) -> std::arch::x86_64::__m256i {
    let [a, b]: [std::arch::x86_64::__m256i; 2] = pulp::cast(*x);
    let codes = simd.avx2._mm256_cvtepu8_epi16(pulp::cast(codes));
    let low = simd.avx2._mm256_and_si256(codes, simd.avx._mm256_set1_epi16(15));
    let high = simd.avx2._mm256_srli_epi16::<4>(codes);
    simd.avx2._mm256_add_epi32(simd.avx2._mm256_madd_epi16(low, a), simd.avx2._mm256_madd_epi16(high, b))
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
    fn dot(block: &[u8; 18], x: &[i16; BLOCK]) -> i32 {
        dot_nibbles(nibbles(block), x)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn dot_v3(simd: pulp::x86::V3, block: &[u8; 18], x: &[i16; BLOCK]) -> std::arch::x86_64::__m256i {
        dot_nibbles_v3(simd, nibbles(block), x)
    }
}

impl Stored<20> for Q4_1 {
    #[inline(always)]
    fn scales(block: &[u8; 20]) -> (f32, f32) {
        (half_at(block, 0), half_at(block, 2))
    }

    #[inline(always)]
    fn dot(block: &[u8; 20], x: &[i16; BLOCK]) -> i32 {
        dot_nibbles(nibbles(block), x)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn dot_v3(simd: pulp::x86::V3, block: &[u8; 20], x: &[i16; BLOCK]) -> std::arch::x86_64::__m256i {
        dot_nibbles_v3(simd, nibbles(block), x)
    }
}

impl Stored<34> for Q8_0 {
    #[inline(always)]
    fn scales(block: &[u8; 34]) -> (f32, f32) {
        (half_at(block, 0), 0.0)
    }

    #[inline(always)]
    fn dot(block: &[u8; 34], x: &[i16; BLOCK]) -> i32 {
        block[2..].iter().zip(x).map(|(q, x)| i32::from(q.cast_signed()) * i32::from(*x)).sum()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn dot_v3(simd: pulp::x86::V3, block: &[u8; 34], x: &[i16; BLOCK]) -> std::arch::x86_64::__m256i {
        let [a, b]: [std::arch::x86_64::__m256i; 2] = pulp::cast(*x);
        let codes: [[u8; 16]; 2] =
            std::array::from_fn(|half| std::array::from_fn(|i| block[2 + 16 * half + i]));
        let [low, high] = codes.map(|codes| simd.avx2._mm256_cvtepi8_epi16(pulp::cast(codes)));
        simd.avx2._mm256_add_epi32(simd.avx2._mm256_madd_epi16(low, a), simd.avx2._mm256_madd_epi16(high, b))
    }
}

/// Products of one row of codes with one row of a weight.
#[inline(always)]
fn dot<const BYTES: usize, S: Stored<BYTES>>(blocks: &[[u8; BYTES]], x: &[Codes]) -> f32 {
    let mut sum = 0.0;
    for (block, x) in blocks.iter().zip(x) {
        let (scale, least) = S::scales(block);
        sum += scale * x.scale * S::dot(block, &x.codes) as f32 + least * x.sum;
    }
    sum
}

/// The same for `N` rows of a weight at a time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dots_v3<const BYTES: usize, const N: usize, S: Stored<BYTES>>(
    simd: pulp::x86::V3,
    rows: [&[[u8; BYTES]]; N],
    x: &[Codes],
) -> [f32; N] {
    let rows = rows.map(|row| &row[..x.len()]);
    let mut sums = [simd.avx._mm256_setzero_ps(); N];
    let mut rest = [0.0; N];
    for (i, x) in x.iter().enumerate() {
        for n in 0..N {
            let block = &rows[n][i];
            let (scale, least) = S::scales(block);
            let found = simd.avx._mm256_cvtepi32_ps(S::dot_v3(simd, block, &x.codes));
            sums[n] = simd.fma._mm256_fmadd_ps(found, simd.avx._mm256_set1_ps(scale * x.scale), sums[n]);
            rest[n] += least * x.sum;
        }
    }
    std::array::from_fn(|n| {
        let lanes: [f32; 8] = pulp::cast(sums[n]);
        lanes.iter().sum::<f32>() + rest[n]
    })
}

/// Fills `out` `[rows, n]` from rows of a weight.
fn fill<const BYTES: usize, S: Stored<BYTES>>(bytes: &[u8], x: &[Vec<Codes>], out: &mut [f32]) {
    let blocks = bytes.as_chunks::<BYTES>().0;
    let per_row = x.first().map_or(1, Vec::len).max(1);
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(
            #[inline(always)]
            || {
                let pairs = out.chunks_mut(2 * x.len()).zip(blocks.chunks(2 * per_row));
                for (out, rows) in pairs {
                    let (first, second) = rows.split_at(per_row);
                    for (n, x) in x.iter().enumerate() {
                        if second.is_empty() {
                            [out[n]] = dots_v3::<BYTES, 1, S>(simd, [first], x);
                        } else {
                            let found = dots_v3::<BYTES, 2, S>(simd, [first, second], x);
                            (out[n], out[out.len() / 2 + n]) = (found[0], found[1]);
                        }
                    }
                }
            },
        );
    }
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (out, row) in out.chunks_exact_mut(x.len()).zip(blocks.chunks_exact(per_row)) {
                for (y, x) in out.iter_mut().zip(x) {
                    *y = dot::<BYTES, S>(row, x);
                }
            }
        },
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
    let rows = x.chunks_exact(inner).map(|row| row.as_chunks().0.iter().map(Codes::new).collect());
    let rows: Vec<Vec<Codes>> = rows.collect();
    let (n, row_bytes) = (rows.len(), bytes.len() / outer.max(1));
    let mut out = vec![0.0; n * outer];
    if outer * inner < ALONE {
        fill(bytes, &rows, &mut out);
    } else {
        // An even number of rows, for they are read in pairs.
        let at_once = (TASK / inner).max(16).next_multiple_of(2);
        let tasks = out.par_chunks_mut(at_once * n).zip(bytes.par_chunks(at_once * row_bytes));
        tasks.for_each(|(out, bytes)| fill(bytes, &rows, out));
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
                    assert!(error < 1e-4, "{format:?} {outer}x{inner}: {got} for {want}");
                }
            }
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
            let plain = dot::<20, Q4_1>(row, &codes);
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
