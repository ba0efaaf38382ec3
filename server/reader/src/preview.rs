//! What the model will see of a row: the corpus' own formatting, as in training.

use std::path::{Path, PathBuf};

use contract::dataset::{FileKind, Mixing, Preview};
use contract::problem::Problem;
use contract::reading::PreviewRow;
use contract::stage::Stage;
use corpus::block::{Wanted, block};
use corpus::job::Job;
use corpus::mix::Part;
use corpus::source::folder::Files;

use crate::encoder;

/// The tokens of one row; in pre-training, where that is asked for, those of the block that the row begins in, or of the
/// one with this number (S-147).
///
/// # Errors
/// What reading, the tokenizer or the template finds broken.
pub(crate) fn of_row(asked: &PreviewRow) -> Result<Preview, Problem> {
    let (request, found, file) = (&asked.request, &asked.stored.found, Path::new(&asked.stored.file));
    let encoder = encoder::of(Path::new(&asked.model), request)?;
    // A line of a text file is part of a text and has no tokens of its own.
    let own = !request.in_block && found.kind != FileKind::Txt;
    if request.stage != Stage::Pt || own {
        let row = corpus::inspect::row(file, found.kind, request.row)?;
        return corpus::preview::preview(&encoder, &row, &found.mapping, request.row, found.rows);
    }
    let part = Part {
        name: String::new(),
        files: Files::of_texts(PathBuf::from(file), found.kind, asked.stored.texts.clone()),
        mapping: found.mapping.clone(),
        prefix: None,
        weight: 1.0,
    };
    let (mixing, total) = (Mixing::Concatenate, found.rows);
    let job = Job { encoder, parts: vec![part], mixing, max_samples: 0, seed: 0, total };
    let wanted = request.block.map_or(Wanted::OfRow(request.row), Wanted::Number);
    block(&job, wanted, found.rows)
}
