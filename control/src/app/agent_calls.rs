//! What the use cases of running studios need of an agent, in domain words. `agents/` implements it.
//!
//! Every call has a deadline; an agent that is away, or goes away meanwhile, is [`AppError::Unreachable`].

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::{io::DuplexStream, sync::mpsc};

use super::{AppError, ports::Agents};
use crate::domain::{
    ids::StudioId,
    session::{
        ContainerFile, EntrypointVerb, LogPiece, LogQuery, Output, Session, SessionSpec,
        TerminalSize,
    },
};

/// A stream of results that may break.
pub type Pieces<T> = BoxStream<'static, Result<T, AppError>>;

/// Which incarnation is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    pub epoch: u64,
    pub pod_uid: String,
}

/// The agent wants its mounts synchronised, and waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncWish {
    pub studio: StudioId,
    pub epoch: u64,
    pub id: String,
    pub reason: WishReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WishReason {
    DrainBeforeStop,
    /// Entrypoints have ended: the last synchronisation of this incarnation.
    DrainAfterStop,
    /// Asked for in the container.
    User,
    /// Something changed in a mount that is live.
    Live {
        mount: String,
    },
}

/// Both directions of one mount's exchange. Dropping either ends it.
pub struct SyncPipe {
    pub to_agent: mpsc::Sender<Bytes>,
    /// Ends cleanly, or with the error that broke it.
    pub from_agent: mpsc::Receiver<Result<Bytes, AppError>>,
}

/// A run of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRun {
    pub session: String,
    /// 0: runs now; else its place in the queue.
    pub queued_behind: u32,
}

/// Bytes for a session's standard input; `end` closes it after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub data: Bytes,
    pub end: bool,
}

/// All of them.
pub trait AgentCalls: Agents + SessionCalls + EntrypointCalls + FileCalls + SyncCalls {}

impl<T: Agents + SessionCalls + EntrypointCalls + FileCalls + SyncCalls> AgentCalls for T {}

/// One-off commands, shells and runs of actions.
#[async_trait]
pub trait SessionCalls: Send + Sync {
    /// `request` names the request: the same again answers with the same session.
    async fn start_session(
        &self,
        studio: &StudioId,
        request: &str,
        spec: &SessionSpec,
    ) -> Result<String, AppError>;
    async fn sessions(&self, studio: &StudioId) -> Result<Vec<Session>, AppError>;
    /// Output from an offset on, then live. `Exit` is always last.
    async fn attach(
        &self,
        studio: &StudioId,
        session: &str,
        from: u64,
        size: Option<TerminalSize>,
    ) -> Result<Pieces<Output>, AppError>;
    /// Bytes for standard input, in order, until the sender is dropped or the process takes no more. Answers how many were taken.
    async fn input(
        &self,
        studio: &StudioId,
        session: &str,
        input: mpsc::Receiver<Input>,
    ) -> Result<u64, AppError>;
    async fn resize(
        &self,
        studio: &StudioId,
        session: &str,
        size: TerminalSize,
    ) -> Result<(), AppError>;
    /// To the whole process group.
    async fn signal(&self, studio: &StudioId, session: &str, signal: i32) -> Result<(), AppError>;
    /// TERM, then KILL.
    async fn cancel_session(&self, studio: &StudioId, session: &str) -> Result<(), AppError>;
    /// Lets the agent forget an ended session.
    async fn acknowledge(&self, studio: &StudioId, session: &str) -> Result<(), AppError>;

    async fn run_action(
        &self,
        studio: &StudioId,
        request: &str,
        action: &str,
        inputs: Vec<(String, String)>,
    ) -> Result<ActionRun, AppError>;
}

/// Entrypoints: what they print, and whether they run.
#[async_trait]
pub trait EntrypointCalls: Send + Sync {
    async fn read_log(
        &self,
        studio: &StudioId,
        entrypoint: &str,
        query: &LogQuery,
    ) -> Result<Pieces<LogPiece>, AppError>;
    async fn control_entrypoint(
        &self,
        studio: &StudioId,
        entrypoint: &str,
        verb: EntrypointVerb,
    ) -> Result<(), AppError>;
}

/// Files of the container, and its ports.
#[async_trait]
pub trait FileCalls: Send + Sync {
    async fn stat(&self, studio: &StudioId, path: &[u8]) -> Result<ContainerFile, AppError>;
    /// A page in the order of names' bytes, and whether there are more.
    async fn list_files(
        &self,
        studio: &StudioId,
        path: &[u8],
        after: &[u8],
        limit: u32,
    ) -> Result<(Vec<ContainerFile>, bool), AppError>;
    async fn read_file(
        &self,
        studio: &StudioId,
        path: &[u8],
        from: u64,
        length: Option<u64>,
    ) -> Result<Pieces<Bytes>, AppError>;
    /// Atomic. A piece that is an error aborts the write.
    async fn write_file(
        &self,
        studio: &StudioId,
        path: &[u8],
        mode: u32,
        content: Pieces<Bytes>,
    ) -> Result<ContainerFile, AppError>;

    /// TCP to a port of the studio.
    async fn tunnel(&self, studio: &StudioId, port: u16) -> io::Result<DuplexStream>;
}

/// What synchronisation needs.
#[async_trait]
pub trait SyncCalls: Send + Sync {
    fn incarnation(&self, studio: &StudioId) -> Option<Incarnation>;

    /// Opens the exchange of one mount; `run` names it in logs. The mount is live from now on, or no longer.
    async fn exchange(
        &self,
        studio: &StudioId,
        mount: &str,
        run: &str,
        live: bool,
    ) -> Result<SyncPipe, AppError>;
    /// Answers a [`SyncWish`].
    async fn sync_ended(
        &self,
        studio: &StudioId,
        id: &str,
        ok: bool,
        message: &str,
    ) -> Result<(), AppError>;
}
