//! The database: one connection writes, several read. Every statement lives under `store/`.

pub mod attempts;
pub mod before;
pub mod datasets;
pub mod events;
pub mod inputs;
pub mod launching;
pub mod models;
pub mod runs;
pub mod templates;
pub mod trash;

use std::path::Path;
use std::time::Duration;

use contract::Problem;
use contract::listed::{Listed, Unreadable};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, SqlitePool};

use crate::error::Fault;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/sqlite");

/// A writing transaction; takes the write lock at once, so that it never fails half-way for want of it.
pub type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
}

impl Store {
    /// Opens (or makes) the database and applies what migrations are missing.
    pub async fn open(path: &Path) -> Result<Self, Fault> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&write).await.map_err(sqlx::Error::from)?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
        Ok(Self { write, read })
    }

    /// Looks at a database without changing anything: how many of this build's migrations it lacks.
    ///
    /// # Errors
    /// A file that is no database of Burnish, or one that a newer build has migrated.
    pub async fn look(path: &Path) -> Result<usize, Fault> {
        // Where nobody has it open, reading alone must not begin a log beside it.
        let log =
            path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(!log.exists());
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let applied =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&pool).await;
        pool.close().await;
        let applied: Vec<i64> = applied?;
        let known = |version: &i64| MIGRATIONS.iter().any(|one| one.version == *version);
        if let Some(newer) = applied.iter().find(|version| !known(version)) {
            return Err(sqlx::Error::from(sqlx::migrate::MigrateError::VersionMissing(*newer)).into());
        }
        Ok(MIGRATIONS.iter().filter(|one| !applied.contains(&one.version)).count())
    }

    /// Begins to write.
    pub async fn begin(&self) -> Result<Transaction, Fault> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Fault> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Whether the database takes what is written. It writes a number that is never another.
    pub async fn ping_write(&self) -> Result<(), Fault> {
        sqlx::query("PRAGMA user_version = 0").execute(&self.write).await?;
        Ok(())
    }

    /// Writes everything out and closes.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// SQLite has signed integers only.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A column that counts something.
///
/// # Errors
/// What is below 0: the row is damaged.
fn unsigned<'r>(row: &'r SqliteRow, column: &'r str) -> Result<u64, sqlx::Error> {
    let n: i64 = row.try_get(column)?;
    u64::try_from(n).map_err(|why| sqlx::Error::ColumnDecode { index: column.to_owned(), source: why.into() })
}

/// A row as an entry of a list: what was read of it, or why it cannot be read. A database that fails stays a fault.
///
/// # Errors
/// A row without an id or a label.
fn listed<T>(
    row: &SqliteRow,
    read: Result<T, Fault>,
    problem: impl Fn(String) -> Problem,
) -> Result<Listed<T>, Fault> {
    let unreadable = match read {
        Ok(one) => return Ok(Listed::Read(one)),
        Err(Fault::Problems(mut problems)) if !problems.is_empty() => problems.remove(0),
        Err(Fault::Json(why)) => problem(why.to_string()),
        Err(Fault::Store(why @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)))) => {
            problem(why.to_string())
        }
        Err(fault) => return Err(fault),
    };
    let (id, name) = (row.try_get("id")?, row.try_get("name")?);
    Ok(Listed::Unreadable(Box::new(Unreadable { unreadable, id, name })))
}
