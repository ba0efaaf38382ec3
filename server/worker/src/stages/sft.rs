//! Supervised fine-tuning: only the answers count in the loss (S-142).

use std::path::Path;

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{Conversation, Encoder, source};

use super::no_usable_rows;
use crate::data::TrainData;

/// Encodes every row that can teach and splits them.
///
/// # Errors
/// A broken file or template, naming the row; or no row that can teach.
pub fn data(spec: &RunSpec, encoder: &Encoder) -> Result<TrainData, Problem> {
    let (mut rows, mut dropped, mut first_reason) = (Vec::new(), 0, None);
    for (index, row) in source::open(Path::new(&spec.dataset.file), spec.dataset.kind)?.enumerate() {
        let number = index as u64 + 1;
        if spec.hyper.max_samples > 0 && number > spec.hyper.max_samples {
            break;
        }
        match Conversation::from_row(&row?, &spec.dataset.mapping) {
            Ok(conversation) => {
                rows.push(encoder.encode_sft(&conversation).map_err(|problem| problem.row(number))?);
            }
            Err(reason) => {
                dropped += 1;
                first_reason.get_or_insert((number, reason));
            }
        }
    }
    if rows.is_empty() {
        return Err(no_usable_rows(first_reason));
    }
    Ok(TrainData { dropped_rows: dropped, ..TrainData::split(rows, &spec.hyper) })
}
