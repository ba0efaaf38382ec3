//! A weight of a linear map or a table: dense and perhaps trained, or frozen in blocks.

use super::Param;
use crate::kernels::{Kernels, Mat, Operand};

/// A frozen matrix in its stored form. Never trained (S-056).
#[derive(Clone, Debug)]
pub struct Frozen<B: Kernels> {
    /// Name as transformers spells it.
    pub name: String,
    /// `[rows, cols]`.
    pub shape: Vec<usize>,
    /// Values in blocks.
    pub blocks: B::Blocks,
}

/// A weight `[rows, cols]`.
#[derive(Clone, Debug)]
pub enum Weight<B: Kernels> {
    /// f32, can be trained.
    Dense(Param<B>),
    /// In blocks.
    Frozen(Frozen<B>),
}

impl<B: Kernels> Weight<B> {
    /// Name as transformers spells it.
    pub fn name(&self) -> &str {
        match self {
            Self::Dense(param) => &param.name,
            Self::Frozen(frozen) => &frozen.name,
        }
    }

    /// `[rows, cols]`.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Dense(param) => &param.shape,
            Self::Frozen(frozen) => &frozen.shape,
        }
    }

    /// As the kernels take it.
    pub fn operand(&self) -> Operand<'_, B> {
        match self {
            Self::Dense(param) => Operand::Dense(&param.value),
            Self::Frozen(frozen) => Operand::Blocks(&frozen.blocks),
        }
    }

    /// The tensor, where it is dense.
    pub fn param(&self) -> Option<&Param<B>> {
        match self {
            Self::Dense(param) => Some(param),
            Self::Frozen(_) => None,
        }
    }

    /// The tensor, where it is dense.
    pub fn param_mut(&mut self) -> Option<&mut Param<B>> {
        match self {
            Self::Dense(param) => Some(param),
            Self::Frozen(_) => None,
        }
    }

    /// Whether training changes it.
    pub fn trainable(&self) -> bool {
        self.param().is_some_and(|param| param.trainable)
    }

    /// All values as f32; frozen ones are turned into f32 anew by every call.
    pub fn dense(&self, device: &B::Device) -> Mat<B> {
        match self {
            Self::Dense(param) => param.value.clone(),
            Self::Frozen(frozen) => B::blocks_to_dense(&frozen.blocks, device),
        }
    }

    /// Takes other values; a frozen weight becomes a dense one.
    pub(crate) fn replace(&mut self, value: Mat<B>) {
        match self {
            Self::Dense(param) => param.value = value,
            Self::Frozen(Frozen { name, shape, .. }) => {
                let (name, shape) = (std::mem::take(name), std::mem::take(shape));
                *self = Self::Dense(Param { name, shape, value, trainable: false });
            }
        }
    }

    /// The same weight under another name.
    #[must_use]
    pub(crate) fn renamed(mut self, name: &str) -> Self {
        match &mut self {
            Self::Dense(param) => name.clone_into(&mut param.name),
            Self::Frozen(frozen) => name.clone_into(&mut frozen.name),
        }
        self
    }
}

impl<'a, B: Kernels> From<&'a Weight<B>> for Operand<'a, B> {
    fn from(weight: &'a Weight<B>) -> Self {
        weight.operand()
    }
}
