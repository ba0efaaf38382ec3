//! Datasets.

use contract::DatasetId;
use contract::dataset::{Change, DatasetVersion, DatasetView, Inspection};
use contract::origin::SourceFile;
use contract::registry::Finding;
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
        bytes: unsigned(row.try_get("bytes")?),
        sha256: row.try_get("sha256")?,
        created_ms: row.try_get("created_ms")?,
        inspection: serde_json::from_str(row.try_get("inspection")?)?,
        version: u32::try_from(row.try_get::<i64, _>("version")?).unwrap_or(1),
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

impl Store {
    /// The newest version of every dataset, newest first.
    pub async fn datasets(&self) -> Result<Vec<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE newest ORDER BY id DESC"));
        query.fetch_all(&self.read).await?.iter().map(read).collect()
    }

    /// Every version of a dataset, newest first.
    pub async fn family(&self, family: &DatasetId) -> Result<Vec<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE family = ? ORDER BY version DESC")).bind(family.as_str());
        query.fetch_all(&self.read).await?.iter().map(read).collect()
    }

    /// Every version of a dataset as people see them, newest first.
    pub async fn versions(&self, family: &DatasetId) -> Result<Vec<DatasetVersion>, Fault> {
        let mut versions = Vec::new();
        for row in self.family(family).await? {
            let query = sqlx::query_scalar("SELECT count(*) FROM run WHERE dataset_id = ?");
            let runs: i64 = query.bind(row.view.id.as_str()).fetch_one(&self.read).await?;
            versions.push(DatasetVersion {
                id: row.view.id,
                version: row.view.version,
                created_ms: row.view.created_ms,
                rows: row.view.inspection.rows,
                change: row.change,
                runs: unsigned(runs),
            });
        }
        Ok(versions)
    }

    /// One dataset.
    pub async fn dataset(&self, id: &DatasetId) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE id = ?")).bind(id.as_str());
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// The oldest dataset with this file digest.
    pub async fn dataset_by_sha256(&self, sha256: &str) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query(select!("WHERE sha256 = ? ORDER BY id LIMIT 1")).bind(sha256);
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// Adds a dataset.
    pub async fn add_dataset(&self, tx: &mut Transaction, row: &DatasetRow) -> Result<(), Fault> {
        let view = &row.view;
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
        Ok(())
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

    /// Deletes every version unless a run that is queued or live needs one; false when one does.
    pub async fn delete_dataset(&self, family: &DatasetId) -> Result<bool, Fault> {
        let query = sqlx::query(
            "DELETE FROM dataset WHERE family = $1 AND NOT EXISTS (
                SELECT 1 FROM run WHERE dataset_id IN (SELECT id FROM dataset WHERE family = $1)
                AND state IN ('queued', 'preparing', 'running', 'stopping'))",
        );
        Ok(query.bind(family.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }
}
