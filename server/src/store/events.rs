//! Events of runs, numbered densely from 0 over all attempts.

use std::collections::HashMap;

use contract::RunId;
use contract::event::{Event, What};
use contract::wire::Numbered;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, Transaction, signed, unsigned};
use crate::error::Fault;

/// What a database counted.
fn natural(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

/// An event; one that cannot be read keeps its place as one that this build does not know (F7).
fn read(row: &SqliteRow) -> Result<Event, Fault> {
    Ok(match serde_json::from_str(row.try_get("json")?) {
        Ok(event) => event,
        Err(_) => Event {
            seq: unsigned(row, "seq")?,
            at_ms: row.try_get("at_ms")?,
            what: What::Unknown(serde_json::json!({ "kind": "unreadable" })),
        },
    })
}

impl Store {
    /// The first event of an attempt that is not stored yet.
    pub async fn next_seq(&self, run: &RunId, attempt: u32) -> Result<u64, Fault> {
        let query = sqlx::query_scalar(
            "SELECT COALESCE(MAX(seq) + 1, 0) FROM run_event WHERE run_id = ? AND attempt = ?",
        );
        Ok(natural(query.bind(run.as_str()).bind(attempt).fetch_one(&self.read).await?))
    }

    /// Appends events in order; those stored before are passed over. Returns the new ones.
    pub async fn add_events(
        &self,
        tx: &mut Transaction,
        run: &RunId,
        attempt: u32,
        events: Vec<Event>,
    ) -> Result<Vec<Event>, Fault> {
        let query = sqlx::query_scalar("SELECT COALESCE(MAX(ord) + 1, 0) FROM run_event WHERE run_id = ?");
        let mut ord: i64 = query.bind(run.as_str()).fetch_one(&mut **tx).await?;
        let mut new = Vec::with_capacity(events.len());
        for event in events {
            let done = sqlx::query(
                "INSERT INTO run_event (run_id, ord, attempt, seq, at_ms, json) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (run_id, attempt, seq) DO NOTHING",
            )
            .bind(run.as_str())
            .bind(ord)
            .bind(attempt)
            .bind(signed(event.seq))
            .bind(event.at_ms)
            .bind(serde_json::to_string(&event)?)
            .execute(&mut **tx)
            .await?;
            if done.rows_affected() > 0 {
                ord += 1;
                new.push(event);
            }
        }
        Ok(new)
    }

    /// At most `limit` events from ordinal `from` on.
    pub async fn events(&self, run: &RunId, from: u64, limit: u32) -> Result<Vec<Numbered>, Fault> {
        let query = sqlx::query(
            "SELECT ord, attempt, seq, at_ms, json FROM run_event WHERE run_id = ? AND ord >= ? ORDER BY ord LIMIT ?",
        );
        let rows = query.bind(run.as_str()).bind(signed(from)).bind(limit).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                Ok(Numbered {
                    ord: unsigned(row, "ord")?,
                    attempt: row.try_get("attempt")?,
                    event: read(row)?,
                })
            })
            .collect()
    }

    /// How many events a run has.
    pub async fn event_count(&self, run: &RunId) -> Result<u64, Fault> {
        let query = sqlx::query_scalar("SELECT COALESCE(MAX(ord) + 1, 0) FROM run_event WHERE run_id = ?");
        Ok(natural(query.bind(run.as_str()).fetch_one(&self.read).await?))
    }

    /// Events that tell of a run's checkpoints and of the eval loss before training, in order.
    pub async fn checkpoint_events(&self, run: &RunId) -> Result<Vec<Event>, Fault> {
        let query = sqlx::query(
            "SELECT json FROM run_event INDEXED BY run_event_saves WHERE run_id = ? AND (json ->> '$.what.kind' = 'checkpoint'
             OR (json ->> '$.what.kind' = 'eval' AND json ->> '$.what.step' = 0)) ORDER BY ord",
        );
        let rows = query.bind(run.as_str()).fetch_all(&self.read).await?;
        Ok(rows.iter().filter_map(|row| serde_json::from_str(row.try_get("json").ok()?).ok()).collect())
    }

    /// The same of every run at once.
    pub async fn all_checkpoint_events(&self) -> Result<HashMap<RunId, Vec<Event>>, Fault> {
        let query = sqlx::query(
            "SELECT run_id, json FROM run_event INDEXED BY run_event_saves WHERE json ->> '$.what.kind' = 'checkpoint'
             OR (json ->> '$.what.kind' = 'eval' AND json ->> '$.what.step' = 0) ORDER BY run_id, ord",
        );
        let mut all: HashMap<RunId, Vec<Event>> = HashMap::new();
        for row in query.fetch_all(&self.read).await? {
            if let Ok(event) = serde_json::from_str(row.try_get("json")?) {
                all.entry(RunId(row.try_get("run_id")?)).or_default().push(event);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use contract::event::Kind;

    fn events(seqs: std::ops::Range<u64>) -> Vec<Event> {
        let what = || Kind::Log { level: "info".to_owned(), text: "x".to_owned() }.into();
        seqs.map(|seq| Event { seq, at_ms: 1, what: what() }).collect()
    }

    #[tokio::test]
    async fn ordinals_are_dense_over_attempts_and_repeats_are_passed_over() {
        let place = tempfile::tempdir().expect("a folder");
        let store = Store::open(&place.path().join("db")).await.expect("opens");
        let run = RunId("r1".to_owned());
        let mut tx = store.begin().await.expect("begins");
        let columns = "id, name, state, stage, tuning, model_id, model_name, dataset_id, dataset_name, spec,
            created_ms, updated_ms, queued_ms";
        let sql = format!(
            "INSERT INTO run ({columns}) VALUES ('r1','n','running','sft','lora','m','m','d','d','{{}}',1,1,1)"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.expect("a run");
        assert_eq!(store.add_events(&mut tx, &run, 1, events(0..3)).await.expect("stored").len(), 3);
        assert_eq!(store.add_events(&mut tx, &run, 1, events(1..5)).await.expect("stored").len(), 2);
        assert_eq!(store.add_events(&mut tx, &run, 2, events(0..2)).await.expect("stored").len(), 2);
        tx.commit().await.expect("commits");
        let stored = store.events(&run, 0, 100).await.expect("reads");
        assert_eq!(stored.iter().map(|e| e.ord).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        let last: Vec<_> = stored.iter().map(|e| (e.attempt, e.event.seq)).collect();
        assert_eq!(last[3..], [(1, 3), (1, 4), (2, 0), (2, 1)]);
        assert_eq!(store.next_seq(&run, 1).await.expect("reads"), 5);
        assert_eq!(store.events(&run, 5, 1).await.expect("reads")[0].ord, 5);
    }
}
