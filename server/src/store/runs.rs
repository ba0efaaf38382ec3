//! Runs.

use contract::listed::{Listed, readable};
use contract::run::RunSummary;
use contract::spec::RunSpec;
use contract::{Code, DatasetId, ModelId, Problem, RunId, RunState, Stage, Tuning};
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

/// A stored text that this build does not know is an error: what it was meant to be is not guessed (F7).
fn known<T>(row: &SqliteRow, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
    let text: &str = row.try_get(column).map_err(unreadable)?;
    parse(text).ok_or_else(|| unreadable(format!("{column} is \"{text}\", which this build does not know")))
}

/// The problem of a row that cannot be read.
fn unreadable(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::RunUnreadable, format!("The record of this run cannot be read: {why}."))
        .with("why", &why)
        .hint("Start the version of Burnish that wrote it, or delete the run.")
}

fn problem(row: &SqliteRow) -> Result<Option<Problem>, Fault> {
    let text: Option<String> = row.try_get("problem")?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn read(row: &SqliteRow) -> Result<RunRow, Fault> {
    let spec = RunSpec::parse(row.try_get("spec")?).map_err(unreadable)?;
    let summary = RunSummary {
        id: RunId(row.try_get("id")?),
        name: row.try_get("name")?,
        state: known(row, "state", RunState::parse)?,
        stage: known(row, "stage", Stage::parse)?,
        tuning: known(row, "tuning", Tuning::parse)?,
        model_name: row.try_get("model_name")?,
        dataset_name: row.try_get("dataset_name")?,
        step: unsigned(row, "step")?,
        total_steps: unsigned(row, "total_steps")?,
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

/// A row as an entry of a list.
fn listed(row: &SqliteRow) -> Result<Listed<RunRow>, Fault> {
    super::listed(row, read(row), unreadable)
}

impl Store {
    /// Every run, newest first, also those that cannot be read.
    pub async fn list_runs(&self) -> Result<Vec<Listed<RunRow>>, Fault> {
        let query = sqlx::query("SELECT * FROM run WHERE deleted_ms IS NULL ORDER BY id DESC");
        query.fetch_all(&self.read).await?.iter().map(listed).collect()
    }

    /// Every run that can be read, newest first.
    pub async fn runs(&self) -> Result<Vec<RunRow>, Fault> {
        Ok(readable(self.list_runs().await?))
    }

    /// One run.
    ///
    /// # Errors
    /// `run.unreadable`.
    pub async fn run(&self, id: &RunId) -> Result<Option<RunRow>, Fault> {
        let query = sqlx::query("SELECT * FROM run WHERE id = ? AND deleted_ms IS NULL").bind(id.as_str());
        let row = query.fetch_optional(&self.read).await?;
        match row.as_ref().map(listed).transpose()? {
            Some(Listed::Read(row)) => Ok(Some(row)),
            Some(Listed::Unreadable(odd)) => Err(odd.unreadable.into()),
            None => Ok(None),
        }
    }

    /// A run's state and why it failed.
    pub async fn run_state(&self, id: &RunId) -> Result<Option<(RunState, Option<Problem>)>, Fault> {
        let query = sqlx::query("SELECT state, problem FROM run WHERE id = ? AND deleted_ms IS NULL");
        let row = query.bind(id.as_str()).fetch_optional(&self.read).await?;
        row.as_ref().map(|row| Ok((known(row, "state", RunState::parse)?, problem(row)?))).transpose()
    }

    /// The run that has waited longest, also where it cannot be read.
    pub async fn next_queued(&self) -> Result<Option<Listed<RunRow>>, Fault> {
        let query = sqlx::query(
            "SELECT * FROM run WHERE state = 'queued' AND deleted_ms IS NULL AND NOT EXISTS (
                SELECT 1 FROM attempt WHERE run_id = run.id AND ended_ms IS NULL)
             ORDER BY queued_ms, id LIMIT 1",
        );
        query.fetch_optional(&self.read).await?.as_ref().map(listed).transpose()
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
        if !known(&row, "state", RunState::parse)?.may_become(next) {
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
            state: known(&row, "state", RunState::parse)?,
            step: unsigned(&row, "step")?,
            total_steps: unsigned(&row, "total_steps")?,
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
}
