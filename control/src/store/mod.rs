//! Where state is kept: one trait an aggregate, all of them together are [`Store`].
//!
//! Whatever a call has answered survives a kill -9 of the control plane. Calls are atomic each; a call that is cancelled
//! has happened wholly or not at all.

mod accounts;
mod agents;
mod builds;
mod projects;
pub mod sqlite;
mod studios;
mod tasks;
mod templates;

pub use accounts::{Accounts, LoginToken, TokenPurpose};
pub use agents::{AgentCredential, AgentCredentials};
pub use builds::{BuildLogLine, Builds};
pub use projects::Projects;
pub use studios::{DeclaredMounts, Studios, SyncLedger};
pub use tasks::{Audit, Idempotency, IdempotentAnswer, Tasks};
pub use templates::Templates;

/// Everything that is kept.
#[async_trait::async_trait]
pub trait Store:
    Accounts
    + AgentCredentials
    + Audit
    + Builds
    + Idempotency
    + Projects
    + Studios
    + SyncLedger
    + Tasks
    + Templates
{
    /// Finishes what is under way and lets go.
    async fn close(&self);
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is one of that name already.
    #[error("there is a {what} {id} already")]
    Exists { what: &'static str, id: String },
    /// Somebody else changed it in the meantime.
    #[error("{what} {id} was changed in the meantime")]
    Stale { what: &'static str, id: String },
    /// What is kept can't be understood: a newer program wrote it, or it is damaged.
    #[error("what is kept of {what} can't be read: {why}")]
    Corrupt { what: &'static str, why: String },
    #[error("the database failed")]
    Unavailable(#[from] sqlx::Error),
    #[error("the database can't be brought to this program's form")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// Short for this module's calls.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A page: at most `limit` items after the cursor.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// 1 to 1,000.
    pub limit: u32,
    pub after: Option<String>,
}
