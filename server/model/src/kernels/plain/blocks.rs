//! Frozen matrices on a device: packed codes, scales and a table of values; turned into f32 one matrix at a time.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::{elem, indices};
use crate::kernels::Mat;
use crate::weights::Blocks;
use crate::weights::blocks::{Form, FourBit, Int8, Scales};
use crate::weights::gguf::BlockFormat;

/// A frozen matrix on a device.
#[derive(Clone, Debug)]
pub struct TensorBlocks<B: Backend> {
    rows: usize,
    cols: usize,
    stored: Stored<B>,
}

#[derive(Clone, Debug)]
enum Stored<B: Backend> {
    /// Half precision.
    Half(Mat<B>),
    /// Anything else.
    Codes(Codes<B>),
}

/// `value = table[code] x scale + least`; four 8-bit or eight 4-bit codes a word, the first in the lowest bits.
#[derive(Clone, Debug)]
struct Codes<B: Backend> {
    /// `[words]`
    words: Tensor<B, 1, Int>,
    bits: usize,
    /// What the codes stand for; `None`: themselves less `zero`.
    table: Option<Tensor<B, 1>>,
    zero: f32,
    /// Numbers per scale.
    block: usize,
    /// `[blocks, 1]`
    scale: Mat<B>,
    /// `[blocks, 1]`
    least: Option<Mat<B>>,
}

/// Codes, scales and the rest on the host.
struct Parts {
    codes: Vec<u8>,
    bits: usize,
    table: Option<&'static [f32]>,
    zero: f32,
    block: usize,
    scale: Vec<f32>,
    least: Option<Vec<f32>>,
}

fn f16_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Blocks of 32 with an f16 scale: bytes per block, codes after `head` bytes.
fn of_file(bytes: &[u8], size: usize, head: usize, bits: usize, zero: f32) -> Parts {
    let blocks = || bytes.chunks_exact(size);
    let codes = match bits {
        // The sign becomes an offset, so that codes are not negative.
        8 => blocks().flat_map(|b| b[head..].iter().map(|q| q ^ 0x80)).collect(),
        _ => blocks()
            .flat_map(|b| b[head..].iter().map(|q| q & 15).chain(b[head..].iter().map(|q| q >> 4)))
            .collect(),
    };
    let scale = blocks().map(|b| f16_at(b, 0)).collect();
    let least = (head == 4).then(|| blocks().map(|b| f16_at(b, 2)).collect());
    Parts { codes, bits, table: None, zero, block: 32, scale, least }
}

fn of_four_bit(codes: &FourBit, count: usize) -> Parts {
    let blocks = count.div_ceil(64);
    let scale = match codes.scales() {
        Scales::Plain(scales) => scales.to_vec(),
        nested => (0..blocks).map(|block| nested.get(block)).collect(),
    };
    let nibbles = codes.packed().iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count).collect();
    let table = Some(codes.code().values().as_slice());
    Parts { codes: nibbles, bits: 4, table, zero: 0.0, block: 64, scale, least: None }
}

fn of_int8(codes: &Int8, cols: usize) -> Parts {
    let scale = codes.absmax().iter().map(|absmax| absmax / 127.0).collect();
    let codes = codes.codes().iter().map(|code| code.cast_unsigned() ^ 0x80).collect();
    Parts { codes, bits: 8, table: None, zero: 128.0, block: cols, scale, least: None }
}

impl Parts {
    fn put<B: Backend>(mut self, device: &B::Device) -> Codes<B> {
        let per_word = 32 / self.bits;
        // Whole blocks and whole words.
        let count = self.scale.len() * self.block;
        self.codes.resize(count.next_multiple_of(per_word), 0);
        let word = |codes: &[u8]| {
            codes.iter().rev().fold(0u32, |word, code| word << self.bits | u32::from(*code)).cast_signed()
        };
        let words: Vec<i32> = self.codes.chunks_exact(per_word).map(word).collect();
        let (words_count, blocks) = (words.len(), self.scale.len());
        let column = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [blocks, 1]), device);
        Codes {
            words: Tensor::from_data(TensorData::new(words, [words_count]), (device, DType::I32)),
            bits: self.bits,
            table: self
                .table
                .map(|table| Tensor::from_data(TensorData::new(table.to_vec(), [table.len()]), device)),
            zero: self.zero,
            block: self.block,
            scale: column(self.scale),
            least: self.least.map(column),
        }
    }
}

impl<B: Backend> Codes<B> {
    /// Some blocks, as `[blocks, numbers]`.
    fn decode(&self, words: Tensor<B, 1, Int>, scale: Mat<B>, least: Option<Mat<B>>) -> Mat<B> {
        let per_word = 32 / self.bits;
        let (count, blocks) = (words.dims()[0], scale.dims()[0]);
        let mask = (1 << self.bits) - 1;
        let parts: Vec<Tensor<B, 2, Int>> = (0..per_word)
            .map(|i| {
                let shifted = words.clone().bitwise_right_shift_scalar(elem::<B>((i * self.bits) as i32));
                shifted.bitwise_and_scalar(elem::<B>(mask)).reshape([count, 1])
            })
            .collect();
        let codes = Tensor::cat(parts, 1).reshape([count * per_word]).slice(0..blocks * self.block);
        let values = match &self.table {
            Some(table) => table.clone().select(0, codes),
            None => codes.float().sub_scalar(self.zero),
        };
        let values = values.reshape([blocks, self.block]) * scale;
        match least {
            Some(least) => values + least,
            None => values,
        }
    }
}

impl<B: Backend> TensorBlocks<B> {
    /// Brings a frozen matrix to a device.
    pub(super) fn put(blocks: &Blocks, device: &B::Device) -> Self {
        let [rows, cols] = blocks.dims();
        let parts = match blocks.form() {
            Form::FourBit(codes) => of_four_bit(codes, rows * cols),
            Form::Int8(codes) => of_int8(codes, cols),
            Form::File { format: BlockFormat::Q4_0, bytes } => of_file(bytes, 18, 2, 4, 8.0),
            Form::File { format: BlockFormat::Q4_1, bytes } => of_file(bytes, 20, 4, 4, 0.0),
            Form::File { format: BlockFormat::Q8_0, bytes } => of_file(bytes, 34, 2, 8, 128.0),
            Form::File { .. } => {
                // Half precision, and formats that are rare: bf16 holds F16 well enough only for small numbers,
                // so F16 stays F16.
                let kind = match blocks.form() {
                    Form::File { format: BlockFormat::F16, .. } => DType::F16,
                    Form::File { format: BlockFormat::BF16, .. } => DType::BF16,
                    _ => DType::F32,
                };
                let data = TensorData::new(blocks.to_f32(), [rows, cols]).convert_dtype(kind);
                return Self { rows, cols, stored: Stored::Half(Tensor::from_data(data, (device, kind))) };
            }
        };
        Self { rows, cols, stored: Stored::Codes(parts.put(device)) }
    }

    /// Rows and columns.
    pub(super) fn dims(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// All of it as f32.
    pub(super) fn dense(&self) -> Mat<B> {
        match &self.stored {
            Stored::Half(values) => values.clone().cast(DType::F32),
            Stored::Codes(codes) => {
                let all = codes.decode(codes.words.clone(), codes.scale.clone(), codes.least.clone());
                let count = all.dims()[0] * all.dims()[1];
                all.reshape([count]).slice(0..self.rows * self.cols).reshape([self.rows, self.cols])
            }
        }
    }

    /// Some rows as f32.
    pub(super) fn gather(&self, ids: &[u32]) -> Mat<B> {
        let cols = self.cols;
        match &self.stored {
            Stored::Half(values) => values.clone().select(0, indices(ids, &values.device())).cast(DType::F32),
            Stored::Codes(codes)
                if cols.is_multiple_of(codes.block) && cols.is_multiple_of(32 / codes.bits) =>
            {
                let ids = indices::<B>(ids, &codes.scale.device());
                let count = ids.dims()[0];
                let words = codes.words.clone().reshape([self.rows, cols * codes.bits / 32]);
                let pick = |scales: &Mat<B>| {
                    let rows = scales.clone().reshape([self.rows, cols / codes.block]);
                    rows.select(0, ids.clone()).reshape([count * cols / codes.block, 1])
                };
                let words = words.select(0, ids.clone()).reshape([count * cols * codes.bits / 32]);
                codes.decode(words, pick(&codes.scale), codes.least.as_ref().map(pick)).reshape([count, cols])
            }
            Stored::Codes(codes) => self.dense().select(0, indices(ids, &codes.scale.device())),
        }
    }
}
