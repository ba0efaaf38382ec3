//! Frames of TensorFlow's record files: the length (8 bytes) and its checksum, the bytes and theirs; all little-endian.
//! Source: <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>.

use crc::{CRC_32_ISCSI, Crc};

/// CRC-32C (Castagnoli), which its catalogue lists under iSCSI.
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// What the mask adds.
const MASK: u32 = 0xa282_ead8;

/// The checksum as these files hold it: turned and shifted, so that the checksum of bytes that hold checksums is not
/// trivial.
pub(super) fn masked_checksum(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes).rotate_right(15).wrapping_add(MASK)
}

/// A record with its frame.
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked_checksum(bytes).to_le_bytes());
    record
}
