//! What the owner of a running studio does in it: commands, shells, actions, logs, files, entrypoints.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::{
    AppError,
    agent_calls::{ActionRun, AgentCalls, Input, Pieces},
    audit::AuditLog,
    logs::{self, KeptLogs},
    studios::{StudioRight, StudioService},
};
use crate::{
    auth::token,
    domain::{
        ids::StudioId,
        permission::Principal,
        session::{
            Channel, ContainerFile, EntrypointVerb, Exit, LogPiece, LogQuery, Output, Session,
            SessionSpec, TerminalSize,
        },
    },
};

/// Most output that a command of one round trip may have.
const EXEC_OUTPUT_BYTES: usize = 8 << 20;
/// Of a command of one round trip, where it names none.
const EXEC_TIMEOUT: Duration = Duration::from_hours(1);

/// How a command of one round trip went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Executed {
    pub exit: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

pub struct RunningService {
    studios: Arc<StudioService>,
    agents: Arc<dyn AgentCalls>,
    audit: AuditLog,
    kept_logs: Arc<KeptLogs>,
}

impl RunningService {
    pub fn new(
        studios: Arc<StudioService>,
        agents: Arc<dyn AgentCalls>,
        audit: AuditLog,
        kept_logs: Arc<KeptLogs>,
    ) -> Self {
        Self { studios, agents, audit, kept_logs }
    }

    /// Only its owner is in a studio.
    async fn enter(&self, who: &Principal, id: &StudioId) -> Result<(), AppError> {
        self.studios.get(who, id, StudioRight::Use).await?;
        Ok(())
    }

    async fn find(&self, id: &StudioId, session: &str) -> Result<Session, AppError> {
        let sessions = self.agents.sessions(id).await?;
        let found = sessions.into_iter().find(|known| known.id == session);
        found.ok_or_else(|| AppError::not_found("session", session))
    }

    pub async fn start_session(
        &self,
        who: &Principal,
        id: &StudioId,
        spec: &SessionSpec,
    ) -> Result<Session, AppError> {
        self.enter(who, id).await?;
        let session = self.agents.start_session(id, &token::random(), spec).await?;
        let what = if spec.command.is_empty() { "shell" } else { "command" };
        self.audit.record(&who.login, "studio.session", id, what).await?;
        self.find(id, &session).await
    }

    pub async fn sessions(&self, who: &Principal, id: &StudioId) -> Result<Vec<Session>, AppError> {
        self.enter(who, id).await?;
        self.agents.sessions(id).await
    }

    pub async fn session(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
    ) -> Result<Session, AppError> {
        self.enter(who, id).await?;
        self.find(id, session).await
    }

    pub async fn attach(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
        from: u64,
    ) -> Result<Pieces<Output>, AppError> {
        self.enter(who, id).await?;
        self.agents.attach(id, session, from, None).await
    }

    /// Bytes for standard input until the sender is dropped. Answers how many were taken.
    pub async fn input(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
        input: mpsc::Receiver<Input>,
    ) -> Result<u64, AppError> {
        self.enter(who, id).await?;
        self.agents.input(id, session, input).await
    }

    pub async fn resize(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
        size: TerminalSize,
    ) -> Result<(), AppError> {
        self.enter(who, id).await?;
        self.agents.resize(id, session, size).await
    }

    pub async fn signal(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
        signal: i32,
    ) -> Result<(), AppError> {
        self.enter(who, id).await?;
        if !(1..=64).contains(&signal) {
            return Err(AppError::invalid("signal", "a signal's number, 1 to 64"));
        }
        self.agents.signal(id, session, signal).await
    }

    /// TERM, then KILL, to all of its process group.
    pub async fn cancel(
        &self,
        who: &Principal,
        id: &StudioId,
        session: &str,
    ) -> Result<(), AppError> {
        self.enter(who, id).await?;
        self.agents.cancel_session(id, session).await
    }

    /// A command in one round trip; its output is whole, or it is an error.
    pub async fn exec(
        &self,
        who: &Principal,
        id: &StudioId,
        mut spec: SessionSpec,
        stdin: Bytes,
    ) -> Result<Executed, AppError> {
        self.enter(who, id).await?;
        if spec.command.is_empty() {
            return Err(AppError::invalid("command", "at least the program's name"));
        }
        spec.lossless = true;
        spec.stdin = !stdin.is_empty();
        spec.timeout = Some(spec.timeout.unwrap_or(EXEC_TIMEOUT));
        let session = self.agents.start_session(id, &token::random(), &spec).await?;
        let (send, input) = mpsc::channel(1);
        let feed = async {
            if spec.stdin {
                // A process that ends before it has read all is no error.
                drop(send.send(Input { data: stdin, end: true }).await);
                drop(send);
                drop(self.agents.input(id, &session, input).await);
            }
        };
        let collect = self.collect(id, &session);
        tokio::pin!(collect);
        let executed = tokio::select! {
            executed = &mut collect => executed,
            () = feed => collect.await,
        };
        match &executed {
            // Not waited for: the agent forgets it by itself, later.
            Ok(_) => drop(self.agents.acknowledge(id, &session).await),
            Err(_) => drop(self.agents.cancel_session(id, &session).await),
        }
        executed
    }

    async fn collect(&self, id: &StudioId, session: &str) -> Result<Executed, AppError> {
        let mut pieces = self.agents.attach(id, session, 0, None).await?;
        let mut executed = Executed::default();
        while let Some(piece) = pieces.next().await {
            match piece? {
                Output::Data { channel, data, .. } => {
                    let sink = match channel {
                        Channel::Stderr => &mut executed.stderr,
                        Channel::Stdout | Channel::Pty => &mut executed.stdout,
                    };
                    sink.extend_from_slice(&data);
                    if executed.stdout.len() + executed.stderr.len() > EXEC_OUTPUT_BYTES {
                        let why = "the command prints more than 8 MiB; start a session instead";
                        return Err(AppError::TooLarge { why: why.to_owned() });
                    }
                }
                Output::Gap { .. } => {
                    return Err(AppError::conflict("a part of the output was lost"));
                }
                Output::Exit(exit) => {
                    executed.exit = exit;
                    return Ok(executed);
                }
            }
        }
        Err(AppError::Unreachable {
            why: "its agent went away before the command ended".to_owned(),
        })
    }

    pub async fn run_action(
        &self,
        who: &Principal,
        id: &StudioId,
        action: &str,
        inputs: Vec<(String, String)>,
    ) -> Result<(Session, u32), AppError> {
        self.enter(who, id).await?;
        let ActionRun { session, queued_behind } =
            self.agents.run_action(id, &token::random(), action, inputs).await?;
        self.audit.record(&who.login, "studio.action", id, action).await?;
        Ok((self.find(id, &session).await?, queued_behind))
    }

    pub async fn log(
        &self,
        who: &Principal,
        id: &StudioId,
        entrypoint: &str,
        query: &LogQuery,
    ) -> Result<Pieces<LogPiece>, AppError> {
        self.enter(who, id).await?;
        if self.agents.watch(id).borrow().connected {
            return self.agents.read_log(id, entrypoint, query).await;
        }
        // What was kept of the last pod. When each line came is not known.
        let kept = self.kept_logs.read(id, entrypoint);
        let kept = kept.ok_or_else(|| AppError::not_found("log of", entrypoint))?;
        let last = query.tail.map_or(kept.as_slice(), |lines| logs::tail(&kept, lines as usize));
        let chunk = LogPiece::Chunk {
            offset: 0,
            channel: Channel::Stdout,
            at: time::OffsetDateTime::UNIX_EPOCH,
            restart: 0,
            data: Bytes::copy_from_slice(last),
        };
        Ok(futures_util::stream::iter([Ok(chunk)]).boxed())
    }

    pub async fn control_entrypoint(
        &self,
        who: &Principal,
        id: &StudioId,
        entrypoint: &str,
        verb: EntrypointVerb,
    ) -> Result<(), AppError> {
        self.enter(who, id).await?;
        self.agents.control_entrypoint(id, entrypoint, verb).await
    }

    pub async fn list_files(
        &self,
        who: &Principal,
        id: &StudioId,
        path: &[u8],
        after: &[u8],
        limit: u32,
    ) -> Result<(Vec<ContainerFile>, bool), AppError> {
        self.enter(who, id).await?;
        self.agents.list_files(id, path, after, limit).await
    }

    pub async fn stat_file(
        &self,
        who: &Principal,
        id: &StudioId,
        path: &[u8],
    ) -> Result<ContainerFile, AppError> {
        self.enter(who, id).await?;
        self.agents.stat(id, path).await
    }

    /// Bytes of a file from a place on; `None`: to its end.
    pub async fn read_file(
        &self,
        who: &Principal,
        id: &StudioId,
        path: &[u8],
        from: u64,
        length: Option<u64>,
    ) -> Result<Pieces<Bytes>, AppError> {
        self.enter(who, id).await?;
        self.agents.read_file(id, path, from, length).await
    }

    pub async fn write_file(
        &self,
        who: &Principal,
        id: &StudioId,
        path: &[u8],
        content: Pieces<Bytes>,
    ) -> Result<ContainerFile, AppError> {
        self.enter(who, id).await?;
        self.agents.write_file(id, path, 0o644, content).await
    }
}
