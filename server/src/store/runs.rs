//! Runs.

use contract::run::RunSummary;
use contract::spec::RunSpec;
use contract::{DatasetId, ModelId, Problem, RunId, RunState, Stage, Tuning};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, Transaction, signed, unsigned};
use crate::error::Fault;

/// A run as stored.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// What the list shows.
    pub summary: RunSummary,
    /// Base model.
    pub model: ModelId,
    /// Dataset.
    pub dataset: DatasetId,
    /// Specification.
    pub spec: RunSpec,
    /// A question from its dataset.
    pub suggestion: Option<String>,
    /// Whether the tour started it.
    pub tour: bool,
    /// Newest attempt, from 1; 0: none yet.
    pub attempt: u32,
    /// Why it failed.
    pub problem: Option<Problem>,
}

/// What events change of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// State.
    pub state: RunState,
    /// Steps made.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Seconds left.
    pub remaining_s: Option<f64>,
    /// Last train loss.
    pub loss: Option<f64>,
    /// Last eval loss.
    pub eval_loss: Option<f64>,
    /// Why it failed.
    pub problem: Option<Problem>,
}

fn state(row: &SqliteRow) -> Result<RunState, Fault> {
    Ok(RunState::parse(row.try_get("state")?).unwrap_or(RunState::Failed))
}

fn problem(row: &SqliteRow) -> Result<Option<Problem>, Fault> {
    let text: Option<String> = row.try_get("problem")?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn read(row: &SqliteRow) -> Result<RunRow, Fault> {
    let spec: RunSpec = serde_json::from_str(row.try_get("spec")?)?;
    let summary = RunSummary {
        id: RunId(row.try_get("id")?),
        name: row.try_get("name")?,
        state: state(row)?,
        stage: Stage::parse(row.try_get("stage")?).unwrap_or(Stage::Sft),
        tuning: Tuning::parse(row.try_get("tuning")?).unwrap_or(Tuning::Full),
        model_name: row.try_get("model_name")?,
        dataset_name: row.try_get("dataset_name")?,
        step: unsigned(row.try_get("step")?),
        total_steps: unsigned(row.try_get("total_steps")?),
        remaining_s: row.try_get("remaining_s")?,
        loss: row.try_get("loss")?,
        eval_loss: row.try_get("eval_loss")?,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        brought: spec.brought.is_some(),
    };
    Ok(RunRow {
        summary,
        model: ModelId(row.try_get("model_id")?),
        dataset: DatasetId(row.try_get("dataset_id")?),
        spec,
        suggestion: row.try_get("suggestion")?,
        tour: row.try_get("tour")?,
        attempt: row.try_get("attempt")?,
        problem: problem(row)?,
    })
}

impl Store {
    /// Every run, newest first.
    pub async fn runs(&self) -> Result<Vec<RunRow>, Fault> {
        let rows = sqlx::query("SELECT * FROM run ORDER BY id DESC").fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// One run.
    pub async fn run(&self, id: &RunId) -> Result<Option<RunRow>, Fault> {
        let query = sqlx::query("SELECT * FROM run WHERE id = ?").bind(id.as_str());
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// A run's state and why it failed.
    pub async fn run_state(&self, id: &RunId) -> Result<Option<(RunState, Option<Problem>)>, Fault> {
        let query = sqlx::query("SELECT state, problem FROM run WHERE id = ?").bind(id.as_str());
        let row = query.fetch_optional(&self.read).await?;
        row.as_ref().map(|row| Ok((state(row)?, problem(row)?))).transpose()
    }

    /// Adds a run in the state it says: queued, or over where an adapter was brought in.
    pub async fn add_run(&self, row: &RunRow) -> Result<(), Fault> {
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
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// The run that has waited longest.
    pub async fn next_queued(&self) -> Result<Option<RunRow>, Fault> {
        let query = sqlx::query(
            "SELECT * FROM run WHERE state = 'queued' AND NOT EXISTS (
                SELECT 1 FROM attempt WHERE run_id = run.id AND ended_ms IS NULL)
             ORDER BY queued_ms, id LIMIT 1",
        );
        query.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// Moves a run to `next` if it may go there from where it is; false when it may not (any more).
    pub async fn move_run(
        &self,
        id: &RunId,
        next: RunState,
        problem: Option<&Problem>,
        now: i64,
    ) -> Result<bool, Fault> {
        let mut tx = self.begin().await?;
        let moved = self.move_run_in(&mut tx, id, next, problem, now).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// As [`Self::move_run`], within a transaction.
    pub async fn move_run_in(
        &self,
        tx: &mut Transaction,
        id: &RunId,
        next: RunState,
        problem: Option<&Problem>,
        now: i64,
    ) -> Result<bool, Fault> {
        let query = sqlx::query("SELECT state FROM run WHERE id = ?").bind(id.as_str());
        let Some(row) = query.fetch_optional(&mut **tx).await? else { return Ok(false) };
        if !state(&row)?.may_become(next) {
            return Ok(false);
        }
        let problem = problem.map(serde_json::to_string).transpose()?;
        sqlx::query(
            "UPDATE run SET state = ?1, problem = ?2, updated_ms = ?3, remaining_s = NULL,
             queued_ms = CASE ?1 WHEN 'queued' THEN ?3 ELSE queued_ms END WHERE id = ?4",
        )
        .bind(next.key())
        .bind(problem)
        .bind(now)
        .bind(id.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(true)
    }

    /// What events may change.
    pub async fn progress(&self, tx: &mut Transaction, id: &RunId) -> Result<Option<Progress>, Fault> {
        let query = sqlx::query(
            "SELECT state, step, total_steps, remaining_s, loss, eval_loss, problem FROM run WHERE id = ?",
        );
        let row = query.bind(id.as_str()).fetch_optional(&mut **tx).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Progress {
            state: state(&row)?,
            step: unsigned(row.try_get("step")?),
            total_steps: unsigned(row.try_get("total_steps")?),
            remaining_s: row.try_get("remaining_s")?,
            loss: row.try_get("loss")?,
            eval_loss: row.try_get("eval_loss")?,
            problem: problem(&row)?,
        }))
    }

    /// Keeps what events changed.
    pub async fn set_progress(
        &self,
        tx: &mut Transaction,
        id: &RunId,
        progress: &Progress,
        now: i64,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE run SET state = ?, step = ?, total_steps = ?, remaining_s = ?, loss = ?, eval_loss = ?,
             problem = ?, updated_ms = ? WHERE id = ?",
        )
        .bind(progress.state.key())
        .bind(signed(progress.step))
        .bind(signed(progress.total_steps))
        .bind(progress.remaining_s)
        .bind(progress.loss)
        .bind(progress.eval_loss)
        .bind(progress.problem.as_ref().map(serde_json::to_string).transpose()?)
        .bind(now)
        .bind(id.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Deletes a run that is over (or still waits) and whose worker is gone; false otherwise.
    pub async fn delete_run(&self, id: &RunId) -> Result<bool, Fault> {
        let query = sqlx::query(
            "DELETE FROM run WHERE id = ? AND state NOT IN ('preparing', 'running', 'stopping')
             AND NOT EXISTS (SELECT 1 FROM attempt WHERE run_id = run.id AND ended_ms IS NULL)",
        );
        Ok(query.bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }
}
