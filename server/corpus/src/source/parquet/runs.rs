//! Numbers as pages of a Parquet file pack them: runs of one number, small numbers bit by bit, and differences.

use super::thrift::{Broken, Thrift};

/// Gives the numbers of `width` bits that runs and packed groups stand for, `total` at most, each with how often it
/// comes in a row.
pub(super) fn each<E>(
    bytes: &[u8],
    width: u32,
    total: usize,
    mut found: impl FnMut(u64, usize) -> Result<(), E>,
) -> Result<(), E> {
    let (mut rest, mut left) = (bytes, total);
    while left > 0 {
        let mut thrift = Thrift::new(rest);
        let Ok(header) = thrift.varint() else { return Ok(()) };
        rest = rest.get(thrift.read()..).unwrap_or_default();
        let count = usize::try_from(header >> 1).unwrap_or(usize::MAX);
        if header & 1 == 0 {
            let size = width.div_ceil(8) as usize;
            let Some((number, after)) = rest.split_at_checked(size) else { return Ok(()) };
            let count = count.min(left);
            if count > 0 {
                found(little_endian(number), count)?;
            }
            (rest, left) = (after, left - count);
        } else {
            let size = count.saturating_mul(width as usize).min(rest.len());
            let (packed, after) = rest.split_at(size);
            let count = count.saturating_mul(8).min(left);
            bits(packed, width, count, &mut found)?;
            (rest, left) = (after, left - count);
        }
    }
    Ok(())
}

/// Gives `count` numbers of `width` bits that lie side by side.
pub(super) fn bits<E>(
    bytes: &[u8],
    width: u32,
    count: usize,
    found: &mut impl FnMut(u64, usize) -> Result<(), E>,
) -> Result<(), E> {
    if width == 0 {
        return if count > 0 { found(0, count) } else { Ok(()) };
    }
    let there = bytes.len().saturating_mul(8) / width as usize;
    for index in 0..count.min(there) {
        found(bit_field(bytes, index * width as usize, width), 1)?;
    }
    Ok(())
}

fn bit_field(bytes: &[u8], at: usize, width: u32) -> u64 {
    let (first, shift) = (at / 8, at % 8);
    let end = (at + width as usize).div_ceil(8).min(bytes.len());
    let wide = bytes.get(first..end).unwrap_or_default().iter().rev();
    let number = wide.fold(0_u128, |number, byte| number << 8 | u128::from(*byte)) >> shift;
    (number & ((1_u128 << width) - 1)) as u64
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// How many numbers a list of differences says it has, before any is read.
pub(super) fn differences(bytes: &[u8]) -> Result<u64, Broken> {
    let mut thrift = Thrift::new(bytes);
    thrift.varint()?;
    thrift.varint()?;
    thrift.varint()
}

/// The sum of a list of differences' numbers, which are lengths, and the bytes after it.
pub(super) fn sum_of_differences(bytes: &[u8]) -> Result<(u64, &[u8]), Broken> {
    let mut thrift = Thrift::new(bytes);
    let (block, minis, total) = (thrift.varint()?, thrift.varint()?, thrift.varint()?);
    let mut number = thrift.number()?;
    let mut rest = bytes.get(thrift.read()..).unwrap_or_default();
    let in_mini = block.checked_div(minis).filter(|count| *count > 0).ok_or(Broken::Wrong)?;
    let minis = usize::try_from(minis).map_err(|_| Broken::Wrong)?;
    let in_mini = usize::try_from(in_mini).map_err(|_| Broken::Wrong)?;
    let length = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut sum = if total > 0 { length(number) } else { 0 };
    let mut left = usize::try_from(total.saturating_sub(1)).map_err(|_| Broken::Wrong)?;
    while left > 0 {
        let mut thrift = Thrift::new(rest);
        let least = thrift.number()?;
        rest = rest.get(thrift.read()..).unwrap_or_default();
        let (widths, after) = rest.split_at_checked(minis).ok_or(Broken::Short)?;
        rest = after;
        for width in widths {
            if left == 0 {
                break;
            }
            let width = u32::from(*width);
            if width > 64 {
                return Err(Broken::Wrong);
            }
            let size = in_mini.saturating_mul(width as usize).div_ceil(8).min(rest.len());
            let (packed, after) = rest.split_at(size);
            let count = in_mini.min(left);
            bits(packed, width, count, &mut |difference, times| {
                for _ in 0..times {
                    number = number.wrapping_add(least).wrapping_add(difference.cast_signed());
                    sum = sum.saturating_add(length(number));
                }
                Ok::<(), Broken>(())
            })?;
            (rest, left) = (after, left - count);
        }
    }
    Ok((sum, rest))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_and_packed_groups_are_counted() {
        let mut found = Vec::new();
        // Three times 1, then the eight numbers of three bits 0 to 7.
        each(&[6, 1, 3, 0x88, 0xC6, 0xFA], 3, 100, |number, count| {
            found.push((number, count));
            Ok::<(), Infallible>(())
        })
        .expect("never fails");
        let packed = (0..8).map(|number| (number, 1));
        assert_eq!(found, [(1, 3)].into_iter().chain(packed).collect::<Vec<_>>());
    }

    #[test]
    fn lengths_are_summed_from_differences() {
        // 128 a block, 4 minis, 5 numbers: 7, then differences of 2 + 0.
        let bytes = [0x80, 1, 4, 5, 14, 4, 0, 0, 0, 0, 99];
        assert_eq!(sum_of_differences(&bytes), Ok((7 + 9 + 11 + 13 + 15, &bytes[10..])));
        assert_eq!(differences(&bytes), Ok(5));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_numbers_end(bytes in prop::collection::vec(any::<u8>(), 0..100), width in 0_u32..33) {
            let mut count = 0;
            let _ = each(&bytes, width, 1000, |_, times| { count += times; Ok::<(), Infallible>(()) });
            prop_assert!(count <= 1000);
            if differences(&bytes).is_ok_and(|count| count < 1_000_000) {
                let _ = sum_of_differences(&bytes);
            }
        }
    }
}
