//! Datasets: lists, rows, column mapping, preview.

use std::path::PathBuf;

use app::ports::{Answer, DatasetsPort, Problems};
use contract::dataset::{DatasetView, Mapping, Preview, PreviewRequest, RowsPage};
use contract::{DatasetId, Problem};

use super::{label, preview, remove_folder};
use crate::error::Fault;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;

/// Rows of a page at most.
const MOST_ROWS: u64 = 200;

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

impl Datasets {
    /// Every dataset, newest first.
    pub async fn all(&self) -> Result<Vec<DatasetView>, Fault> {
        Ok(self.0.store.datasets().await?.into_iter().map(|row| row.view).collect())
    }

    async fn page(&self, id: &DatasetId, start: u64, count: u64) -> Result<RowsPage, Fault> {
        let row = find(&self.0, id).await?;
        let path = file(&self.0, &row);
        let found = row.view.inspection;
        let (kind, mapping) = (found.kind, found.mapping);
        let count = usize::try_from(count.min(MOST_ROWS)).unwrap_or(0);
        let mut rows =
            tokio::task::spawn_blocking(move || corpus::inspect::rows(&path, kind, &mapping, start, count))
                .await??;
        for row in &mut rows {
            row.cells.resize(found.columns.len(), String::new());
        }
        Ok(RowsPage { columns: found.columns, rows, total: found.rows })
    }

    async fn map_anew(&self, id: &DatasetId, mapping: Mapping) -> Result<DatasetView, Fault> {
        let row = find(&self.0, id).await?;
        let path = file(&self.0, &row);
        let kind = row.view.inspection.kind;
        let found = tokio::task::spawn_blocking(move || corpus::inspect::inspect(&path, kind, Some(mapping)))
            .await??;
        self.0.store.set_inspection(id, &found).await?;
        Ok(DatasetView { inspection: found, ..row.view })
    }

    async fn call_it(&self, id: &DatasetId, name: &str) -> Result<(), Fault> {
        let name = label(name)?;
        if self.0.store.rename_dataset(id, &name).await? {
            return Ok(());
        }
        Err(Problem::not_found("dataset").into())
    }

    async fn remove(&self, id: &DatasetId) -> Result<(), Fault> {
        find(&self.0, id).await?;
        if !self.0.store.delete_dataset(id).await? {
            return Err(Problem::new("busy", "A run that waits or trains needs this dataset.")
                .hint("Stop the run first.")
                .into());
        }
        remove_folder(&self.0.config.folder("datasets").join(id.as_str()));
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

    fn rows(&self, id: DatasetId, start: u64, count: u64) -> Answer<'_, RowsPage> {
        Box::pin(async move { Ok(self.page(&id, start, count).await?) })
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

    fn preview(&self, request: PreviewRequest) -> Answer<'_, Preview> {
        Box::pin(async move { Ok(preview::of_row(&self.0, request).await?) })
    }
}
