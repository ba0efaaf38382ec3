//! What the model will see of a row.

use contract::Code;
use contract::dataset::{Preview, PreviewRequest};
use contract::reading::PreviewRow;

use super::{datasets, models};
use crate::error::Fault;
use crate::readers::Lane;
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
    let folder = state.model_folder(&request.model).to_string_lossy().into_owned();
    let asked = PreviewRow { stored: datasets::stored(state, &row), model: folder, request };
    Ok(state.readers.ask(Lane::Quick, asked).await?)
}
