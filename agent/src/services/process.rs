//! `Process`: commands and shells.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use nix::sys::signal::Signal;
use proto::FRAME_BYTES;
use proto::agent::v1::{
    AcknowledgeReply, AcknowledgeRequest, AttachRequest, Gap, InputReply, InputRequest,
    ListSessionsReply, ListSessionsRequest, Output, OutputData, ResizeReply, ResizeRequest,
    SignalReply, SignalRequest, StartReply, StartRequest, TerminalSize, output::What,
    process_server::Process,
};
use tonic::{Request, Response, Status, Streaming};

use super::{Service, Stream_};
use crate::launch::Plan;
use crate::output::{Piece, Viewer};
use crate::sessions::{Session, SessionId, StartError, Wanted};
use crate::sys::{Input, Program, Size};

/// As entrypoints' own children: above the agent and the entrypoints.
const OOM_SCORE: i32 = 600;
const FALLBACK_SHELLS: &[&str] = &["/bin/bash", "/bin/sh"];

pub(super) fn refuse_start(error: &StartError) -> Status {
    match error {
        StartError::RequestId => Status::invalid_argument(error.to_string()),
        StartError::TooMany => Status::resource_exhausted(error.to_string()),
        StartError::Draining => Status::failed_precondition(error.to_string()),
    }
}

fn size(terminal: TerminalSize) -> Result<Size, Status> {
    Size::new(terminal.columns, terminal.rows)
        .ok_or_else(|| Status::invalid_argument("no terminal has this size"))
}

fn millis(ms: u32) -> Option<Duration> {
    (ms != 0).then(|| Duration::from_millis(u64::from(ms)))
}

/// The first shell of the manifest that exists.
fn shell(plan: &Plan) -> String {
    let wanted =
        plan.manifest.shells.iter().map(String::as_str).chain(FALLBACK_SHELLS.iter().copied());
    wanted.into_iter().find(|shell| Path::new(shell).exists()).unwrap_or("sh").to_owned()
}

impl Service {
    fn session(&self, id: &str) -> Result<Arc<Session>, Status> {
        let session = self.agent.sessions.get(&SessionId::from(id));
        session.ok_or_else(|| {
            Status::not_found(format!(
                "there is no session {id:?}; ended ones are forgotten after ten minutes"
            ))
        })
    }

    fn plan(&self) -> Result<Arc<Plan>, Status> {
        self.agent
            .launch
            .plan()
            .ok_or_else(|| Status::failed_precondition("no manifest has been launched yet"))
    }
}

#[tonic::async_trait]
impl Process for Service {
    async fn start(&self, request: Request<StartRequest>) -> Result<Response<StartReply>, Status> {
        let request = request.into_inner();
        let plan = self.plan()?;
        let input = match (request.terminal, request.stdin) {
            (Some(terminal), _) => Input::Terminal(size(terminal)?),
            (None, true) => Input::Pipe,
            (None, false) => Input::Nothing,
        };
        let mut env = plan.env.clone();
        if matches!(input, Input::Terminal(_)) {
            env.set("TERM", "xterm-256color");
            env.set("SHELL", &shell(&plan));
        }
        if request
            .env
            .iter()
            .any(|variable| variable.name.is_empty() || variable.name.contains(['=', '\0']))
        {
            return Err(Status::invalid_argument("a variable has no usable name"));
        }
        env.extend(&request.env);
        let command = if request.command.is_empty() { vec![shell(&plan)] } else { request.command };
        let wanted = Wanted {
            request_id: request.request_id,
            program: Program {
                command: command.into_iter().map(Into::into).collect(),
                env: env.into_map(),
                working_folder: working_folder(&plan, &request.working_folder),
                oom_score: OOM_SCORE,
            },
            input,
            lossless: request.lossless,
            timeout: millis(request.timeout_ms),
            detach_timeout: millis(request.detach_timeout_ms),
            action: None,
        };
        let session = self.agent.sessions.start(wanted).map_err(|error| refuse_start(&error))?;
        Ok(Response::new(StartReply { session_id: session.id.to_string() }))
    }

    type AttachStream = Stream_<Output>;

    async fn attach(
        &self,
        request: Request<AttachRequest>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let request = request.into_inner();
        let session = self.session(&request.session_id)?;
        if let Some(terminal) = request.terminal {
            session.resize(size(terminal)?, true)?;
        }
        let viewer = session.view(request.from);
        Ok(Response::new(Box::pin(output(session, viewer))))
    }

    async fn input(
        &self,
        request: Request<Streaming<InputRequest>>,
    ) -> Result<Response<InputReply>, Status> {
        let mut messages = request.into_inner();
        let mut session = None;
        let mut written = 0;
        while let Some(message) = messages.message().await? {
            let session = match &session {
                Some(session) => session,
                None => session.insert(self.session(&message.session_id)?),
            };
            let wrote = session.write(&message.data).await;
            wrote.map_err(|_| {
                Status::failed_precondition("nobody reads this session's input any more")
            })?;
            written += message.data.len() as u64;
            if message.end {
                session.end_input().await?;
            }
        }
        Ok(Response::new(InputReply { written }))
    }

    async fn resize(
        &self,
        request: Request<ResizeRequest>,
    ) -> Result<Response<ResizeReply>, Status> {
        let request = request.into_inner();
        let session = self.session(&request.session_id)?;
        let terminal =
            request.terminal.ok_or_else(|| Status::invalid_argument("a size is missing"))?;
        session.resize(size(terminal)?, false)?;
        Ok(Response::new(ResizeReply {}))
    }

    async fn signal(
        &self,
        request: Request<SignalRequest>,
    ) -> Result<Response<SignalReply>, Status> {
        let request = request.into_inner();
        let session = self.session(&request.session_id)?;
        if let Some(grace) = millis(request.cancel_grace_ms) {
            // The caller may go; the end goes on.
            self.agent.tasks.spawn(async move { session.cancel(grace).await });
        } else {
            let signal = Signal::try_from(request.signal);
            let signal = signal.map_err(|_| {
                Status::invalid_argument(format!("there is no signal {}", request.signal))
            })?;
            session.signal(signal);
        }
        Ok(Response::new(SignalReply {}))
    }

    async fn acknowledge(
        &self,
        request: Request<AcknowledgeRequest>,
    ) -> Result<Response<AcknowledgeReply>, Status> {
        self.agent.sessions.acknowledge(&SessionId::from(request.get_ref().session_id.as_str()));
        Ok(Response::new(AcknowledgeReply {}))
    }

    async fn list(
        &self,
        _: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsReply>, Status> {
        let sessions = self.agent.sessions.list();
        Ok(Response::new(ListSessionsReply {
            sessions: sessions.iter().map(|session| session.info()).collect(),
        }))
    }
}

fn working_folder(plan: &Plan, folder: &str) -> PathBuf {
    plan.folder(folder)
}

/// Output, and at its end the exit.
fn output(
    session: Arc<Session>,
    viewer: Viewer,
) -> impl futures_util::Stream<Item = Result<Output, Status>> + Send {
    stream::unfold(Some((session, viewer)), |state| async move {
        let (session, mut viewer) = state?;
        let what = match viewer.next(FRAME_BYTES).await {
            Some(Piece::Gap { from, to }) => What::Gap(Gap { from, to }),
            Some(Piece::Data { offset, tag, bytes }) => {
                What::Data(OutputData { offset, channel: tag.channel.into(), data: bytes })
            }
            // The journal closes after the exit is known.
            None => {
                return Some((Ok(Output { what: Some(What::Exit(session.ended().await)) }), None));
            }
        };
        Some((Ok(Output { what: Some(what) }), Some((session, viewer))))
    })
}
