//! A run enters the queue, once: its checks and its row are one transaction (F25, R5).

use contract::{Code, Problem, RunId, RunState};

use super::inputs::Lacking;
use super::runs::RunRow;
use super::{Store, Transaction};
use crate::error::Fault;

/// A key by which a client may ask for the same launch again.
#[derive(Clone, Debug)]
pub struct LaunchKey {
    /// The key.
    pub key: String,
    /// SHA-256 of what is asked for.
    pub asked: String,
}

/// How long a key is known, milliseconds.
const KEY_MS: i64 = 7 * 24 * 3_600_000;

impl Store {
    /// The run that a key has launched.
    ///
    /// # Errors
    /// `run.key_reused` where something else was asked for then.
    pub async fn launched(&self, key: &LaunchKey) -> Result<Option<RunId>, Fault> {
        let query = sqlx::query_as("SELECT run_id, asked FROM launch_key WHERE key = ?").bind(&key.key);
        same(key, query.fetch_optional(&self.read).await?)
    }

    /// Adds a run in the state it says (queued, or over where an adapter was brought in), where everything it is made
    /// of is there; nothing is added where it is not, and what lacks is told. A key that has launched a run already
    /// gives that run.
    ///
    /// # Errors
    /// As [`Self::launched`].
    pub async fn launch(
        &self,
        row: &RunRow,
        key: Option<&LaunchKey>,
    ) -> Result<Result<RunId, Lacking>, Fault> {
        let mut tx = self.begin().await?;
        if let Some(key) = key {
            let query = sqlx::query_as("SELECT run_id, asked FROM launch_key WHERE key = ?").bind(&key.key);
            if let Some(run) = same(key, query.fetch_optional(&mut *tx).await?)? {
                return Ok(Ok(run));
            }
        }
        self.insert_run(&mut tx, row).await?;
        self.add_inputs(&mut tx, &row.spec).await?;
        let id = &row.summary.id;
        if let Some(lacking) = self.lacking(&mut tx, id).await? {
            return Ok(Err(lacking));
        }
        if let Some(key) = key {
            let now = row.summary.created_ms;
            sqlx::query("DELETE FROM launch_key WHERE created_ms < ?")
                .bind(now - KEY_MS)
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO launch_key (key, run_id, asked, created_ms) VALUES (?, ?, ?, ?)")
                .bind(&key.key)
                .bind(id.as_str())
                .bind(&key.asked)
                .bind(now)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Ok(id.clone()))
    }

    /// Queues a run that was stopped or failed again, where everything it is made of is there; false when it is not
    /// stopped or failed (any more).
    pub async fn requeue(&self, id: &RunId, now: i64) -> Result<Result<bool, Lacking>, Fault> {
        let mut tx = self.begin().await?;
        if let Some(lacking) = self.lacking(&mut tx, id).await? {
            return Ok(Err(lacking));
        }
        let moved = self.move_run_in(&mut tx, id, RunState::Queued, None, now).await?;
        tx.commit().await?;
        Ok(Ok(moved))
    }

    async fn insert_run(&self, tx: &mut Transaction, row: &RunRow) -> Result<(), Fault> {
        let summary = &row.summary;
        sqlx::query(
            "INSERT INTO run (id, name, state, stage, tuning, model_id, model_name, dataset_id, dataset_name,
                spec, suggestion, tour, created_ms, updated_ms, queued_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(summary.id.as_str())
        .bind(&summary.name)
        .bind(summary.state.key())
        .bind(summary.stage.key())
        .bind(summary.tuning.key())
        .bind(row.model.as_str())
        .bind(&summary.model_name)
        .bind(row.dataset.as_str())
        .bind(&summary.dataset_name)
        .bind(serde_json::to_string(&row.spec)?)
        .bind(&row.suggestion)
        .bind(row.tour)
        .bind(summary.created_ms)
        .bind(summary.created_ms)
        .bind(summary.created_ms)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

fn same(key: &LaunchKey, found: Option<(String, String)>) -> Result<Option<RunId>, Fault> {
    match found {
        Some((run, asked)) if asked == key.asked => Ok(Some(RunId(run))),
        Some(_) => Err(Problem::new(Code::RunKeyReused, "This key has launched another run already.")
            .hint("Take a new key for another run.")
            .into()),
        None => Ok(None),
    }
}
