//! Datasets.

use contract::dataset::{Change, DatasetVersion, DatasetView, Inspection};
use contract::listed::{Listed, readable};
use contract::origin::SourceFile;
use contract::registry::Finding;
use contract::{Code, DatasetId, Problem};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, Transaction, signed, unsigned};
use crate::error::Fault;

/// A dataset with the place of its file.
#[derive(Clone, Debug)]
pub struct DatasetRow {
    /// What people see.
    pub view: DatasetView,
    /// The file, relative to the data directory.
    pub file: String,
    /// The first version's id, shared by every version.
    pub family: DatasetId,
    /// What made this version out of the one before.
    pub change: Option<Change>,
    /// The files it was made of as they came, in order; none where that was not noted.
    pub files: Vec<SourceFile>,
}

/// Every column, and whether no newer version exists.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT *, NOT EXISTS (SELECT 1 FROM dataset n WHERE n.family = dataset.family
                AND n.version > dataset.version) AS newest FROM dataset ",
            $rest
        )
    };
}

fn read(row: &SqliteRow) -> Result<DatasetRow, Fault> {
    let files: Vec<SourceFile> = serde_json::from_str(row.try_get("files")?)?;
    let view = DatasetView {
        id: DatasetId(row.try_get("id")?),
        name: row.try_get("name")?,
        file_name: row.try_get("file_name")?,
        bytes: unsigned(row, "bytes")?,
        sha256: row.try_get("sha256")?,
        created_ms: row.try_get("created_ms")?,
        inspection: serde_json::from_str(row.try_get("inspection")?)?,
        version: row.try_get("version")?,
        newest: row.try_get("newest")?,
        findings: serde_json::from_str(row.try_get("findings")?)?,
        files: files.len().max(1) as u64,
    };
    let change: Option<String> = row.try_get("change")?;
    Ok(DatasetRow {
        view,
        file: row.try_get("file")?,
        family: DatasetId(row.try_get("family")?),
        change: change.map(|text| serde_json::from_str(&text)).transpose()?,
        files,
    })
}

/// The problem of a row that cannot be read.
fn broken(why: String) -> Problem {
    Problem::new(Code::DatasetRecordBroken, format!("The record of this dataset cannot be read: {why}."))
        .with("why", &why)
        .hint("Start the version of Burnish that wrote it, or delete the dataset.")
}

/// A row as an entry of a list.
fn listed(row: &SqliteRow) -> Result<Listed<DatasetRow>, Fault> {
    super::listed(row, read(row), broken)
}

impl Store {
    /// The newest version of every dataset, newest first, also those that cannot be read.
    pub async fn list_datasets(&self) -> Result<Vec<Listed<DatasetRow>>, Fault> {
        let query = sqlx::query(select!("WHERE newest AND deleted_ms IS NULL ORDER BY id DESC"));
        query.fetch_all(&self.read).await?.iter().map(listed).collect()
    }

    /// The newest version of every dataset that can be read, newest first.
    pub async fn datasets(&self) -> Result<Vec<DatasetRow>, Fault> {
        Ok(readable(self.list_datasets().await?))
    }

    /// Every version of a dataset as people see them, newest first; those that cannot be read are left out.
    pub async fn versions(&self, family: &DatasetId) -> Result<Vec<DatasetVersion>, Fault> {
        let query = sqlx::query(
            "SELECT *, 0 AS newest, (SELECT count(*) FROM run_input JOIN run ON run.id = run_id AND run.deleted_ms IS NULL
                WHERE ref = dataset.id AND kind = 'dataset') AS runs
             FROM dataset WHERE family = ? AND deleted_ms IS NULL ORDER BY version DESC",
        );
        let rows = query.bind(family.as_str()).fetch_all(&self.read).await?;
        let mut versions = Vec::new();
        for stored in &rows {
            let Listed::Read(row) = listed(stored)? else { continue };
            versions.push(DatasetVersion {
                id: row.view.id,
                version: row.view.version,
                created_ms: row.view.created_ms,
                rows: row.view.inspection.rows,
                change: row.change,
                runs: unsigned(stored, "runs")?,
            });
        }
        Ok(versions)
    }

    /// One dataset.
    ///
    /// # Errors
    /// `dataset.record_broken`.
    pub async fn dataset(&self, id: &DatasetId) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE id = ? AND deleted_ms IS NULL")).bind(id.as_str());
        match query.fetch_optional(&self.read).await?.as_ref().map(listed).transpose()? {
            Some(Listed::Read(row)) => Ok(Some(row)),
            Some(Listed::Unreadable(odd)) => Err(odd.unreadable.into()),
            None => Ok(None),
        }
    }

    /// The oldest dataset with this file digest that can be read.
    pub async fn dataset_by_sha256(&self, sha256: &str) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE sha256 = ? AND deleted_ms IS NULL ORDER BY id")).bind(sha256);
        let rows: Result<Vec<_>, _> = query.fetch_all(&self.read).await?.iter().map(listed).collect();
        Ok(readable(rows?).into_iter().next())
    }

    /// Adds a dataset; false where it would be the next version of one that was deleted meanwhile (F25).
    pub async fn add_dataset(&self, tx: &mut Transaction, row: &DatasetRow) -> Result<bool, Fault> {
        let view = &row.view;
        let before = sqlx::query_scalar(
            "SELECT count(*) FROM dataset WHERE family = ? AND version = ? AND deleted_ms IS NULL",
        );
        let before: i64 = before
            .bind(row.family.as_str())
            .bind(view.version.saturating_sub(1))
            .fetch_one(&mut **tx)
            .await?;
        if view.version > 1 && before == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO dataset (id, name, file_name, file, bytes, sha256, created_ms, inspection, family, version, change, findings, files)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(view.id.as_str())
        .bind(&view.name)
        .bind(&view.file_name)
        .bind(&row.file)
        .bind(signed(view.bytes))
        .bind(&view.sha256)
        .bind(view.created_ms)
        .bind(serde_json::to_string(&view.inspection)?)
        .bind(row.family.as_str())
        .bind(view.version)
        .bind(row.change.as_ref().map(serde_json::to_string).transpose()?)
        .bind(serde_json::to_string(&view.findings)?)
        .bind(serde_json::to_string(&row.files)?)
        .execute(&mut **tx)
        .await?;
        Ok(true)
    }

    /// Keeps a new inspection.
    pub async fn set_inspection(&self, id: &DatasetId, found: &Inspection) -> Result<(), Fault> {
        let query = sqlx::query("UPDATE dataset SET inspection = ? WHERE id = ?");
        query.bind(serde_json::to_string(found)?).bind(id.as_str()).execute(&self.write).await?;
        Ok(())
    }

    /// Keeps what is worth knowing.
    pub async fn set_findings(&self, id: &DatasetId, findings: &[Finding]) -> Result<(), Fault> {
        let query = sqlx::query("UPDATE dataset SET findings = ? WHERE id = ?");
        query.bind(serde_json::to_string(findings)?).bind(id.as_str()).execute(&self.write).await?;
        Ok(())
    }

    /// Changes the label of every version; false when there is no such dataset.
    pub async fn rename_dataset(&self, id: &DatasetId, name: &str) -> Result<bool, Fault> {
        let query = sqlx::query(
            "UPDATE dataset SET name = ? WHERE family = (SELECT family FROM dataset WHERE id = ?)",
        );
        Ok(query.bind(name).bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }
}
