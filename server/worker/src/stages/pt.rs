//! Pre-training: plain text in blocks, every token counts (S-141).

use std::path::Path;

use contract::problem::Problem;
use contract::spec::RunSpec;
use corpus::conversation::text_of;
use corpus::encode::PtPacker;
use corpus::{Encoder, source};

use super::no_usable_rows;
use crate::data::TrainData;

/// Packs every text into blocks and splits the blocks.
///
/// # Errors
/// A broken file, naming the row; or no row with text.
pub fn data(spec: &RunSpec, encoder: &Encoder) -> Result<TrainData, Problem> {
    let mut packer = PtPacker::new(&encoder.tokenizer, encoder.max_source_length);
    let (mut dropped, mut first_reason) = (0, None);
    for (index, row) in source::open(Path::new(&spec.dataset.file), spec.dataset.kind)?.enumerate() {
        let number = index as u64 + 1;
        if spec.hyper.max_samples > 0 && number > spec.hyper.max_samples {
            break;
        }
        match text_of(&row?, &spec.dataset.mapping) {
            Ok(text) => packer.push(&text).map_err(|problem| problem.row(number))?,
            Err(reason) => {
                dropped += 1;
                first_reason.get_or_insert((number, reason));
            }
        }
    }
    let packed = packer.finish();
    if packed.blocks.is_empty() {
        return Err(no_usable_rows(first_reason));
    }
    Ok(TrainData { dropped_rows: dropped, ..TrainData::split(packed.blocks, &spec.hyper) })
}
