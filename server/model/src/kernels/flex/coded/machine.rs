//! Sums of 32 products of whole numbers with the vector instructions of a machine, and without.

use super::Codes;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use super::{BLOCK, STEPS};

/// What products of blocks need of a machine.
pub(super) trait Machine: Copy {
    /// Sums side by side.
    type Sums: Copy;
    /// The 32 codes of a block in 16 bits each.
    type Wide: Copy;

    /// Nothing yet.
    fn zero(self) -> Self::Sums;
    /// 4-bit codes, low halves first.
    fn nibbles(self, codes: [u8; 16]) -> Self::Wide;
    /// Signed 8-bit codes, the two halves of a block.
    fn bytes(self, codes: [[u8; 16]; 2]) -> Self::Wide;
    /// Adds `scale` times the sum of a block's codes times the numbers of x.
    fn add(self, sums: Self::Sums, block: Self::Wide, x: &Codes, scale: f32) -> Self::Sums;
    /// All of them together.
    fn total(self, sums: Self::Sums) -> f32;
}

/// Any machine.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
#[derive(Clone, Copy)]
pub(super) struct Plain;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Machine for Plain {
    type Sums = f32;
    type Wide = [i16; BLOCK];

    #[inline(always)]
    fn zero(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn nibbles(self, codes: [u8; 16]) -> Self::Wide {
        std::array::from_fn(|i| i16::from(if i < 16 { codes[i] & 15 } else { codes[i - 16] >> 4 }))
    }

    #[inline(always)]
    fn bytes(self, codes: [[u8; 16]; 2]) -> Self::Wide {
        std::array::from_fn(|i| i16::from(codes[i / 16][i % 16].cast_signed()))
    }

    #[inline(always)]
    fn add(self, sum: f32, block: Self::Wide, x: &Codes, scale: f32) -> f32 {
        let dot = |x: &[i16; BLOCK]| -> i32 {
            block.iter().zip(x).map(|(q, x)| i32::from(*q) * i32::from(*x)).sum()
        };
        sum + scale * (dot(&x.first) as f32 + dot(&x.second) as f32 / STEPS)
    }

    #[inline(always)]
    fn total(self, sum: f32) -> f32 {
        sum
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m256i};

    use pulp::x86::V3;

    use super::super::{BLOCK, Codes, STEPS};
    use super::Machine;

    #[inline(always)]
    fn dot(simd: V3, block: [__m256i; 2], x: &[i16; BLOCK]) -> __m256 {
        let x: [__m256i; 2] = pulp::cast(*x);
        let [low, high] = [0, 1].map(|half| simd.avx2._mm256_madd_epi16(block[half], x[half]));
        simd.avx._mm256_cvtepi32_ps(simd.avx2._mm256_add_epi32(low, high))
    }

    impl Machine for V3 {
        type Sums = __m256;
        type Wide = [__m256i; 2];

        #[inline(always)]
        fn zero(self) -> __m256 {
            self.avx._mm256_setzero_ps()
        }

        #[inline(always)]
        fn nibbles(self, codes: [u8; 16]) -> Self::Wide {
            let codes = self.avx2._mm256_cvtepu8_epi16(pulp::cast(codes));
            let low = self.avx2._mm256_and_si256(codes, self.avx._mm256_set1_epi16(15));
            [low, self.avx2._mm256_srli_epi16::<4>(codes)]
        }

        #[inline(always)]
        fn bytes(self, codes: [[u8; 16]; 2]) -> Self::Wide {
            codes.map(|codes| self.avx2._mm256_cvtepi8_epi16(pulp::cast(codes)))
        }

        #[inline(always)]
        fn add(self, sums: __m256, block: Self::Wide, x: &Codes, scale: f32) -> __m256 {
            let (first, second) = (dot(self, block, &x.first), dot(self, block, &x.second));
            let steps = self.avx._mm256_set1_ps(1.0 / STEPS);
            let found = self.fma._mm256_fmadd_ps(second, steps, first);
            self.fma._mm256_fmadd_ps(found, self.avx._mm256_set1_ps(scale), sums)
        }

        #[inline(always)]
        fn total(self, sums: __m256) -> f32 {
            let lanes: [f32; 8] = pulp::cast(sums);
            lanes.iter().sum()
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use wasm::Simd128;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use std::arch::wasm32::*;

    use super::super::{BLOCK, Codes, STEPS};
    use super::Machine;

    /// WebAssembly's vectors.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Simd128;

    #[inline(always)]
    fn dot(block: [v128; 4], x: &[i16; BLOCK]) -> v128 {
        let x: [v128; 4] = pulp::cast(*x);
        let [a, b, c, d] = [0, 1, 2, 3].map(|part| i32x4_dot_i16x8(block[part], x[part]));
        f32x4_convert_i32x4(i32x4_add(i32x4_add(a, b), i32x4_add(c, d)))
    }

    impl Machine for Simd128 {
        type Sums = v128;
        type Wide = [v128; 4];

        #[inline(always)]
        fn zero(self) -> v128 {
            f32x4_splat(0.0)
        }

        #[inline(always)]
        fn nibbles(self, codes: [u8; 16]) -> Self::Wide {
            let codes: v128 = pulp::cast(codes);
            let (low, high) = (v128_and(codes, u8x16_splat(15)), u8x16_shr(codes, 4));
            [
                u16x8_extend_low_u8x16(low),
                u16x8_extend_high_u8x16(low),
                u16x8_extend_low_u8x16(high),
                u16x8_extend_high_u8x16(high),
            ]
        }

        #[inline(always)]
        fn bytes(self, codes: [[u8; 16]; 2]) -> Self::Wide {
            let [low, high]: [v128; 2] = pulp::cast(codes);
            [
                i16x8_extend_low_i8x16(low),
                i16x8_extend_high_i8x16(low),
                i16x8_extend_low_i8x16(high),
                i16x8_extend_high_i8x16(high),
            ]
        }

        #[inline(always)]
        fn add(self, sums: v128, block: Self::Wide, x: &Codes, scale: f32) -> v128 {
            let (first, second) = (dot(block, &x.first), dot(block, &x.second));
            let found = f32x4_add(first, f32x4_mul(second, f32x4_splat(1.0 / STEPS)));
            f32x4_add(sums, f32x4_mul(found, f32x4_splat(scale)))
        }

        #[inline(always)]
        fn total(self, sums: v128) -> f32 {
            let lanes: [f32; 4] = pulp::cast(sums);
            lanes.iter().sum()
        }
    }
}
