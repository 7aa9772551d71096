//! The embedded default: one SQLite file in WAL mode.
//!
//! `synchronous = FULL`: what was answered survives a power cut, not only a kill. Writers are one connection, so that nobody
//! waits for a lock inside a transaction; readers are a small pool.

mod accounts;
mod agents;
mod builds;
mod projects;
mod row;
mod studios;
mod tasks;
mod templates;

use std::path::Path;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::{Result, Store};

/// A store in a file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sqlite {
    write: SqlitePool,
    read: SqlitePool,
}

#[async_trait::async_trait]
impl Store for Sqlite {
    async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

impl Sqlite {
    /// Opens or makes the file and brings it to this program's form.
    pub async fn open(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(10));
        let write =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("./migrations").run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { write, read })
    }
}

#[cfg(test)]
mod tests;
