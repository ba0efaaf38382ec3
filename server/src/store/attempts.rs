//! Attempts: one worker process each.

use contract::{RunId, RunState};
use sqlx::Row;

use super::Store;
use crate::error::Fault;

/// An attempt whose end was not seen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// The run.
    pub run: RunId,
    /// Number, from 1.
    pub number: u32,
    /// Process id and start in kernel ticks, once spawned.
    pub process: Option<(u32, u64)>,
    /// When it was begun, milliseconds since 1970.
    pub started_ms: i64,
}

impl Store {
    /// Notes attempt `number` of a queued run and moves the run to preparing; false when it was taken back.
    pub async fn begin_attempt(&self, run: &RunId, number: u32, now: i64) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        if !self.move_run_in(&mut tx, run, RunState::Preparing, None, now).await? {
            return Ok(false);
        }
        sqlx::query("INSERT INTO attempt (run_id, number, started_ms) VALUES (?, ?, ?)")
            .bind(run.as_str())
            .bind(number)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        let query = sqlx::query("UPDATE run SET attempt = ? WHERE id = ?");
        query.bind(number).bind(run.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes the process of an attempt.
    pub async fn set_process(&self, run: &RunId, number: u32, pid: u32, start: u64) -> Result<(), Fault> {
        let query =
            sqlx::query("UPDATE attempt SET pid = ?, start_ticks = ? WHERE run_id = ? AND number = ?");
        let query = query.bind(pid).bind(super::signed(start)).bind(run.as_str()).bind(number);
        query.execute(&self.write).await?;
        Ok(())
    }

    /// Notes that an attempt's process is gone and all its events are stored.
    pub async fn end_attempt(&self, run: &RunId, number: u32, now: i64) -> Result<(), Fault> {
        let query = sqlx::query("UPDATE attempt SET ended_ms = ? WHERE run_id = ? AND number = ?");
        query.bind(now).bind(run.as_str()).bind(number).execute(&self.write).await?;
        Ok(())
    }

    /// Every attempt whose end was not seen yet.
    pub async fn active_attempts(&self) -> Result<Vec<Active>, Fault> {
        let query = sqlx::query(
            "SELECT run_id, number, pid, start_ticks, started_ms FROM attempt WHERE ended_ms IS NULL",
        );
        let rows = query.fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                let pid: Option<u32> = row.try_get("pid")?;
                let start: Option<i64> = row.try_get("start_ticks")?;
                Ok(Active {
                    run: RunId(row.try_get("run_id")?),
                    number: row.try_get("number")?,
                    process: pid.zip(start.and_then(|start| u64::try_from(start).ok())),
                    started_ms: row.try_get("started_ms")?,
                })
            })
            .collect()
    }
}
