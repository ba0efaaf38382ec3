//! What runs were made of and stand on: models, datasets, checkpoints of other runs.

use contract::RunId;
use contract::spec::RunSpec;
use contract::trash::{Kind, Usage};
use sqlx::Row;

use super::{Store, Transaction, signed, unsigned};
use crate::error::Fault;

/// Which of the runs that use something count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Those that wait or train.
    Live,
    /// Those that were not deleted.
    Here,
    /// Those that can be brought back, too.
    All,
}

impl Users {
    fn key(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Here => "here",
            Self::All => "all",
        }
    }
}

/// A checkpoint that another run stands on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pin {
    /// The run that stands on it.
    pub by: RunId,
    /// The run that made it.
    pub of: RunId,
    /// Its step.
    pub step: u64,
}

/// A part of a run that is not there (any more), with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: String,
}

/// One thing a run is made of: kind, position among its kind, id, step.
type Input<'a> = (&'static str, u64, &'a str, Option<u64>);

fn inputs(spec: &RunSpec) -> Vec<Input<'_>> {
    let datasets = spec.datasets().map(|one| ("dataset", one.id.as_str(), None));
    let adapters = spec.adapters.iter().map(|one| ("adapter", one.run.as_str(), Some(one.step)));
    let judge = spec.reward_model.iter().map(|one| ("reward_model", one.run.as_str(), Some(one.step)));
    let number = |(ord, (kind, id, step))| (kind, ord as u64, id, step);
    std::iter::once(("model", 0, spec.model.id.as_str(), None))
        .chain(datasets.enumerate().map(number))
        .chain(adapters.enumerate().map(number))
        .chain(judge.enumerate().map(number))
        .collect()
}

/// The checkpoints of other runs that a run stands on.
pub fn pins(spec: &RunSpec) -> Vec<Pin> {
    let all = spec.adapters.iter().chain(&spec.reward_model);
    all.map(|one| Pin { by: spec.run.clone(), of: one.run.clone(), step: one.step }).collect()
}

impl Store {
    /// Notes what a run is made of.
    pub(super) async fn add_inputs(&self, tx: &mut Transaction, spec: &RunSpec) -> Result<(), Fault> {
        for (kind, ord, id, step) in inputs(spec) {
            sqlx::query("INSERT INTO run_input (run_id, kind, ord, ref, step) VALUES (?, ?, ?, ?, ?)")
                .bind(spec.run.as_str())
                .bind(kind)
                .bind(signed(ord))
                .bind(id)
                .bind(step.map(signed))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// The first thing a run is made of that was deleted or is not ready.
    pub(super) async fn lacking(&self, tx: &mut Transaction, run: &RunId) -> Result<Option<Lacking>, Fault> {
        let query = sqlx::query(
            "SELECT kind, ref FROM run_input WHERE run_id = ? AND NOT CASE kind
                WHEN 'model' THEN EXISTS (SELECT 1 FROM model WHERE id = ref AND state = 'ready' AND deleted_ms IS NULL)
                WHEN 'dataset' THEN EXISTS (SELECT 1 FROM dataset WHERE id = ref AND deleted_ms IS NULL)
                ELSE EXISTS (SELECT 1 FROM run WHERE id = ref AND deleted_ms IS NULL) END
             ORDER BY kind DESC, ord LIMIT 1",
        );
        let row = query.bind(run.as_str()).fetch_optional(&mut **tx).await?;
        row.map(|row| {
            let kind = match row.try_get("kind")? {
                "model" => Kind::Model,
                "dataset" => Kind::Dataset,
                _ => Kind::Run,
            };
            Ok(Lacking { kind, id: row.try_get("ref")? })
        })
        .transpose()
    }

    /// Who uses a model, a dataset (by its family) or the checkpoints of a run.
    pub async fn used(&self, kind: Kind, id: &str, users: Users) -> Result<Usage, Fault> {
        let rows = used(kind, id, users).fetch_all(&self.read).await?;
        usage(&rows)
    }

    /// As [`Self::used`], within a transaction.
    pub(super) async fn used_in(
        &self,
        tx: &mut Transaction,
        kind: Kind,
        id: &str,
        users: Users,
    ) -> Result<Usage, Fault> {
        let rows = used(kind, id, users).fetch_all(&mut **tx).await?;
        usage(&rows)
    }

    /// Every checkpoint that another run stands on.
    pub async fn all_pins(&self) -> Result<Vec<Pin>, Fault> {
        let query =
            sqlx::query("SELECT run_id, ref, step FROM run_input WHERE kind IN ('adapter', 'reward_model')");
        let rows = query.fetch_all(&self.read).await?;
        let read = |row| {
            Ok(Pin {
                by: RunId(Row::try_get(row, "run_id")?),
                of: RunId(Row::try_get(row, "ref")?),
                step: unsigned(row, "step")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn used(kind: Kind, id: &str, users: Users) -> Query<'_> {
    sqlx::query(
        "WITH users AS (
            SELECT DISTINCT run.id, run.name FROM run_input JOIN run ON run.id = run_id
            WHERE ref IN (SELECT ?2 UNION SELECT id FROM dataset WHERE ?1 = 'dataset' AND family IN (SELECT family FROM dataset WHERE id = ?2))
            AND kind IN (SELECT ?1 UNION SELECT 'adapter' WHERE ?1 = 'run' UNION SELECT 'reward_model' WHERE ?1 = 'run')
            AND (?3 = 'all' OR run.deleted_ms IS NULL)
            AND (?3 <> 'live' OR run.state IN ('queued', 'preparing', 'running', 'stopping')))
         SELECT name, (SELECT count(*) FROM users) AS runs FROM users ORDER BY id DESC LIMIT 5",
    )
    .bind(kind.key())
    .bind(id)
    .bind(users.key())
}

fn usage(rows: &[sqlx::sqlite::SqliteRow]) -> Result<Usage, Fault> {
    let names = rows.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>()?;
    let runs = rows.first().map(|row| unsigned(row, "runs")).transpose()?.unwrap_or_default();
    Ok(Usage { runs, names })
}
