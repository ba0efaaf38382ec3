//! Batches of rm and dpo: pairs, the chosen rows first (S-155).

use contract::problem::Problem;
use corpus::EncodedPair;
use model::train::Batch;

use crate::data::TrainData;
use crate::learner;

/// A batch of n pairs: n chosen rows, then n rejected ones.
pub(super) fn batch(pairs: Vec<EncodedPair>, pad_id: u32) -> Batch {
    let (chosen, rejected): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|pair| (pair.chosen, pair.rejected)).unzip();
    learner::batch(&[chosen, rejected].concat(), pad_id)
}

/// The micro-batches of a step.
pub(super) fn micro(data: &TrainData<EncodedPair>, micro: &[Vec<u32>]) -> Result<Vec<Batch>, Problem> {
    micro.iter().map(|rows| Ok(batch(data.rows(rows)?, data.pad_id))).collect()
}
