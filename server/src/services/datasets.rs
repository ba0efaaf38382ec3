//! Datasets: lists, rows, column mapping, preview.

use std::path::PathBuf;

use app::ports::{Answer, DatasetsPort, Problems};
use contract::Code;
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::{
    DatasetVersion, DatasetView, FullRow, Mapping, Preview, PreviewRequest, RowEdit, RowsPage, RowsQuery,
};
use contract::reading::{Inspect, Sheet, Stored};
use contract::{DatasetId, Problem, label};

use super::{checkup, edit, preview, remove_folder, rows};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;
use crate::store::runs::RunRow;

/// The datasets port.
pub struct Datasets(pub AppState);

/// One dataset, or the problem that it is gone.
pub async fn find(state: &AppState, id: &DatasetId) -> Result<DatasetRow, Fault> {
    Ok(state.store.dataset(id).await?.ok_or_else(|| Problem::not_found("dataset"))?)
}

/// The file of a dataset, absolute.
pub fn file(state: &AppState, row: &DatasetRow) -> PathBuf {
    state.config.data_dir.join(&row.file)
}

/// The file of a dataset and what is known of it, for those who read.
pub fn stored(state: &AppState, row: &DatasetRow) -> Stored {
    Stored { file: file(state, row).to_string_lossy().into_owned(), found: row.view.inspection.clone() }
}

impl Datasets {
    /// Every dataset, newest first.
    pub async fn all(&self) -> Result<Vec<DatasetView>, Fault> {
        Ok(self.0.store.datasets().await?.into_iter().map(|row| row.view).collect())
    }

    async fn map_anew(&self, id: &DatasetId, mapping: Mapping) -> Result<DatasetView, Fault> {
        let row = find(&self.0, id).await?;
        let asked = Inspect {
            file: file(&self.0, &row).to_string_lossy().into_owned(),
            kind: row.view.inspection.kind,
            mapping: Some(mapping),
            sha1: None,
            encoding: None,
            sheet: Sheet::First,
            target: String::new(),
        };
        let found = self.0.readers.ask(Lane::of_bytes(row.view.bytes), asked).await?.inspection;
        self.0.store.set_inspection(id, &found).await?;
        Ok(DatasetView { inspection: found, ..row.view })
    }

    async fn call_it(&self, id: &DatasetId, name: &str) -> Result<(), Fault> {
        let name = label::required(name)?;
        if self.0.store.rename_dataset(id, &name).await? {
            return Ok(());
        }
        Err(Problem::not_found("dataset").into())
    }

    async fn remove(&self, id: &DatasetId) -> Result<(), Fault> {
        let family = find(&self.0, id).await?.family;
        let versions = self.0.store.family(&family).await?;
        let needs = |run: &RunRow| {
            let mut more = run.spec.more_datasets.iter();
            more.any(|dataset| versions.iter().any(|version| version.view.id == dataset.id))
        };
        let needed = self.0.store.runs().await?.iter().any(|run| !run.summary.state.is_ended() && needs(run));
        if needed || !self.0.store.delete_dataset(&family).await? {
            return Err(Problem::new(Code::DatasetInUse, "A run that waits or trains needs this dataset.")
                .hint("Stop the run first.")
                .into());
        }
        for version in versions {
            remove_folder(&self.0.config.folder("datasets").join(version.view.id.as_str()));
        }
        Ok(())
    }
}

impl DatasetsPort for Datasets {
    fn list(&self) -> Answer<'_, Vec<DatasetView>> {
        Box::pin(async move { Ok(self.all().await?) })
    }

    fn get(&self, id: DatasetId) -> Answer<'_, DatasetView> {
        Box::pin(async move { Ok(find(&self.0, &id).await.map_err(Problems::from)?.view) })
    }

    fn rows(&self, id: DatasetId, query: RowsQuery) -> Answer<'_, RowsPage> {
        Box::pin(async move { Ok(rows::page(&self.0, &id, query).await?) })
    }

    fn row(&self, id: DatasetId, row: u64) -> Answer<'_, FullRow> {
        Box::pin(async move { Ok(rows::whole(&self.0, &id, row).await?) })
    }

    fn edit(&self, id: DatasetId, edit: RowEdit) -> Answer<'_, DatasetView> {
        Box::pin(async move { Ok(edit::edit(&self.0, &id, edit).await?) })
    }

    fn versions(&self, id: DatasetId) -> Answer<'_, Vec<DatasetVersion>> {
        Box::pin(async move {
            let family = find(&self.0, &id).await.map_err(Problems::from)?.family;
            Ok(self.0.store.versions(&family).await?)
        })
    }

    fn remap(&self, id: DatasetId, mapping: Mapping) -> Answer<'_, DatasetView> {
        Box::pin(async move { Ok(self.map_anew(&id, mapping).await?) })
    }

    fn rename(&self, id: DatasetId, name: String) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.call_it(&id, &name).await?) })
    }

    fn delete(&self, id: DatasetId) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.remove(&id).await?) })
    }

    fn health(&self, request: CheckupRequest) -> Answer<'_, Checkup> {
        Box::pin(async move { Ok(checkup::ask(&self.0, request).await?) })
    }

    fn preview(&self, request: PreviewRequest) -> Answer<'_, Preview> {
        Box::pin(async move { Ok(preview::of_row(&self.0, request).await?) })
    }
}
