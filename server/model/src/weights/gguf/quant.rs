//! Block formats: 32 numbers share a scale (and in some a minimum), or 256 as in [`super::kquant`].

use half::{bf16, f16};

use super::kquant;

/// Numbers per block of the quantised formats.
const BLOCK: usize = 32;

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFormat {
    /// 4 bytes a number.
    F32,
    /// Half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// `scale x (nibble - 8)`.
    Q4_0,
    /// `scale x nibble + minimum`.
    Q4_1,
    /// `scale x (five bits - 16)`.
    Q5_0,
    /// `scale x five bits + minimum`.
    Q5_1,
    /// `scale x byte`.
    Q8_0,
    /// 4.5 bits a number in blocks of 256.
    Q4K,
    /// 5.5 bits a number in blocks of 256.
    Q5K,
    /// 6.6 bits a number in blocks of 256.
    Q6K,
}

/// What ggml calls the storage types that cannot be read, by their numbers.
const OTHERS: [(u32, &str); 23] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// How ggml names a storage type that cannot be read; its number where it is not known either.
pub(super) fn name_of(code: u32) -> String {
    let known = OTHERS.iter().find(|(number, _)| *number == code);
    known.map_or_else(|| format!("type {code}"), |(_, name)| (*name).to_owned())
}

impl BlockFormat {
    /// From the number in the file.
    pub fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// Bytes of one block and numbers in it.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (4, 1),
            Self::F16 | Self::BF16 => (2, 1),
            Self::Q4_0 => (18, BLOCK),
            Self::Q4_1 => (20, BLOCK),
            Self::Q5_0 => (22, BLOCK),
            Self::Q5_1 => (24, BLOCK),
            Self::Q8_0 => (34, BLOCK),
            Self::Q4K => (144, kquant::BLOCK),
            Self::Q5K => (176, kquant::BLOCK),
            Self::Q6K => (210, kquant::BLOCK),
        }
    }

    /// Bytes that `count` numbers in rows of `row` take; `None` when rows do not fill whole blocks.
    pub fn bytes(self, count: u64, row: u64) -> Option<u64> {
        let (size, numbers) = self.block();
        row.is_multiple_of(numbers as u64).then(|| (count / numbers as u64).checked_mul(size as u64))?
    }

    /// All numbers of whole blocks.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let (size, numbers) = self.block();
        let mut out = Vec::with_capacity(bytes.len() / size * numbers);
        for block in bytes.chunks_exact(size) {
            let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
            match self {
                Self::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.push(half(0)),
                Self::BF16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Self::Q4_0 => {
                    let scale = half(0);
                    nibbles(&block[2..], &mut out, |n| scale * (f32::from(n) - 8.0));
                }
                Self::Q4_1 => {
                    let (scale, minimum) = (half(0), half(2));
                    nibbles(&block[4..], &mut out, |n| scale * f32::from(n) + minimum);
                }
                Self::Q5_0 => {
                    let scale = half(0);
                    fives(&block[2..], &mut out, |n| scale * (f32::from(n) - 16.0));
                }
                Self::Q5_1 => {
                    let (scale, minimum) = (half(0), half(2));
                    fives(&block[4..], &mut out, |n| scale * f32::from(n) + minimum);
                }
                Self::Q4K => kquant::q4_k(block, &mut out),
                Self::Q5K => kquant::q5_k(block, &mut out),
                Self::Q6K => kquant::q6_k(block, &mut out),
                Self::Q8_0 => {
                    let scale = half(0);
                    out.extend(block[2..].iter().map(|b| scale * f32::from(b.cast_signed())));
                }
            }
        }
        out
    }
}

/// Low nibbles first (numbers 0-15), then high ones (16-31).
fn nibbles(bytes: &[u8], out: &mut Vec<f32>, value: impl Fn(u8) -> f32) {
    out.extend(bytes.iter().map(|b| value(b & 15)));
    out.extend(bytes.iter().map(|b| value(b >> 4)));
}

/// Four bytes of fifth bits, one per number, then nibbles as in [`nibbles`].
fn fives(bytes: &[u8], out: &mut Vec<f32>, value: impl Fn(u8) -> f32) {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let fifth = |i: usize| if high >> i & 1 == 1 { 16 } else { 0 };
    let low = &bytes[4..];
    out.extend(low.iter().enumerate().map(|(i, b)| value((b & 15) + fifth(i))));
    out.extend(low.iter().enumerate().map(|(i, b)| value((b >> 4) + fifth(i + 16))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_decode_by_hand() {
        let mut q41 = Vec::new();
        q41.extend(f16::from_f32(0.5).to_le_bytes());
        q41.extend(f16::from_f32(-1.0).to_le_bytes());
        q41.extend((0..16u8).map(|i| i | (15 - i) << 4));
        let values = BlockFormat::Q4_1.decode(&q41);
        assert_eq!((values[0], values[3], values[16], values[31]), (-1.0, 0.5, 6.5, -1.0));
        let mut q80 = f16::from_f32(2.0).to_le_bytes().to_vec();
        q80.extend((0..32).map(|i| (i as i8 - 16).cast_unsigned()));
        assert_eq!(BlockFormat::Q8_0.decode(&q80)[..2], [-32.0, -30.0]);
        let mut q40 = f16::from_f32(1.0).to_le_bytes().to_vec();
        q40.extend([0x80; 16]);
        let values = BlockFormat::Q4_0.decode(&q40);
        assert_eq!((values[0], values[16]), (-8.0, 0.0));
        let mut q50 = f16::from_f32(1.0).to_le_bytes().to_vec();
        q50.extend(0x0001_0002u32.to_le_bytes());
        q50.extend([0x21; 16]);
        let values = BlockFormat::Q5_0.decode(&q50);
        assert_eq!([values[0], values[1], values[16], values[17]], [-15.0, 1.0, 2.0, -14.0]);
        let mut q51 = f16::from_f32(0.5).to_le_bytes().to_vec();
        q51.extend(f16::from_f32(-1.0).to_le_bytes());
        q51.extend(u32::MAX.to_le_bytes());
        q51.extend([0x21; 16]);
        let values = BlockFormat::Q5_1.decode(&q51);
        assert_eq!([values[0], values[31]], [7.5, 8.0]);
        assert_eq!(BlockFormat::Q6K.bytes(512, 256), Some(420));
        assert_eq!(BlockFormat::Q4_1.bytes(64, 64), Some(40));
        assert_eq!(BlockFormat::Q4_1.bytes(60, 30), None);
    }
}
