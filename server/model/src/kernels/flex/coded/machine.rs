//! Sums of 32 products of whole numbers with the vector instructions of a machine, and without.

use super::BLOCK;

/// What products of blocks need of a machine.
pub(super) trait Machine: Copy {
    /// Sums side by side.
    type Sums: Copy;

    /// Nothing yet.
    fn zero(self) -> Self::Sums;
    /// Adds `scale` times the sum of 4-bit codes (low halves first) times the numbers of x.
    fn add_nibbles(self, sums: Self::Sums, codes: [u8; 16], x: &[i16; BLOCK], scale: f32) -> Self::Sums;
    /// The same with signed 8-bit codes, the two halves of a block.
    fn add_bytes(self, sums: Self::Sums, codes: [[u8; 16]; 2], x: &[i16; BLOCK], scale: f32) -> Self::Sums;
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

    #[inline(always)]
    fn zero(self) -> f32 {
        0.0
    }

    #[inline(always)]
    fn add_nibbles(self, sum: f32, codes: [u8; 16], x: &[i16; BLOCK], scale: f32) -> f32 {
        let (low, high) = x.split_at(16);
        let pairs = codes.iter().zip(low).zip(high);
        let found: i32 = pairs
            .map(|((q, a), b)| i32::from(q & 15) * i32::from(*a) + i32::from(q >> 4) * i32::from(*b))
            .sum();
        sum + scale * found as f32
    }

    #[inline(always)]
    fn add_bytes(self, sum: f32, codes: [[u8; 16]; 2], x: &[i16; BLOCK], scale: f32) -> f32 {
        let pairs = codes.as_flattened().iter().zip(x);
        let found: i32 = pairs.map(|(q, x)| i32::from(q.cast_signed()) * i32::from(*x)).sum();
        sum + scale * found as f32
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

    use super::{BLOCK, Machine};

    #[inline(always)]
    fn add_parts(simd: V3, sums: __m256, parts: [__m256i; 2], scale: f32) -> __m256 {
        let found = simd.avx2._mm256_add_epi32(parts[0], parts[1]);
        simd.fma._mm256_fmadd_ps(simd.avx._mm256_cvtepi32_ps(found), simd.avx._mm256_set1_ps(scale), sums)
    }

    impl Machine for V3 {
        type Sums = __m256;

        #[inline(always)]
        fn zero(self) -> __m256 {
            self.avx._mm256_setzero_ps()
        }

        #[inline(always)]
        fn add_nibbles(self, sums: __m256, codes: [u8; 16], x: &[i16; BLOCK], scale: f32) -> __m256 {
            let [a, b]: [__m256i; 2] = pulp::cast(*x);
            let codes = self.avx2._mm256_cvtepu8_epi16(pulp::cast(codes));
            let low = self.avx2._mm256_and_si256(codes, self.avx._mm256_set1_epi16(15));
            let high = self.avx2._mm256_srli_epi16::<4>(codes);
            let parts = [self.avx2._mm256_madd_epi16(low, a), self.avx2._mm256_madd_epi16(high, b)];
            add_parts(self, sums, parts, scale)
        }

        #[inline(always)]
        fn add_bytes(self, sums: __m256, codes: [[u8; 16]; 2], x: &[i16; BLOCK], scale: f32) -> __m256 {
            let [a, b]: [__m256i; 2] = pulp::cast(*x);
            let [low, high] = codes.map(|codes| self.avx2._mm256_cvtepi8_epi16(pulp::cast(codes)));
            let parts = [self.avx2._mm256_madd_epi16(low, a), self.avx2._mm256_madd_epi16(high, b)];
            add_parts(self, sums, parts, scale)
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

    use super::{BLOCK, Machine};

    /// WebAssembly's vectors.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Simd128;

    #[inline(always)]
    fn add_parts(sums: v128, codes: [v128; 4], x: &[i16; BLOCK], scale: f32) -> v128 {
        let x: [v128; 4] = pulp::cast(*x);
        let low = i32x4_add(i32x4_dot_i16x8(codes[0], x[0]), i32x4_dot_i16x8(codes[1], x[1]));
        let high = i32x4_add(i32x4_dot_i16x8(codes[2], x[2]), i32x4_dot_i16x8(codes[3], x[3]));
        let found = f32x4_convert_i32x4(i32x4_add(low, high));
        f32x4_add(sums, f32x4_mul(found, f32x4_splat(scale)))
    }

    impl Machine for Simd128 {
        type Sums = v128;

        #[inline(always)]
        fn zero(self) -> v128 {
            f32x4_splat(0.0)
        }

        #[inline(always)]
        fn add_nibbles(self, sums: v128, codes: [u8; 16], x: &[i16; BLOCK], scale: f32) -> v128 {
            let codes: v128 = pulp::cast(codes);
            let (low, high) = (v128_and(codes, u8x16_splat(15)), u8x16_shr(codes, 4));
            let parts = [
                u16x8_extend_low_u8x16(low),
                u16x8_extend_high_u8x16(low),
                u16x8_extend_low_u8x16(high),
                u16x8_extend_high_u8x16(high),
            ];
            add_parts(sums, parts, x, scale)
        }

        #[inline(always)]
        fn add_bytes(self, sums: v128, codes: [[u8; 16]; 2], x: &[i16; BLOCK], scale: f32) -> v128 {
            let [low, high]: [v128; 2] = pulp::cast(codes);
            let parts = [
                i16x8_extend_low_i8x16(low),
                i16x8_extend_high_i8x16(low),
                i16x8_extend_low_i8x16(high),
                i16x8_extend_high_i8x16(high),
            ];
            add_parts(sums, parts, x, scale)
        }

        #[inline(always)]
        fn total(self, sums: v128) -> f32 {
            let lanes: [f32; 4] = pulp::cast(sums);
            lanes.iter().sum()
        }
    }
}
