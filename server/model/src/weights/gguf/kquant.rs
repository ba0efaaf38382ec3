//! K-quants: 256 numbers share two half-precision factors, groups of 16 or 32 small scales (and minima).

use half::f16;

/// Numbers per block.
pub(super) const BLOCK: usize = 256;

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Scale and minimum of one of eight groups, six bits each, out of twelve bytes.
fn scale_and_min(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, min) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let both = packed[group + 4];
        ((both & 15) | (packed[group - 4] >> 6) << 4, (both >> 4) | (packed[group] >> 6) << 4)
    };
    (f32::from(scale), f32::from(min))
}

/// 144 bytes: `d`, `dmin`, twelve bytes of scales and minima, 128 bytes of nibbles.
pub(super) fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    nibbles(block, &block[16..], |_, _| 0, out);
}

/// 176 bytes: as Q4_K, with 32 bytes of fifth bits before the nibbles.
pub(super) fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    let high = &block[16..48];
    nibbles(block, &block[48..], |group, i| (high[i] >> group & 1) << 4, out);
}

/// Groups of 32; two lie in the low and high nibbles of the same 32 bytes. `high` gives what is added to a nibble.
fn nibbles(block: &[u8], quants: &[u8], high: impl Fn(usize, usize) -> u8, out: &mut Vec<f32>) {
    let (d, dmin) = (half(block, 0), half(block, 2));
    for group in 0..8 {
        let (scale, min) = scale_and_min(&block[4..16], group);
        let (scale, min) = (d * scale, dmin * min);
        for i in 0..32 {
            let byte = quants[group / 2 * 32 + i];
            let nibble = if group % 2 == 0 { byte & 15 } else { byte >> 4 };
            out.push(scale * f32::from(nibble + high(group, i)) - min);
        }
    }
}

/// 210 bytes: 128 bytes of low nibbles, 64 of upper pairs of bits, sixteen signed scales, `d`.
pub(super) fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(block, 208);
    for place in 0..BLOCK {
        let (side, quarter, i) = (place / 128, place % 128 / 32, place % 32);
        let byte = low[side * 64 + quarter % 2 * 32 + i];
        let nibble = if quarter < 2 { byte & 15 } else { byte >> 4 };
        let upper = high[side * 32 + i] >> (2 * quarter) & 3;
        let value = f32::from(nibble | upper << 4) - 32.0;
        out.push(d * f32::from(scales[place / 16].cast_signed()) * value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The packing of ggml's documentation, the other way round.
    fn pack(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
        let mut packed = [0; 12];
        for j in 0..4 {
            packed[j] = scales[j] | (scales[j + 4] >> 4) << 6;
            packed[j + 4] = mins[j] | (mins[j + 4] >> 4) << 6;
            packed[j + 8] = (scales[j + 4] & 15) | (mins[j + 4] & 15) << 4;
        }
        packed
    }

    fn factors(d: f32, dmin: f32) -> Vec<u8> {
        [d, dmin].iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn scales_and_minima_survive_packing(scales in prop::array::uniform8(0u8..64), mins in prop::array::uniform8(0u8..64)) {
            let packed = pack(&scales, &mins);
            for group in 0..8 {
                prop_assert_eq!(scale_and_min(&packed, group), (f32::from(scales[group]), f32::from(mins[group])));
            }
        }

        #[test]
        fn q4_k_and_q5_k_give_back_what_was_packed(
            quants in prop::collection::vec(0u8..32, 256),
            scales in prop::array::uniform8(0u8..64),
            mins in prop::array::uniform8(0u8..64),
        ) {
            let (mut low, mut high) = (vec![0u8; 128], vec![0u8; 32]);
            for (place, q) in quants.iter().enumerate() {
                let (group, i) = (place / 32, place % 32);
                low[group / 2 * 32 + i] |= (q & 15) << (4 * (group % 2));
                high[i] |= (q >> 4) << group;
            }
            let head: Vec<u8> = factors(0.5, 0.25).into_iter().chain(pack(&scales, &mins)).collect();
            let (mut four, mut five) = (Vec::new(), Vec::new());
            q4_k(&[head.as_slice(), &low].concat(), &mut four);
            q5_k(&[head.as_slice(), &high, &low].concat(), &mut five);
            for (place, q) in quants.iter().enumerate() {
                let (scale, min) = (f32::from(scales[place / 32]) * 0.5, f32::from(mins[place / 32]) * 0.25);
                prop_assert_eq!(four[place], scale * f32::from(q & 15) - min);
                prop_assert_eq!(five[place], scale * f32::from(*q) - min);
            }
        }

        #[test]
        fn q6_k_gives_back_what_was_packed(
            quants in prop::collection::vec(0u8..64, 256),
            scales in prop::collection::vec(-128i8..=127, 16),
        ) {
            let (mut low, mut high) = (vec![0u8; 128], vec![0u8; 64]);
            for (place, q) in quants.iter().enumerate() {
                let (side, quarter, i) = (place / 128, place % 128 / 32, place % 32);
                low[side * 64 + quarter % 2 * 32 + i] |= (q & 15) << (4 * (quarter / 2));
                high[side * 32 + i] |= (q >> 4) << (2 * quarter);
            }
            let mut block = [low, high].concat();
            block.extend(scales.iter().map(|s| s.cast_unsigned()));
            block.extend(f16::from_f32(0.5).to_le_bytes());
            let mut out = Vec::new();
            q6_k(&block, &mut out);
            for (place, q) in quants.iter().enumerate() {
                prop_assert_eq!(out[place], 0.5 * f32::from(scales[place / 16]) * (f32::from(*q) - 32.0));
            }
        }
    }

    #[test]
    fn blocks_decode_by_hand() {
        let mut block = factors(1.0, 2.0);
        // Group 0: scale 3, minimum 1; group 5: scale 0b10_0001 = 33, minimum 0b01_0010 = 18.
        let mut scales = [0u8; 12];
        (scales[0], scales[4]) = (3, 1);
        (scales[1], scales[5]) = (0b10 << 6, 0b01 << 6);
        scales[9] = 0b0010_0001;
        block.extend(scales);
        let mut quants = [0u8; 128];
        (quants[0], quants[64]) = (0x0f, 0x70);
        block.extend(quants);
        let mut out = Vec::new();
        q4_k(&block, &mut out);
        assert_eq!(out.len(), BLOCK);
        assert_eq!([out[0], out[1], out[160], out[161]], [43.0, -2.0, 33.0 * 7.0 - 36.0, -36.0]);
    }
}
