//! What the model will see of a row: the corpus' own formatting, as in training.

use std::path::Path;
use std::sync::Arc;

use contract::dataset::{FileKind, Preview};
use contract::problem::Problem;
use contract::reading::PreviewRow;
use corpus::{Encoder, ModelTokenizer, Template};

/// The tokens of one row.
///
/// # Errors
/// What reading, the tokenizer or the template finds broken.
pub(crate) fn of_row(asked: &PreviewRow) -> Result<Preview, Problem> {
    let (request, found) = (&asked.request, &asked.stored.found);
    let tokenizer = Arc::new(ModelTokenizer::load(Path::new(&asked.model))?);
    let encoder = Encoder {
        template: Template::resolve(&request.template, &tokenizer)?,
        tokenizer,
        stage: request.stage,
        behaviour: request.behaviour,
        control_tokens_in_text: request.control_tokens_in_text,
        max_source_length: request.max_source_length,
        max_target_length: request.max_target_length,
        system: Some(request.system.clone()).filter(|text| !text.is_empty()),
    };
    let row = corpus::inspect::row(Path::new(&asked.stored.file), found.kind, request.row)?;
    let of_row = match found.kind {
        FileKind::Txt => corpus::preview::preview_line,
        _ => corpus::preview::preview,
    };
    of_row(&encoder, &row, &found.mapping, request.row, found.rows)
}
