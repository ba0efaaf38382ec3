//! Prompt templates that people wrote.

use contract::saved::SavedTemplate;
use contract::templates::UserTemplate;
use sqlx::Row;

use super::Store;
use crate::error::Fault;

impl Store {
    /// Every template, by name.
    pub async fn templates(&self) -> Result<Vec<SavedTemplate>, Fault> {
        let query = sqlx::query("SELECT id, body FROM template ORDER BY name, id");
        let mut all = Vec::new();
        for row in query.fetch_all(&self.read).await? {
            let template: UserTemplate = serde_json::from_str(row.try_get("body")?)?;
            all.push(SavedTemplate { id: row.try_get("id")?, template });
        }
        Ok(all)
    }

    /// Keeps a template under its name; one of the same name gives way.
    pub async fn save_template(&self, id: &str, template: &UserTemplate, now: i64) -> Result<(), Fault> {
        sqlx::query(
            "INSERT INTO template (id, name, body, created_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET body = excluded.body",
        )
        .bind(id)
        .bind(&template.name)
        .bind(serde_json::to_string(template)?)
        .bind(now)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Forgets a template; false when there is none. Runs carry theirs with them.
    pub async fn delete_template(&self, id: &str) -> Result<bool, Fault> {
        let query = sqlx::query("DELETE FROM template WHERE id = ?").bind(id);
        Ok(query.execute(&self.write).await?.rows_affected() > 0)
    }
}
