//! A base and the checkpoints on top of it, loaded in the same way for training and for answers (S-124).

use std::path::Path;

use contract::problem::Problem;
use model::CausalLm;
use model::arch::LoadOptions;
use model::kernels::Kernels;
use rundir::chain::is_whole;

use crate::problems::of_model;

/// The whole model that stands first in a chain, in place of the base.
pub fn whole_first<'a>(chain: &[&'a Path]) -> Option<&'a Path> {
    chain.first().copied().filter(|first| is_whole(first))
}

/// Loads the base, or the whole model that stands first in the chain, and merges the first `merged` links into it.
/// Gives the model and whether an adapter after those is left on it, to be trained further.
///
/// # Errors
/// Whatever is wrong with a folder.
pub fn load<B: Kernels>(
    base: &Path,
    chain: &[&Path],
    merged: usize,
    options: LoadOptions,
    device: &B::Device,
) -> Result<(CausalLm<B>, bool), Problem> {
    let whole = whole_first(chain);
    let mut model = CausalLm::<B>::open_with(whole.unwrap_or(base), device, options).map_err(of_model)?;
    let mut continues = false;
    for (at, link) in chain.iter().enumerate().skip(usize::from(whole.is_some())) {
        model.load_adapter(link).map_err(of_model)?;
        if at < merged {
            model.merge_adapter();
        } else {
            continues = true;
        }
    }
    Ok((model, continues))
}
