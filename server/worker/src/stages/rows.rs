//! Reading a dataset row by row into what a stage trains on.

use std::path::Path;

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::{Row, source};

use super::no_usable_rows;
use crate::data::{TrainData, TrainRow};

/// Encodes every row that can teach. `encode` gives the row, or the reason why it is left out.
///
/// # Errors
/// A broken file or template, naming the row; or no row that can teach.
pub(super) fn read<T: TrainRow>(
    spec: &RunSpec,
    mut encode: impl FnMut(&Row) -> Result<Result<T, String>, Problem>,
) -> Result<TrainData<T>, Problem> {
    let (mut rows, mut dropped, mut first_reason) = (Vec::new(), 0, None);
    for (index, row) in source::open(Path::new(&spec.dataset.file), spec.dataset.kind)?.enumerate() {
        let number = index as u64 + 1;
        if spec.hyper.max_samples > 0 && number > spec.hyper.max_samples {
            break;
        }
        match encode(&row?).map_err(|problem| problem.row(number))? {
            Ok(row) => rows.push(row),
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
