//! One-off commands, shells and runs of actions.

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::ready};
use proto::agent::v1::{
    AcknowledgeRequest, ActionInput, AttachRequest, InputRequest, ListSessionsRequest,
    ResizeRequest, RunActionRequest, SignalRequest, actions_client::ActionsClient,
    process_client::ProcessClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{super::convert, AgentHub, QUICK, client, error};
use crate::{
    app::{
        AppError,
        agent_calls::{ActionRun, Input, Pieces, SessionCalls},
    },
    domain::{
        ids::StudioId,
        session::{Output, Session, SessionSpec, TerminalSize},
    },
};

/// From TERM to KILL when somebody cancels.
const CANCEL_GRACE_MS: u32 = 5_000;

impl AgentHub {
    fn process(&self, studio: &StudioId) -> Result<ProcessClient<Channel>, AppError> {
        Ok(client!(ProcessClient<_>, self.control(studio)?))
    }

    async fn send_signal(&self, studio: &StudioId, request: SignalRequest) -> Result<(), AppError> {
        let mut process = self.process(studio)?;
        error::call(QUICK, "session", process.signal(request)).await?;
        Ok(())
    }
}

/// At most a frame each.
fn input_requests(Input { mut data, end }: Input) -> Vec<InputRequest> {
    let mut requests = Vec::new();
    while data.len() > proto::FRAME_BYTES {
        let data = data.split_to(proto::FRAME_BYTES);
        requests.push(InputRequest { session_id: String::new(), data, end: false });
    }
    requests.push(InputRequest { session_id: String::new(), data, end });
    requests
}

#[async_trait]
impl SessionCalls for AgentHub {
    async fn start_session(
        &self,
        studio: &StudioId,
        request: &str,
        spec: &SessionSpec,
    ) -> Result<String, AppError> {
        let mut process = self.process(studio)?;
        let start = convert::start(request, spec);
        Ok(error::call(QUICK, "session", process.start(start)).await?.session_id)
    }

    async fn sessions(&self, studio: &StudioId) -> Result<Vec<Session>, AppError> {
        let mut process = self.process(studio)?;
        let list = error::call(QUICK, "sessions", process.list(ListSessionsRequest {})).await?;
        Ok(list.sessions.into_iter().map(convert::session).collect())
    }

    async fn attach(
        &self,
        studio: &StudioId,
        session: &str,
        from: u64,
        size: Option<TerminalSize>,
    ) -> Result<Pieces<Output>, AppError> {
        let mut process = self.process(studio)?;
        let request = AttachRequest {
            session_id: session.to_owned(),
            from,
            terminal: size.map(convert::size),
        };
        let pieces = error::call(QUICK, "session", process.attach(request)).await?;
        Ok(pieces
            .filter_map(|piece| {
                ready(match piece {
                    Ok(piece) => convert::output(piece).map(Ok),
                    Err(status) => Some(Err(error::from_status("session", &status))),
                })
            })
            .boxed())
    }

    async fn input(
        &self,
        studio: &StudioId,
        session: &str,
        mut input: mpsc::Receiver<Input>,
    ) -> Result<u64, AppError> {
        let mut process = self.process(studio)?;
        let (send, requests) = mpsc::channel(4);
        let feed = async move {
            // Names the session at once, so that the call begins before anything is typed.
            let first = InputRequest { session_id: session.to_owned(), ..InputRequest::default() };
            if send.send(first).await.is_err() {
                return;
            }
            while let Some(input) = input.recv().await {
                for request in input_requests(input) {
                    if send.send(request).await.is_err() {
                        return;
                    }
                }
            }
        };
        // No deadline: it lasts as long as somebody types, and ends with the connection.
        let written = process.input(ReceiverStream::new(requests));
        tokio::pin!(written);
        let written = tokio::select! {
            // A process that takes no more ends the call, whether or not somebody still types.
            written = &mut written => written,
            () = feed => written.await,
        };
        match written {
            Ok(reply) => Ok(reply.into_inner().written),
            Err(status) => Err(error::from_status("session", &status)),
        }
    }

    async fn resize(
        &self,
        studio: &StudioId,
        session: &str,
        size: TerminalSize,
    ) -> Result<(), AppError> {
        let mut process = self.process(studio)?;
        let request =
            ResizeRequest { session_id: session.to_owned(), terminal: Some(convert::size(size)) };
        error::call(QUICK, "session", process.resize(request)).await?;
        Ok(())
    }

    async fn signal(&self, studio: &StudioId, session: &str, signal: i32) -> Result<(), AppError> {
        let session_id = session.to_owned();
        self.send_signal(studio, SignalRequest { session_id, signal, cancel_grace_ms: 0 }).await
    }

    async fn cancel_session(&self, studio: &StudioId, session: &str) -> Result<(), AppError> {
        let request = SignalRequest {
            session_id: session.to_owned(),
            signal: 0,
            cancel_grace_ms: CANCEL_GRACE_MS,
        };
        self.send_signal(studio, request).await
    }

    async fn acknowledge(&self, studio: &StudioId, session: &str) -> Result<(), AppError> {
        let mut process = self.process(studio)?;
        let request = AcknowledgeRequest { session_id: session.to_owned() };
        error::call(QUICK, "session", process.acknowledge(request)).await?;
        Ok(())
    }

    async fn run_action(
        &self,
        studio: &StudioId,
        request: &str,
        action: &str,
        inputs: Vec<(String, String)>,
    ) -> Result<ActionRun, AppError> {
        let mut actions = client!(ActionsClient<_>, self.control(studio)?);
        let inputs = inputs.into_iter().map(|(name, value)| ActionInput { name, value }).collect();
        let request = RunActionRequest {
            request_id: request.to_owned(),
            action_id: action.to_owned(),
            inputs,
        };
        let run = error::call(QUICK, "action", actions.run(request)).await?;
        Ok(ActionRun { session: run.session_id, queued_behind: run.queued_behind })
    }
}
