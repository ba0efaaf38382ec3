//! A weight as the kernels take it: dense, or frozen in blocks.

use super::{Kernels, Mat, product};

/// A weight `[rows, cols]`.
#[derive(Debug)]
pub enum Operand<'a, B: Kernels> {
    /// A matrix of f32.
    Dense(&'a Mat<B>),
    /// A frozen matrix in its stored form.
    Blocks(&'a B::Blocks),
}

impl<B: Kernels> Clone for Operand<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Kernels> Copy for Operand<'_, B> {}

impl<'a, B: Kernels> From<&'a Mat<B>> for Operand<'a, B> {
    fn from(weight: &'a Mat<B>) -> Self {
        Self::Dense(weight)
    }
}

impl<B: Kernels> Operand<'_, B> {
    /// Rows.
    pub fn rows(self) -> usize {
        match self {
            Self::Dense(w) => w.dims()[0],
            Self::Blocks(w) => B::blocks_dims(w)[0],
        }
    }

    /// `x W^T + bias`.
    pub fn affine(self, x: &Mat<B>, bias: Option<&Mat<B>>) -> Mat<B> {
        match self {
            Self::Dense(w) => B::affine(x, w, bias),
            Self::Blocks(w) => B::affine_blocks(x, w, bias),
        }
    }

    /// `dy W`: the gradient of x.
    pub fn product(self, dy: &Mat<B>) -> Mat<B> {
        match self {
            Self::Dense(w) => product(dy, w),
            Self::Blocks(w) => B::product_blocks(dy, w),
        }
    }

    /// Some rows.
    pub fn gather(self, ids: &[u32]) -> Mat<B> {
        match self {
            Self::Dense(w) => B::gather_rows(w, ids),
            Self::Blocks(w) => B::gather_blocks(w, ids),
        }
    }
}
