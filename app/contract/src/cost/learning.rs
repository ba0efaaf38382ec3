//! Which weights learn, counted from the shape of a block (S-107).

use crate::model::{ModelFacts, TensorShape};
use crate::params::Hyper;
use crate::targets;

/// Weights of one kind that learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learning {
    /// Their name within a block, for example `self_attn.q_proj`; else that of the part.
    pub name: String,
    /// Blocks they stand in; 0: they stand beside the blocks.
    pub blocks: u64,
    /// Numbers that learn, all blocks together.
    pub count: u64,
}

pub(super) fn beside(name: &str, count: u64) -> Learning {
    Learning { name: name.to_owned(), blocks: 0, count }
}

/// Name of a linear map within its block; `None` for vectors.
pub(super) fn linear(tensor: &TensorShape) -> Option<(&str, u64, u64)> {
    match tensor.shape[..] {
        [outer, inner] => Some((tensor.name.trim_end_matches(".weight"), outer, inner)),
        _ => None,
    }
}

/// A low-rank adapter: `r (in + out)` for each linear map, with DoRA one length for each output row.
pub(super) fn adapter(facts: &ModelFacts, block: &[TensorShape], hyper: &Hyper) -> Vec<Learning> {
    let wanted = |name: &str| hyper.lora_target.iter().any(|target| targets::means(target, name));
    let part = |(name, outer, inner): (&str, u64, u64)| {
        let lengths = if hyper.use_dora { outer } else { 0 };
        let count = facts.layers * (hyper.lora_rank as u64 * (outer + inner) + lengths);
        Learning { name: name.to_owned(), blocks: facts.layers, count }
    };
    let mut parts: Vec<_> =
        block.iter().filter_map(linear).filter(|(name, ..)| wanted(name)).map(part).collect();
    let table = facts.vocab_size * facts.hidden_size;
    parts.extend(hyper.modules_to_save.iter().map(|name| beside(name, table)));
    parts
}

/// Some blocks, or parts of them (S-038, S-039).
pub(super) fn frozen(facts: &ModelFacts, block: &[TensorShape], hyper: &Hyper) -> Vec<Learning> {
    let blocks = hyper.num_layer_trainable.unsigned_abs().min(facts.layers);
    let of = |module: &str| {
        let within = |tensor: &&TensorShape| targets::within(module, &tensor.name);
        let each: u64 = block.iter().filter(within).map(|tensor| tensor.shape.iter().product::<u64>()).sum();
        Learning { name: module.to_owned(), blocks, count: blocks * each }
    };
    match hyper.name_module_trainable.iter().find(|module| *module == targets::ALL) {
        Some(all) => vec![of(all)],
        None => hyper.name_module_trainable.iter().map(|module| of(module)).collect(),
    }
}
