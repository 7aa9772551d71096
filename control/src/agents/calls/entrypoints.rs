//! What entrypoints print, and whether they run.

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::ready};
use proto::agent::v1::{
    ControlEntrypointRequest, ReadLogRequest, control_entrypoint_request::Verb,
    logs_client::LogsClient,
};

use super::{super::convert, AgentHub, QUICK, client, error};
use crate::{
    app::{
        AppError,
        agent_calls::{EntrypointCalls, Pieces},
    },
    domain::{
        ids::StudioId,
        session::{EntrypointVerb, LogPiece, LogQuery},
    },
};

#[async_trait]
impl EntrypointCalls for AgentHub {
    async fn read_log(
        &self,
        studio: &StudioId,
        entrypoint: &str,
        query: &LogQuery,
    ) -> Result<Pieces<LogPiece>, AppError> {
        let mut logs = client!(LogsClient<_>, self.control(studio)?);
        let since = query.since.map_or(0, |since| since.unix_timestamp_nanos() / 1_000_000);
        let request = ReadLogRequest {
            entrypoint_id: entrypoint.to_owned(),
            follow: query.follow,
            since_ms: i64::try_from(since).unwrap_or(0),
            tail_lines: query.tail.unwrap_or(0),
            from: query.from,
        };
        let pieces = error::call(QUICK, "entrypoint", logs.read(request)).await?;
        Ok(pieces
            .filter_map(|piece| {
                ready(match piece {
                    Ok(piece) => convert::log(piece).map(Ok),
                    Err(status) => Some(Err(error::from_status("entrypoint", &status))),
                })
            })
            .boxed())
    }

    async fn control_entrypoint(
        &self,
        studio: &StudioId,
        entrypoint: &str,
        verb: EntrypointVerb,
    ) -> Result<(), AppError> {
        let mut session = self.session(studio)?;
        let verb = match verb {
            EntrypointVerb::Restart => Verb::Restart,
            EntrypointVerb::Stop => Verb::Stop,
            EntrypointVerb::Start => Verb::Start,
        };
        let request = ControlEntrypointRequest { id: entrypoint.to_owned(), verb: verb.into() };
        error::call(QUICK, "entrypoint", session.control_entrypoint(request)).await?;
        Ok(())
    }
}
