//! How fast this machine computes, before a model is there.

use burn::tensor::{Tensor, TensorData};

use crate::Cpu;
use crate::kernels::{Mat, Operand};
use crate::weights::Blocks;
use crate::weights::gguf::BlockFormat;

/// Columns of the matrices tried.
const COLS: usize = 1024;
/// Their rows.
const ROWS: usize = 1024;
/// How many are tried in turn: together more than the caches of a laptop's core hold, as a model's matrices are.
const MATRICES: usize = 24;
/// Bytes of a row in blocks of Q4_1.
const ROW_BYTES: usize = COLS / 32 * 20;
/// Seconds it may take.
const PATIENCE: f64 = 0.5;
/// Share of a token's time that goes into products with weights; the rest into attention, norms and drawing. Measured
/// with the starter model in Chromium.
const PRODUCTS: f64 = 0.8;

fn mat(value: f32, rows: usize) -> Mat<Cpu> {
    Tensor::from_data(TensorData::new(vec![value; rows * COLS], [rows, COLS]), &Default::default())
}

/// Weights that a decoding model passes through in a second, in 4-bit blocks or as f32; `clock` gives seconds. Divided by
/// the number of weights of a model it foretells tokens a second.
pub fn weights_per_second(blocks: bool, clock: fn() -> f64) -> f64 {
    let kept = || Blocks::from_file(BlockFormat::Q4_1, ROWS, COLS, vec![0; ROWS * ROW_BYTES]);
    let (kept, dense): (Vec<Blocks>, Vec<Mat<Cpu>>) = match blocks {
        true => ((0..MATRICES).filter_map(|_| kept()).collect(), Vec::new()),
        false => (Vec::new(), (0..MATRICES / 4).map(|_| mat(0.0, ROWS)).collect()),
    };
    let weights = || kept.iter().map(Operand::<Cpu>::Blocks).chain(dense.iter().map(Operand::Dense));
    let x = mat(1.0, 1);
    let (begun, mut done) = (clock(), 0);
    loop {
        for weight in weights() {
            drop(weight.affine(&x, None));
            done += ROWS * COLS;
        }
        let seconds = clock() - begun;
        if seconds > PATIENCE {
            return PRODUCTS * done as f64 / seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn as_many_weights_as_were_multiplied_are_counted() {
        // A round takes a quarter of a second by this clock.
        fn clock() -> f64 {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            CALLS.fetch_add(1, Ordering::Relaxed) as f64 / 4.0
        }
        let each = (ROWS * COLS) as f64;
        assert_eq!(weights_per_second(true, clock).round(), (PRODUCTS * 4.0 * 24.0 * each).round());
        assert_eq!(weights_per_second(false, clock).round(), (PRODUCTS * 4.0 * 6.0 * each).round());
    }
}
