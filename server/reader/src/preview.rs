//! What the model will see of a row: the corpus' own formatting, as in training.

use std::path::Path;

use contract::dataset::{FileKind, Preview};
use contract::problem::Problem;
use contract::reading::PreviewRow;

use crate::encoder;

/// The tokens of one row.
///
/// # Errors
/// What reading, the tokenizer or the template finds broken.
pub(crate) fn of_row(asked: &PreviewRow) -> Result<Preview, Problem> {
    let (request, found) = (&asked.request, &asked.stored.found);
    let encoder = encoder::of(Path::new(&asked.model), request)?;
    let row = corpus::inspect::row(Path::new(&asked.stored.file), found.kind, request.row)?;
    let of_row = match found.kind {
        FileKind::Txt => corpus::preview::preview_line,
        _ => corpus::preview::preview,
    };
    of_row(&encoder, &row, &found.mapping, request.row, found.rows)
}
