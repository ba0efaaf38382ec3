//! What was deleted waits in its table, passed over by every list, until it is brought back or its time is over.

use contract::trash::{Deleted, Kind, Usage};
use contract::{DatasetId, ModelId, RunId};
use sqlx::Row;

use super::inputs::Users;
use super::{Store, Transaction};
use crate::error::Fault;

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// There is no such thing (any more).
    Gone,
    /// A worker may still write to it.
    Training,
    /// Others use it.
    Used(Usage),
}

impl Store {
    /// Deletes a run whose worker is gone and on whose checkpoints no other stands.
    pub async fn discard_run(&self, id: &RunId, now: i64) -> Result<Outcome, Fault> {
        let mut tx = self.begin().await?;
        let query = sqlx::query_scalar(
            "SELECT state IN ('preparing', 'running', 'stopping') OR EXISTS (
                SELECT 1 FROM attempt WHERE run_id = run.id AND ended_ms IS NULL)
             FROM run WHERE id = ? AND deleted_ms IS NULL",
        );
        match query.bind(id.as_str()).fetch_optional(&mut *tx).await? {
            None => return Ok(Outcome::Gone),
            Some(true) => return Ok(Outcome::Training),
            Some(false) => {}
        }
        let usage = self.used_in(&mut tx, Kind::Run, id.as_str(), Users::Here).await?;
        if usage.runs > 0 {
            return Ok(Outcome::Used(usage));
        }
        let query = sqlx::query(
            "UPDATE run SET deleted_ms = ?, state = CASE state WHEN 'queued' THEN 'stopped' ELSE state END WHERE id = ?",
        );
        query.bind(now).bind(id.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Outcome::Done)
    }

    /// Deletes every version of a dataset that no run needs which waits or trains.
    pub async fn discard_dataset(&self, id: &DatasetId, now: i64) -> Result<Outcome, Fault> {
        let mut tx = self.begin().await?;
        let query = sqlx::query_scalar("SELECT family FROM dataset WHERE id = ? AND deleted_ms IS NULL");
        let Some(family) = query.bind(id.as_str()).fetch_optional(&mut *tx).await? else {
            return Ok(Outcome::Gone);
        };
        let family: String = family;
        let usage = self.used_in(&mut tx, Kind::Dataset, &family, Users::Live).await?;
        if usage.runs > 0 {
            return Ok(Outcome::Used(usage));
        }
        let query = sqlx::query("UPDATE dataset SET deleted_ms = ? WHERE family = ?");
        query.bind(now).bind(family).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Outcome::Done)
    }

    /// Deletes a model that no run needs which waits or trains.
    pub async fn discard_model(&self, id: &ModelId, now: i64) -> Result<Outcome, Fault> {
        let mut tx = self.begin().await?;
        let usage = self.used_in(&mut tx, Kind::Model, id.as_str(), Users::Live).await?;
        if usage.runs > 0 {
            return Ok(Outcome::Used(usage));
        }
        let query = sqlx::query("UPDATE model SET deleted_ms = ? WHERE id = ? AND deleted_ms IS NULL");
        let done = query.bind(now).bind(id.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(if done.rows_affected() > 0 { Outcome::Done } else { Outcome::Gone })
    }

    /// Everything that was deleted and can be brought back, newest deletion first; sizes are not known here.
    pub async fn deleted(&self) -> Result<Vec<Deleted>, Fault> {
        let query = sqlx::query(
            "SELECT 'run' AS kind, id, name, deleted_ms FROM run WHERE deleted_ms IS NOT NULL
             UNION ALL SELECT 'dataset', family, name, max(deleted_ms) FROM dataset
                WHERE deleted_ms IS NOT NULL GROUP BY family
             UNION ALL SELECT 'model', id, name, deleted_ms FROM model WHERE deleted_ms IS NOT NULL
             ORDER BY 4 DESC, 2 DESC",
        );
        let rows = query.fetch_all(&self.read).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let kind = match row.try_get("kind")? {
                "run" => Kind::Run,
                "dataset" => Kind::Dataset,
                _ => Kind::Model,
            };
            Ok(Deleted {
                kind,
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                deleted_ms: row.try_get("deleted_ms")?,
                bytes: 0,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Brings something back; a run comes with those whose checkpoints it stands on. False when it is not among what was
    /// deleted (any more).
    pub async fn restore(&self, kind: Kind, id: &str) -> Result<bool, Fault> {
        let statement = match kind {
            Kind::Run => {
                "UPDATE run SET deleted_ms = NULL WHERE deleted_ms IS NOT NULL AND (id = ?1 OR id IN (
                    SELECT ref FROM run_input WHERE run_id = ?1 AND kind IN ('adapter', 'reward_model')))"
            }
            Kind::Dataset => {
                "UPDATE dataset SET deleted_ms = NULL WHERE deleted_ms IS NOT NULL AND family = ?1"
            }
            Kind::Model => "UPDATE model SET deleted_ms = NULL WHERE deleted_ms IS NOT NULL AND id = ?1",
        };
        Ok(sqlx::query(statement).bind(id).execute(&self.write).await?.rows_affected() > 0)
    }

    /// Deletes for good what was deleted: its row goes, the caller removes what lies on the disk. Refused while a run
    /// that is there, or can be brought back, stands on its checkpoints.
    pub async fn purge(&self, kind: Kind, id: &str) -> Result<Outcome, Fault> {
        let mut tx = self.begin().await?;
        if kind == Kind::Run {
            let usage = self.used_in(&mut tx, kind, id, Users::All).await?;
            if usage.runs > 0 {
                return Ok(Outcome::Used(usage));
            }
        }
        let done = remove(&mut tx, kind, id).await?;
        tx.commit().await?;
        Ok(if done { Outcome::Done } else { Outcome::Gone })
    }

    /// Ids of the versions of a dataset, also of one that was deleted.
    pub async fn version_ids(&self, family: &str) -> Result<Vec<String>, Fault> {
        let query = sqlx::query_scalar("SELECT id FROM dataset WHERE family = ?").bind(family);
        Ok(query.fetch_all(&self.read).await?)
    }
}

async fn remove(tx: &mut Transaction, kind: Kind, id: &str) -> Result<bool, Fault> {
    let statement = match kind {
        Kind::Run => "DELETE FROM run WHERE id = ? AND deleted_ms IS NOT NULL",
        Kind::Dataset => "DELETE FROM dataset WHERE family = ? AND deleted_ms IS NOT NULL",
        Kind::Model => "DELETE FROM model WHERE id = ? AND deleted_ms IS NOT NULL",
    };
    Ok(sqlx::query(statement).bind(id).execute(&mut **tx).await?.rows_affected() > 0)
}
