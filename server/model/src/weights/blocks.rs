//! Frozen matrices in the form they are stored in: GGUF's blocks, half precision, 8 and 4 bits. Rows are turned
//! into f32 when they are needed, so that such a matrix never lies in memory as a whole in f32.

mod four_bit;
mod int8;

use std::sync::Arc;

use super::gguf::BlockFormat;
pub use four_bit::{FourBit, FourBitCode, Scales};
pub use int8::Int8;

/// How a frozen matrix is stored.
#[derive(Clone, Debug)]
pub enum Form {
    /// Blocks of a GGUF file, or F16 / BF16, row after row.
    File {
        /// Format of the blocks.
        format: BlockFormat,
        /// All rows.
        bytes: Arc<[u8]>,
    },
    /// 4-bit codes of bitsandbytes: nf4 or fp4.
    FourBit(FourBit),
    /// 8-bit codes with a scale per row (LLM.int8 without outliers).
    Int8(Int8),
}

/// A frozen matrix `[rows, cols]`. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Blocks {
    rows: usize,
    cols: usize,
    form: Form,
}

/// What is to become of the linear maps of a model when it is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quant {
    /// Everything as f32.
    #[default]
    None,
    /// As the file has it: GGUF blocks, F16 and BF16 stay; F32 is F32.
    Keep,
    /// Linear maps in 8 bits with a scale per row; the rest as [`Quant::Keep`].
    Int8,
    /// Linear maps as nf4 in blocks of 64; the rest as [`Quant::Keep`].
    Nf4 {
        /// Scales in 8 bits as well (double quantization).
        double: bool,
    },
    /// Linear maps as fp4 in blocks of 64; the rest as [`Quant::Keep`].
    Fp4 {
        /// Scales in 8 bits as well (double quantization).
        double: bool,
    },
}

impl Quant {
    /// Bytes that a linear map of this many numbers takes; `None` where the file decides.
    pub fn linear_bytes(self, rows: u64, cols: u64) -> Option<u64> {
        let count = rows * cols;
        match self {
            Self::None => Some(4 * count),
            Self::Keep => None,
            Self::Int8 => Some(count + 4 * rows),
            Self::Nf4 { double } | Self::Fp4 { double } => {
                let scales = count.div_ceil(four_bit::BLOCK as u64);
                Some(count.div_ceil(2) + if double { scales + scales / 64 } else { 4 * scales })
            }
        }
    }

    /// Quantises a matrix; `None` where this choice leaves it as it is.
    pub fn apply(self, values: &[f32], rows: usize, cols: usize) -> Option<Blocks> {
        let form = match self {
            Self::None | Self::Keep => return None,
            Self::Int8 => Form::Int8(Int8::quantise(values, cols)),
            Self::Nf4 { double } => Form::FourBit(FourBit::quantise(values, FourBitCode::Nf4, double)),
            Self::Fp4 { double } => Form::FourBit(FourBit::quantise(values, FourBitCode::Fp4, double)),
        };
        Some(Blocks { rows, cols, form })
    }
}

impl Blocks {
    /// A matrix as a file has it. `None` when the bytes do not fill it.
    pub fn from_file(format: BlockFormat, rows: usize, cols: usize, bytes: Vec<u8>) -> Option<Self> {
        let size = format.bytes((rows * cols) as u64, cols as u64)?;
        (size == bytes.len() as u64).then(|| Self {
            rows,
            cols,
            form: Form::File { format, bytes: bytes.into() },
        })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// How it is stored.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Memory it takes, bytes.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::File { bytes, .. } => bytes.len(),
            Form::FourBit(codes) => codes.bytes(),
            Form::Int8(codes) => codes.bytes(),
        }
    }

    /// The same matrix with its rows in another order: row `i` is the old row `order(i)`. Only for matrices as a
    /// file has them, whose rows are whole blocks; others are returned as they are.
    #[must_use]
    pub fn reordered(self, order: impl Fn(usize) -> usize) -> Self {
        let Form::File { format, bytes } = &self.form else { return self };
        let row = bytes.len() / self.rows.max(1);
        let moved: Vec<u8> =
            (0..self.rows).flat_map(|i| &bytes[order(i) * row..(order(i) + 1) * row]).copied().collect();
        Self { form: Form::File { format: *format, bytes: moved.into() }, ..self }
    }

    /// Writes whole rows from `first` on into `out`, as f32.
    #[inline(always)]
    pub fn read_rows(&self, first: usize, out: &mut [f32]) {
        match &self.form {
            Form::File { format, bytes } => {
                let row = bytes.len() / self.rows.max(1);
                let count = out.len() / self.cols.max(1);
                decode(*format, &bytes[first * row..(first + count) * row], out);
            }
            Form::FourBit(codes) => codes.read(first * self.cols, out),
            Form::Int8(codes) => codes.read_rows(first, self.cols, out),
        }
    }

    /// All of it as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        self.read_rows(0, &mut out);
        out
    }
}

/// The number that these bits of half precision stand for, without a call or a branch.
#[inline(always)]
pub(crate) fn half(bits: u16) -> f32 {
    let wide = u32::from(bits & 0x7fff) << 13;
    // 2^112 moves the exponent; what is infinite or no number keeps its mantissa.
    let finite = f32::from_bits(wide) * f32::from_bits(0x7780_0000);
    let size = if bits & 0x7c00 == 0x7c00 { wide | 0x7f80_0000 } else { finite.to_bits() };
    f32::from_bits(size | u32::from(bits & 0x8000) << 16)
}

/// Turns whole blocks into f32; written so that compilers use vector instructions.
#[inline(always)]
fn decode(format: BlockFormat, bytes: &[u8], out: &mut [f32]) {
    let half = |block: &[u8], at: usize| half(u16::from_le_bytes([block[at], block[at + 1]]));
    match format {
        BlockFormat::F16 => {
            for (y, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *y = half(b, 0);
            }
        }
        BlockFormat::BF16 => {
            for (y, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *y = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
            }
        }
        BlockFormat::Q8_0 => {
            for (y, block) in out.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<34>().0) {
                let scale = half(block, 0);
                for (y, q) in y.iter_mut().zip(&block[2..]) {
                    *y = f32::from(q.cast_signed()) * scale;
                }
            }
        }
        BlockFormat::Q4_0 => {
            for (y, block) in out.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<18>().0) {
                let scale = half(block, 0);
                let (low, high) = y.split_at_mut(16);
                for ((low, high), q) in low.iter_mut().zip(high).zip(&block[2..]) {
                    *low = scale * (f32::from(q & 15) - 8.0);
                    *high = scale * (f32::from(q >> 4) - 8.0);
                }
            }
        }
        BlockFormat::Q4_1 => {
            for (y, block) in out.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<20>().0) {
                let (scale, least) = (half(block, 0), half(block, 2));
                let (low, high) = y.split_at_mut(16);
                for ((low, high), q) in low.iter_mut().zip(high).zip(&block[4..]) {
                    *low = scale * f32::from(q & 15) + least;
                    *high = scale * f32::from(q >> 4) + least;
                }
            }
        }
        _ => out.copy_from_slice(&format.decode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn bytes_of(format: BlockFormat, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
        let size = format.bytes((rows * cols) as u64, cols as u64).unwrap() as usize;
        let mut rng = Rng::new(seed);
        // Small exponents, so that no scale is infinite.
        (0..size).map(|i| if i % 2 == 1 { 0x2a } else { rng.next_u64() as u8 }).collect()
    }

    #[test]
    fn every_half_is_what_it_should_be() {
        for bits in 0..=u16::MAX {
            let want = half::f16::from_bits(bits).to_f32();
            let got = half(bits);
            assert!(got == want || (got.is_nan() && want.is_nan()), "{bits:04x}: {got} {want}");
            assert_eq!(got.is_sign_negative(), want.is_sign_negative(), "{bits:04x}");
        }
    }

    #[test]
    fn rows_read_piece_by_piece_equal_the_whole_and_the_plain_decoder() {
        for format in [
            BlockFormat::F16,
            BlockFormat::BF16,
            BlockFormat::Q8_0,
            BlockFormat::Q4_0,
            BlockFormat::Q4_1,
            BlockFormat::F32,
        ] {
            let bytes = bytes_of(format, 5, 64, 3);
            let want = format.decode(&bytes);
            let blocks = Blocks::from_file(format, 5, 64, bytes.clone()).unwrap();
            assert_eq!(blocks.to_f32(), want, "{format:?}");
            let mut two = vec![0.0; 128];
            blocks.read_rows(2, &mut two);
            assert_eq!(two, want[128..256], "{format:?}");
            assert_eq!(blocks.bytes(), bytes.len());
            assert!(Blocks::from_file(format, 6, 64, bytes).is_none());
            let back = blocks.reordered(|i| 4 - i).to_f32();
            assert_eq!((&back[..64], &back[256..]), (&want[256..], &want[..64]));
        }
    }

    #[test]
    fn sizes_are_what_is_announced() {
        let values = Rng::new(1).normals(96 * 128, 1.0);
        for quant in [Quant::Int8, Quant::Nf4 { double: false }, Quant::Fp4 { double: true }] {
            let blocks = quant.apply(&values, 96, 128).unwrap();
            let told = quant.linear_bytes(96, 128).unwrap();
            assert!(told.abs_diff(blocks.bytes() as u64) <= 16, "{quant:?}: {told} {}", blocks.bytes());
            let error = blocks.to_f32().iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(error < 0.7, "{quant:?}: {error}");
        }
        assert!(Quant::Keep.apply(&values, 96, 128).is_none());
        assert_eq!((Quant::Keep.linear_bytes(4, 4), Quant::None.linear_bytes(4, 4)), (None, Some(64)));
    }
}
