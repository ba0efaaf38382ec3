//! Rows of rm and dpo: pairs, in batches with the chosen rows first (S-155).

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{EncodedPair, Encoder, Pair};
use model::train::Batch;

use super::rows;
use crate::data::TrainData;
use crate::learner;

/// Encodes every pair and splits them.
pub(super) fn data(spec: &RunSpec, encoder: &Encoder) -> Result<TrainData<EncodedPair>, Problem> {
    let data = rows::read(spec, |row| match Pair::from_row(row, &spec.dataset.mapping) {
        Ok(pair) => Ok(Ok(encoder.encode_pair(&pair)?)),
        Err(reason) => Ok(Err(reason)),
    })?;
    Ok(TrainData { pad_id: encoder.tokenizer.pad_id(), ..data })
}

/// A batch of n pairs: n chosen rows, then n rejected ones.
pub(super) fn batch<'a>(pairs: impl Iterator<Item = &'a EncodedPair> + Clone, pad_id: u32) -> Batch {
    let chosen = pairs.clone().map(|pair| pair.chosen.clone());
    let rows: Vec<_> = chosen.chain(pairs.map(|pair| pair.rejected.clone())).collect();
    learner::batch(&rows, pad_id)
}

/// The micro-batches of a step.
pub(super) fn micro(data: &TrainData<EncodedPair>, micro: &[Vec<u32>]) -> Vec<Batch> {
    let pair = |row: &u32| &data.train[*row as usize];
    micro.iter().map(|rows| batch(rows.iter().map(pair), data.pad_id)).collect()
}
