//! Datasets.

use contract::DatasetId;
use contract::dataset::{DatasetView, Inspection};
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
}

fn read(row: &SqliteRow) -> Result<DatasetRow, Fault> {
    let view = DatasetView {
        id: DatasetId(row.try_get("id")?),
        name: row.try_get("name")?,
        file_name: row.try_get("file_name")?,
        bytes: unsigned(row.try_get("bytes")?),
        sha256: row.try_get("sha256")?,
        created_ms: row.try_get("created_ms")?,
        inspection: serde_json::from_str(row.try_get("inspection")?)?,
    };
    Ok(DatasetRow { view, file: row.try_get("file")? })
}

impl Store {
    /// Every dataset, newest first.
    pub async fn datasets(&self) -> Result<Vec<DatasetRow>, Fault> {
        let rows = sqlx::query("SELECT * FROM dataset ORDER BY id DESC").fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// One dataset.
    pub async fn dataset(&self, id: &DatasetId) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query("SELECT * FROM dataset WHERE id = ?").bind(id.as_str());
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// The oldest dataset with this file digest.
    pub async fn dataset_by_sha256(&self, sha256: &str) -> Result<Option<DatasetRow>, Fault> {
        let query = sqlx::query("SELECT * FROM dataset WHERE sha256 = ? ORDER BY id LIMIT 1").bind(sha256);
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// Adds a dataset.
    pub async fn add_dataset(&self, tx: &mut Transaction, row: &DatasetRow) -> Result<(), Fault> {
        let view = &row.view;
        sqlx::query(
            "INSERT INTO dataset (id, name, file_name, file, bytes, sha256, created_ms, inspection)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(view.id.as_str())
        .bind(&view.name)
        .bind(&view.file_name)
        .bind(&row.file)
        .bind(signed(view.bytes))
        .bind(&view.sha256)
        .bind(view.created_ms)
        .bind(serde_json::to_string(&view.inspection)?)
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

    /// Changes the label; false when there is no such dataset.
    pub async fn rename_dataset(&self, id: &DatasetId, name: &str) -> Result<bool, Fault> {
        let query = sqlx::query("UPDATE dataset SET name = ? WHERE id = ?");
        Ok(query.bind(name).bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }

    /// Deletes the row unless a run that is queued or live needs it; false when one does.
    pub async fn delete_dataset(&self, id: &DatasetId) -> Result<bool, Fault> {
        let query = sqlx::query(
            "DELETE FROM dataset WHERE id = ? AND NOT EXISTS (
                SELECT 1 FROM run WHERE dataset_id = dataset.id
                AND state IN ('queued', 'preparing', 'running', 'stopping'))",
        );
        Ok(query.bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }
}
