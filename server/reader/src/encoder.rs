//! How a model and a person's settings make tokens of rows.

use std::path::Path;
use std::sync::Arc;

use contract::dataset::PreviewRequest;
use contract::problem::Problem;
use corpus::{Encoder, ModelTokenizer, Template};

/// The encoder of a run on the model in this folder with the settings of a request; which row it asks for is no matter.
///
/// # Errors
/// When the tokenizer cannot be loaded, or the template is not known or does not compile.
pub(crate) fn of(model: &Path, request: &PreviewRequest) -> Result<Encoder, Problem> {
    let tokenizer = Arc::new(ModelTokenizer::load(model)?);
    Ok(Encoder {
        template: Template::resolve(&request.template, &tokenizer)?,
        tokenizer,
        stage: request.stage,
        behaviour: request.behaviour,
        control_tokens_in_text: request.control_tokens_in_text,
        max_source_length: request.max_source_length,
        max_target_length: request.max_target_length,
        system: Some(request.system.clone()).filter(|system| !system.is_empty()),
    })
}
