//! Datasets: lists, rows, column mapping, preview.

use std::path::PathBuf;

use app::ports::{Answer, DatasetsPort, Problems};
use contract::Code;
use contract::checkup::{Checkup, CheckupRequest};
use contract::dataset::{
    DatasetVersion, DatasetView, FileKind, FullRow, Mapping, Preview, PreviewRequest, RowEdit, RowsPage,
    RowsQuery,
};
use contract::digest::Digest;
use contract::listed::Listed;
use contract::origin::{SourceFile, compared};
use contract::reading::{DigestFile, Inspect, Sheet, Stored};
use contract::registry::Finding;
use contract::{DatasetId, Problem, label};

use super::{checkup, edit, preview, rows, trash};
use crate::error::Fault;
use crate::readers::Lane;
use crate::state::AppState;
use crate::store::datasets::DatasetRow;
use crate::store::trash::Outcome;

/// Files of a dataset that are listed.
const MOST_LISTED: usize = 200;

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
    let (found, texts) = (row.view.inspection.clone(), texts(row));
    Stored { file: file(state, row).to_string_lossy().into_owned(), found, texts }
}

/// Rows of each text of a dataset of plain text; none where it is one text.
pub fn texts(row: &DatasetRow) -> Vec<u64> {
    let several = row.view.inspection.kind == FileKind::Txt && row.files.len() > 1;
    row.files.iter().filter(|_| several).map(|file| file.rows).collect()
}

impl Datasets {
    /// Every dataset, newest first.
    pub async fn all(&self) -> Result<Vec<Listed<DatasetView>>, Fault> {
        let rows = self.0.store.list_datasets().await?;
        Ok(rows.into_iter().map(|row| row.map(|row| row.view)).collect())
    }

    async fn map_anew(&self, id: &DatasetId, mapping: Mapping) -> Result<DatasetView, Fault> {
        let row = find(&self.0, id).await?;
        let asked = Inspect {
            file: file(&self.0, &row).to_string_lossy().into_owned(),
            name: String::new(),
            kind: row.view.inspection.kind,
            mapping: Some(mapping),
            open: false,
            digest: None,
            encoding: None,
            sheet: Sheet::First,
            target: String::new(),
        };
        let found = self.0.readers.ask(Lane::of_bytes(row.view.bytes), asked).await?.inspection;
        self.0.store.set_inspection(id, &found).await?;
        Ok(DatasetView { inspection: found, ..row.view })
    }

    /// Compares the file as it came with a digest that a person typed, and keeps what was found (S-070). Of several files
    /// none is meant, and one that was written anew without a note of its digest is not here any more (S-076).
    async fn compare(&self, id: &DatasetId, typed: &str) -> Result<DatasetView, Fault> {
        let wanted = Digest::parse(typed)?;
        let row = find(&self.0, id).await?;
        let anew = |finding: &Finding| matches!(finding, Finding::Converted { .. } | Finding::Sheet { .. });
        let finding = match row.files.as_slice() {
            [only] if row.view.version == 1 => compared(&wanted, &only.sha1, &only.sha256),
            [_, _, ..] => Finding::Sha1Unchecked { files: row.files.len() as u64 },
            _ if row.view.findings.iter().any(anew) => Finding::Sha1Unchecked { files: 1 },
            _ => {
                let asked = DigestFile { file: file(&self.0, &row).to_string_lossy().into_owned() };
                let found = self.0.readers.ask(Lane::of_bytes(row.view.bytes), asked).await?;
                compared(&wanted, &found.sha1, &found.sha256)
            }
        };
        let mut findings = row.view.findings.clone();
        findings.retain(|finding| !finding.is_of_digest());
        findings.insert(0, finding);
        self.0.store.set_findings(id, &findings).await?;
        Ok(DatasetView { findings, ..row.view })
    }

    async fn call_it(&self, id: &DatasetId, name: &str) -> Result<(), Fault> {
        let name = label::required(name)?;
        if self.0.store.rename_dataset(id, &name).await? {
            return Ok(());
        }
        Err(Problem::not_found("dataset").into())
    }

    /// Deletes every version: they can be brought back for a while.
    async fn remove(&self, id: &DatasetId) -> Result<(), Fault> {
        match self.0.store.discard_dataset(id, self.0.clock.now_ms()).await? {
            Outcome::Done => Ok(()),
            Outcome::Used(usage) => Err(trash::in_use(Code::DatasetInUse, &usage).into()),
            Outcome::Gone | Outcome::Training => Err(Problem::not_found("dataset").into()),
        }
    }
}

impl DatasetsPort for Datasets {
    fn list(&self) -> Answer<'_, Vec<Listed<DatasetView>>> {
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

    fn files(&self, id: DatasetId) -> Answer<'_, Vec<SourceFile>> {
        Box::pin(async move {
            let mut files = find(&self.0, &id).await.map_err(Problems::from)?.files;
            files.truncate(MOST_LISTED);
            Ok(files)
        })
    }

    fn compare(&self, id: DatasetId, digest: String) -> Answer<'_, DatasetView> {
        Box::pin(async move { Ok(self.compare(&id, &digest).await?) })
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
