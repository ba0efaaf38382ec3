//! The 4-bit codes of bitsandbytes: nf4 (QLoRA, arXiv:2305.14314) and fp4, blocks of 64 numbers over the flattened
//! matrix, each block divided by its largest magnitude. With double quantization those magnitudes, less their mean,
//! are 8-bit codes themselves, in blocks of 256.

use std::sync::{Arc, LazyLock};

/// Numbers that share a scale.
pub(super) const BLOCK: usize = 64;
/// Scales that share a scale of their own.
const NESTED_BLOCK: usize = 256;

/// Sixteen quantiles of a normal distribution, zero exactly among them.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];
/// Sign, two bits of exponent, one of mantissa; divided by 12.
const FP4: [f32; 16] = [
    0.0,
    0.005_208_333_5,
    0.666_666_7,
    1.0,
    0.333_333_34,
    0.5,
    0.166_666_67,
    0.25,
    0.0,
    -0.005_208_333_5,
    -0.666_666_7,
    -1.0,
    -0.333_333_34,
    -0.5,
    -0.166_666_67,
    -0.25,
];

/// Which sixteen values the codes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBitCode {
    /// Quantiles of a normal distribution.
    Nf4,
    /// A tiny floating-point number.
    Fp4,
}

impl FourBitCode {
    /// Value of each code, 1 at most.
    pub fn values(self) -> &'static [f32; 16] {
        match self {
            Self::Nf4 => &NF4,
            Self::Fp4 => &FP4,
        }
    }

    /// Both values of each byte, the high nibble's first.
    fn pairs(self) -> &'static [[f32; 2]; 256] {
        static NF4_PAIRS: LazyLock<[[f32; 2]; 256]> = LazyLock::new(|| pairs_of(&NF4));
        static FP4_PAIRS: LazyLock<[[f32; 2]; 256]> = LazyLock::new(|| pairs_of(&FP4));
        match self {
            Self::Nf4 => &NF4_PAIRS,
            Self::Fp4 => &FP4_PAIRS,
        }
    }
}

fn pairs_of(values: &[f32; 16]) -> [[f32; 2]; 256] {
    std::array::from_fn(|byte| [values[byte >> 4], values[byte & 15]])
}

/// Codes in the order of their values, and the value from which on the next one is nearer.
struct Nearest {
    codes: Vec<u8>,
    borders: Vec<f32>,
}

impl Nearest {
    fn new(values: &[f32]) -> Self {
        let mut codes: Vec<u8> = (0..values.len()).map(|code| code as u8).collect();
        codes.sort_by(|a, b| values[usize::from(*a)].total_cmp(&values[usize::from(*b)]));
        // Of two codes with one value the first is used.
        codes.dedup_by(|b, a| values[usize::from(*b)] == values[usize::from(*a)]);
        let of = |code: &u8| values[usize::from(*code)];
        let borders = codes.windows(2).map(|pair| (of(&pair[0]) + of(&pair[1])) / 2.0).collect();
        Self { codes, borders }
    }

    fn of(&self, x: f32) -> u8 {
        self.codes[self.borders.partition_point(|border| *border < x)]
    }
}

/// The 256 values of the 8-bit dynamic map (arXiv:2110.02861): seven decades, each with twice the steps of the one
/// below.
fn dynamic_map() -> &'static [f32] {
    static MAP: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let mut values = vec![0.0, 1.0];
        for decade in 0..7 {
            let steps = 1 << decade;
            let power = 10f64.powi(decade - 6);
            for step in 0..steps {
                let border = |i: i32| 0.1 + 0.9 * f64::from(i) / f64::from(steps);
                let middle = ((border(step) + border(step + 1)) / 2.0 * power) as f32;
                values.extend([middle, -middle]);
            }
        }
        values.sort_by(f32::total_cmp);
        values
    });
    &MAP
}

/// Largest magnitude of each block.
#[derive(Clone, Debug)]
pub enum Scales {
    /// As they are.
    Plain(Arc<[f32]>),
    /// 8-bit codes: `mean + map[code] x absmax`.
    Nested {
        /// One per block.
        codes: Arc<[u8]>,
        /// Largest magnitude of each 256 of them.
        absmax: Arc<[f32]>,
        /// Mean of all scales.
        mean: f32,
    },
}

impl Scales {
    fn nest(scales: &[f32]) -> Self {
        let mean = (scales.iter().map(|x| f64::from(*x)).sum::<f64>() / scales.len().max(1) as f64) as f32;
        static NEAREST: LazyLock<Nearest> = LazyLock::new(|| Nearest::new(dynamic_map()));
        let (mut codes, mut absmax) = (Vec::with_capacity(scales.len()), Vec::new());
        for block in scales.chunks(NESTED_BLOCK) {
            let top = block.iter().fold(0f32, |a, b| a.max((b - mean).abs()));
            let factor = if top > 0.0 { 1.0 / top } else { 0.0 };
            codes.extend(block.iter().map(|x| NEAREST.of((x - mean) * factor)));
            absmax.push(top);
        }
        Self::Nested { codes: codes.into(), absmax: absmax.into(), mean }
    }

    /// Scale of a block.
    #[inline(always)]
    pub fn get(&self, block: usize) -> f32 {
        match self {
            Self::Plain(scales) => scales[block],
            Self::Nested { codes, absmax, mean } => {
                mean + dynamic_map()[usize::from(codes[block])] * absmax[block / NESTED_BLOCK]
            }
        }
    }
}

/// A matrix in 4 bits.
#[derive(Clone, Debug)]
pub struct FourBit {
    code: FourBitCode,
    /// Two codes a byte, the first in the high nibble.
    packed: Arc<[u8]>,
    scales: Scales,
}

impl FourBit {
    /// Quantises values to the nearest code of `x / absmax`.
    pub fn quantise(values: &[f32], code: FourBitCode, double: bool) -> Self {
        let nearest = Nearest::new(code.values());
        let mut scales = Vec::with_capacity(values.len().div_ceil(BLOCK));
        let mut codes = Vec::with_capacity(values.len() + 1);
        for block in values.chunks(BLOCK) {
            let absmax = block.iter().fold(0f32, |a, b| a.max(b.abs()));
            let factor = if absmax > 0.0 { 1.0 / absmax } else { 0.0 };
            codes.extend(block.iter().map(|x| nearest.of(x * factor)));
            scales.push(absmax);
        }
        let byte = |pair: &[u8]| pair[0] << 4 | pair.get(1).copied().unwrap_or(0);
        let packed: Vec<u8> = codes.chunks(2).map(byte).collect();
        let scales = if double { Scales::nest(&scales) } else { Scales::Plain(scales.into()) };
        Self { code, packed: packed.into(), scales }
    }

    /// What the codes stand for.
    pub fn code(&self) -> FourBitCode {
        self.code
    }

    /// Two codes a byte, the first in the high nibble.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Scales of the blocks of 64.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    pub(super) fn bytes(&self) -> usize {
        self.packed.len()
            + match &self.scales {
                Scales::Plain(scales) => 4 * scales.len(),
                Scales::Nested { codes, absmax, .. } => codes.len() + 4 * absmax.len(),
            }
    }

    /// Writes the numbers from place `first` of the flattened matrix on.
    #[inline(always)]
    pub(super) fn read(&self, first: usize, out: &mut [f32]) {
        let pairs = self.code.pairs();
        let mut at = first;
        let mut rest = out;
        while !rest.is_empty() {
            let upto = (BLOCK - at % BLOCK).min(rest.len());
            let (now, later) = rest.split_at_mut(upto);
            let scale = self.scales.get(at / BLOCK);
            if at.is_multiple_of(2) {
                let bytes = &self.packed[at / 2..];
                for (y, byte) in now.chunks_mut(2).zip(bytes) {
                    let pair = pairs[usize::from(*byte)];
                    for (y, value) in y.iter_mut().zip(pair) {
                        *y = value * scale;
                    }
                }
            } else {
                for (i, y) in now.iter_mut().enumerate() {
                    let place = at + i;
                    *y = pairs[usize::from(self.packed[place / 2])][place % 2] * scale;
                }
            }
            at += upto;
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_split_blocks_and_bytes_read_the_same() {
        let values: Vec<f32> = (0..7 * 45).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
        for (code, double) in [(FourBitCode::Nf4, false), (FourBitCode::Fp4, true)] {
            let packed = FourBit::quantise(&values, code, double);
            let mut whole = vec![0.0; values.len()];
            packed.read(0, &mut whole);
            for row in 0..7 {
                let mut one = vec![0.0; 45];
                packed.read(row * 45, &mut one);
                assert_eq!(one, whole[row * 45..(row + 1) * 45]);
            }
        }
    }

    #[test]
    fn code_values_survive_quantisation() {
        for code in [FourBitCode::Nf4, FourBitCode::Fp4] {
            let values: Vec<f32> = code.values().iter().cycle().take(64).map(|x| x * 3.0).collect();
            let mut back = vec![0.0; 64];
            FourBit::quantise(&values, code, false).read(0, &mut back);
            for (a, b) in values.iter().zip(&back) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
        let zeros = FourBit::quantise(&[0.0; 64], FourBitCode::Nf4, true);
        let mut back = vec![1.0; 64];
        zeros.read(0, &mut back);
        assert!(back.iter().all(|x| *x == 0.0));
    }
}
