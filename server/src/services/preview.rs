//! What the model will see of a row: the corpus' own formatting, as in training.

use std::sync::Arc;

use contract::Code;
use contract::dataset::{FileKind, Preview, PreviewRequest};
use corpus::{Encoder, ModelTokenizer, Template};

use super::{datasets, models};
use crate::error::Fault;
use crate::state::AppState;

/// The tokens of one row.
pub async fn of_row(state: &AppState, request: PreviewRequest) -> Result<Preview, Fault> {
    let row = datasets::find(state, &request.dataset).await?;
    let model = models::find(state, &request.model).await?;
    if model.state != "ready" {
        let problem = contract::Problem::new(Code::ModelNotReady, format!("{} is not ready.", model.name))
            .with("name", &model.name);
        return Err(problem.field("model").into());
    }
    let (file, folder) = (datasets::file(state, &row), state.model_folder(&request.model));
    let found = row.view.inspection;
    let preview = tokio::task::spawn_blocking(move || {
        let tokenizer = Arc::new(ModelTokenizer::load(&folder)?);
        let encoder = Encoder {
            template: Template::resolve(&request.template, &tokenizer)?,
            tokenizer,
            stage: request.stage,
            behaviour: request.behaviour,
            control_tokens_in_text: request.control_tokens_in_text,
            max_source_length: request.max_source_length,
            max_target_length: request.max_target_length,
            system: Some(request.system).filter(|text| !text.is_empty()),
        };
        let row = corpus::inspect::row(&file, found.kind, request.row)?;
        let of_row = match found.kind {
            FileKind::Txt => corpus::preview::preview_line,
            _ => corpus::preview::preview,
        };
        of_row(&encoder, &row, &found.mapping, request.row, found.rows)
    });
    Ok(preview.await??)
}
