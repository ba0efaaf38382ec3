//! An edit of a row makes a new version of the dataset; nothing that a run has seen changes.

use contract::Code;
use contract::dataset::{Change, DatasetView, RowEdit};
use contract::origin::place_of;
use contract::reading::ChangeRow;
use contract::{DatasetId, Problem};

use super::incoming::Temporary;
use super::{datasets, uploads};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;

/// Makes the next version with one row changed or taken out.
pub async fn edit(state: &AppState, id: &DatasetId, edit: RowEdit) -> Result<DatasetView, Fault> {
    // one at a time: two edits of one version must not both become the next
    let Ok(_permit) = state.edits.acquire().await else { return Err(Problem::not_found("dataset").into()) };
    let before = datasets::find(state, id).await?;
    if !before.view.newest {
        return Err(Problem::new(Code::EditOldVersion, "This is not the newest version of the dataset.")
            .hint("Open the newest version and edit the row there.")
            .into());
    }
    let target = uploads::place(state);
    // removes the file whatever ends this early
    let mut made = Temporary::made(target.clone());
    let target = target.to_string_lossy().into_owned();
    let asked = ChangeRow { stored: datasets::stored(state, &before), target, edit };
    let changed = state.readers.ask(Lane::of_bytes(before.view.bytes), asked).await?;
    made.written(changed.written);
    let mut files = before.files.clone();
    if let Change::Removed { row } = changed.change
        && let Some((index, _)) = place_of(&files, row)
    {
        files[index].rows -= 1;
    }
    let lineage = uploads::Lineage {
        files,
        file_name: before.view.file_name.clone(),
        title: before.view.name.clone(),
        findings: Vec::new(),
        before: Some((before, changed.change)),
    };
    uploads::store(state, made, lineage, changed.inspection).await
}
