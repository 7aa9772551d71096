//! `Logs`: what entrypoints print.

use futures_util::stream;
use proto::FRAME_BYTES;
use proto::agent::v1::{
    Gap, LogChunk, LogMessage, ReadLogRequest, log_message::What, logs_server::Logs,
};
use tonic::{Request, Response, Status};

use super::{Service, Stream_};
use crate::output::Piece;

#[tonic::async_trait]
impl Logs for Service {
    type ReadStream = Stream_<LogMessage>;

    async fn read(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let journal = self.agent.supervisor.log(&request.entrypoint_id);
        let journal = journal.map_err(|error| Status::not_found(error.to_string()))?;
        let from = if request.from != 0 {
            request.from
        } else {
            let since =
                if request.since_ms == 0 { 0 } else { journal.offset_since(request.since_ms) };
            let tail = if request.tail_lines == 0 {
                0
            } else {
                journal.offset_of_tail(request.tail_lines)
            };
            since.max(tail)
        };
        // Without `follow`, what comes after now is not read: a chatty server would never let the answer end.
        let until = if request.follow { u64::MAX } else { journal.end() };
        let viewer = journal.view(from);
        let stream = stream::unfold(viewer, move |mut viewer| async move {
            let left = until.saturating_sub(viewer.position());
            if left == 0 {
                return None;
            }
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME_BYTES);
            let what = match viewer.next(limit).await? {
                Piece::Gap { from, to } => What::Gap(Gap { from, to }),
                Piece::Data { offset, tag, bytes } => What::Chunk(LogChunk {
                    offset,
                    channel: tag.channel.into(),
                    at_ms: tag.at_ms,
                    restart: tag.restart,
                    data: bytes,
                }),
            };
            Some((Ok(LogMessage { what: Some(what) }), viewer))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
