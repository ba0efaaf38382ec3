//! How fast this machine computes, before a model is there.

use burn::tensor::{Tensor, TensorData};

use crate::Cpu;
use crate::kernels::{Mat, Operand};
use crate::weights::Blocks;
use crate::weights::gguf::BlockFormat;

/// Columns of the matrix tried.
const COLS: usize = 4096;
/// Its rows: together more than the caches of a laptop's core hold, as a model's matrices do.
const ROWS: usize = 4096;
/// Bytes of a row in blocks of Q4_0.
const ROW_BYTES: usize = COLS / 32 * 18;
/// Seconds it may take.
const PATIENCE: f64 = 0.5;

fn mat(value: f32, rows: usize) -> Mat<Cpu> {
    Tensor::from_data(TensorData::new(vec![value; rows * COLS], [rows, COLS]), &Default::default())
}

/// Weights multiplied with one row of numbers in a second, in 4-bit blocks or as f32; `clock` gives seconds. Divided by
/// the number of weights of a model it foretells tokens a second.
pub fn weights_per_second(blocks: bool, clock: fn() -> f64) -> f64 {
    let kept = Blocks::from_file(BlockFormat::Q4_0, ROWS, COLS, vec![0; ROWS * ROW_BYTES]).filter(|_| blocks);
    let dense = if kept.is_none() { mat(0.0, ROWS / 4) } else { mat(0.0, 1) };
    let weight = kept.as_ref().map_or(Operand::<Cpu>::Dense(&dense), Operand::Blocks);
    let x = mat(1.0, 1);
    let (begun, mut done) = (clock(), 0);
    loop {
        drop(weight.affine(&x, None));
        done += weight.rows() * COLS;
        let seconds = clock() - begun;
        if seconds > PATIENCE {
            return done as f64 / seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn as_many_weights_as_were_multiplied_are_counted() {
        // A product takes a quarter of a second by this clock.
        fn clock() -> f64 {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            CALLS.fetch_add(1, Ordering::Relaxed) as f64 / 4.0
        }
        let each = (ROWS * COLS) as f64;
        assert_eq!(weights_per_second(true, clock), 4.0 * each);
        assert_eq!(weights_per_second(false, clock), each);
    }
}
