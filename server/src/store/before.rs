//! What models answered before they were trained, one answer a run, written once.

use contract::RunId;
use contract::system::BeforeAnswer;

use super::Store;
use crate::error::Fault;

impl Store {
    /// The answer kept with a run.
    pub async fn before_answer(&self, run: &RunId) -> Result<Option<BeforeAnswer>, Fault> {
        let query = sqlx::query_scalar("SELECT answer FROM before_answer WHERE run_id = ?");
        let text: Option<String> = query.bind(run.as_str()).fetch_optional(&self.read).await?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Keeps an answer with a run; the first one stays.
    pub async fn keep_before_answer(&self, run: &RunId, answer: &BeforeAnswer) -> Result<(), Fault> {
        let query = sqlx::query(
            "INSERT INTO before_answer (run_id, answer) SELECT id, ? FROM run WHERE id = ?
             ON CONFLICT (run_id) DO NOTHING",
        );
        query.bind(serde_json::to_string(answer)?).bind(run.as_str()).execute(&self.write).await?;
        Ok(())
    }
}
