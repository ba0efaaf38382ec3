//! 8-bit codes with one scale per row.

use std::sync::Arc;

/// `value = code x absmax / 127`, row by row.
#[derive(Clone, Debug)]
pub struct Int8 {
    codes: Arc<[i8]>,
    absmax: Arc<[f32]>,
}

impl Int8 {
    /// Quantises rows of `cols` values: half to even of `x (127 / absmax)`.
    pub fn quantise(values: &[f32], cols: usize) -> Self {
        let rows = values.chunks_exact(cols.max(1));
        let absmax: Vec<f32> = rows.clone().map(|row| row.iter().fold(0f32, |a, b| a.max(b.abs()))).collect();
        let mut codes = Vec::with_capacity(values.len());
        for (row, absmax) in rows.zip(&absmax) {
            let scale = if *absmax > 0.0 { 127.0 / absmax } else { 0.0 };
            codes.extend(row.iter().map(|x| (x * scale).round_ties_even() as i8));
        }
        Self { codes: codes.into(), absmax: absmax.into() }
    }

    /// Codes, row by row.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// Largest magnitude of each row.
    pub fn absmax(&self) -> &[f32] {
        &self.absmax
    }

    pub(super) fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.absmax.len()
    }

    #[inline(always)]
    pub(super) fn read_rows(&self, first: usize, cols: usize, out: &mut [f32]) {
        let codes = self.codes[first * cols..].chunks_exact(cols);
        for ((out, codes), absmax) in out.chunks_exact_mut(cols).zip(codes).zip(&self.absmax[first..]) {
            let scale = absmax / 127.0;
            for (y, code) in out.iter_mut().zip(codes) {
                *y = f32::from(*code) * scale;
            }
        }
    }
}
