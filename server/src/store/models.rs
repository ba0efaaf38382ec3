//! Base models.

use contract::adapter::AdapterFacts;
use contract::listed::{Listed, readable};
use contract::model::{ModelFacts, ModelView};
use contract::{Code, ModelId, Problem};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Store;
use crate::error::Fault;

fn read(row: &SqliteRow) -> Result<ModelView, Fault> {
    let json = |column: &str| row.try_get::<Option<String>, _>(column);
    Ok(ModelView {
        id: ModelId(row.try_get("id")?),
        name: row.try_get("name")?,
        state: row.try_get("state")?,
        problem: json("problem")?.map(|text| serde_json::from_str(&text)).transpose()?,
        facts: json("facts")?.map(|text| serde_json::from_str(&text)).transpose()?,
        created_ms: row.try_get("created_ms")?,
        starter: row.try_get("starter")?,
        adapter: json("adapter")?.map(|text| serde_json::from_str(&text)).transpose()?,
    })
}

/// The problem of a row that cannot be read.
fn broken(why: String) -> Problem {
    Problem::new(Code::ModelRecordBroken, format!("The record of this model cannot be read: {why}."))
        .with("why", &why)
        .hint("Start the version of Burnish that wrote it, or delete the model.")
}

/// A row as an entry of a list.
fn listed(row: &SqliteRow) -> Result<Listed<ModelView>, Fault> {
    super::listed(row, read(row), broken)
}

impl Store {
    /// Every model, newest first, also those that cannot be read.
    pub async fn list_models(&self) -> Result<Vec<Listed<ModelView>>, Fault> {
        let query = sqlx::query("SELECT * FROM model WHERE deleted_ms IS NULL ORDER BY id DESC");
        query.fetch_all(&self.read).await?.iter().map(listed).collect()
    }

    /// Every model that can be read, newest first.
    pub async fn models(&self) -> Result<Vec<ModelView>, Fault> {
        Ok(readable(self.list_models().await?))
    }

    /// One model.
    ///
    /// # Errors
    /// `model.record_broken`.
    pub async fn model(&self, id: &ModelId) -> Result<Option<ModelView>, Fault> {
        let query = sqlx::query("SELECT * FROM model WHERE id = ? AND deleted_ms IS NULL").bind(id.as_str());
        match query.fetch_optional(&self.read).await?.as_ref().map(listed).transpose()? {
            Some(Listed::Read(view)) => Ok(Some(view)),
            Some(Listed::Unreadable(odd)) => Err(odd.unreadable.into()),
            None => Ok(None),
        }
    }

    /// The starter model, once it is ready or on its way.
    pub async fn starter_model(&self) -> Result<Option<ModelView>, Fault> {
        let query = sqlx::query(
            "SELECT * FROM model WHERE starter = 1 AND state <> 'failed' AND deleted_ms IS NULL ORDER BY id",
        );
        let rows: Result<Vec<_>, _> = query.fetch_all(&self.read).await?.iter().map(listed).collect();
        Ok(readable(rows?).into_iter().next())
    }

    /// Adds a model that is being imported.
    pub async fn add_model(&self, id: &ModelId, name: &str, starter: bool, now: i64) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO model (id, name, state, created_ms, starter) VALUES (?, ?, 'importing', ?, ?)",
        )
        .bind(id.as_str())
        .bind(name)
        .bind(now)
        .bind(starter)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Ends an import, well or badly; false when the model was deleted meanwhile.
    pub async fn end_import(
        &self,
        id: &ModelId,
        result: Result<&ModelFacts, &Problem>,
    ) -> Result<bool, Fault> {
        let (state, facts, problem) = match result {
            Ok(facts) => ("ready", Some(serde_json::to_string(facts)?), None),
            Err(problem) => ("failed", None, Some(serde_json::to_string(problem)?)),
        };
        let query = sqlx::query("UPDATE model SET state = ?, facts = ?, problem = ? WHERE id = ?");
        let done = query.bind(state).bind(facts).bind(problem).bind(id.as_str()).execute(&self.write).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends an import that found an adapter in place of a model; false when the row was deleted meanwhile.
    pub async fn end_with_adapter(&self, id: &ModelId, adapter: &AdapterFacts) -> Result<bool, Fault> {
        let query = sqlx::query("UPDATE model SET state = 'failed', adapter = ?, problem = ? WHERE id = ?");
        let query = query.bind(serde_json::to_string(adapter)?);
        let query = query.bind(serde_json::to_string(&adapter.is_no_model())?);
        Ok(query.bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }

    /// Marks imports that a former server did not end as failed; forgets those of the starter model.
    pub async fn interrupted_imports(&self, problem: &Problem) -> Result<(), Fault> {
        sqlx::query("DELETE FROM model WHERE starter = 1 AND state <> 'ready'").execute(&self.write).await?;
        let query = sqlx::query("UPDATE model SET state = 'failed', problem = ? WHERE state = 'importing'");
        query.bind(serde_json::to_string(problem)?).execute(&self.write).await?;
        Ok(())
    }

    /// Deletes the row of a deleted model that never became one; false where it was one.
    pub async fn forget_unfinished(&self, id: &ModelId) -> Result<bool, Fault> {
        let query =
            sqlx::query("DELETE FROM model WHERE id = ? AND state <> 'ready' AND deleted_ms IS NOT NULL");
        Ok(query.bind(id.as_str()).execute(&self.write).await?.rows_affected() > 0)
    }

    /// Deletes the row of a model whose files went elsewhere.
    pub async fn forget_model(&self, id: &ModelId) -> Result<(), Fault> {
        sqlx::query("DELETE FROM model WHERE id = ?").bind(id.as_str()).execute(&self.write).await?;
        Ok(())
    }
}
