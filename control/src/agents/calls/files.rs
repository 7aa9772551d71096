//! Files of the container.

use std::{io, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, future::ready};
use proto::agent::v1::{
    ListFilesRequest, ReadFileRequest, StatRequest, WriteFileRequest, files_client::FilesClient,
};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{super::convert, AgentHub, QUICK, client, error};
use crate::{
    app::{
        AppError,
        agent_calls::{FileCalls, Pieces},
    },
    domain::{ids::StudioId, session::ContainerFile},
};

/// A write without progress for so long has failed.
const STALLED: Duration = Duration::from_mins(2);

#[async_trait]
impl FileCalls for AgentHub {
    async fn stat(&self, studio: &StudioId, path: &[u8]) -> Result<ContainerFile, AppError> {
        let mut files = client!(FilesClient<_>, self.control(studio)?);
        let request = StatRequest { path: Bytes::copy_from_slice(path) };
        Ok(convert::file(error::call(QUICK, "file", files.stat(request)).await?))
    }

    async fn list_files(
        &self,
        studio: &StudioId,
        path: &[u8],
        after: &[u8],
        limit: u32,
    ) -> Result<(Vec<ContainerFile>, bool), AppError> {
        let mut files = client!(FilesClient<_>, self.control(studio)?);
        let request = ListFilesRequest {
            path: Bytes::copy_from_slice(path),
            after: Bytes::copy_from_slice(after),
            limit,
        };
        let page = error::call(QUICK, "folder", files.list(request)).await?;
        Ok((page.entries.into_iter().map(convert::file).collect(), page.more))
    }

    async fn read_file(
        &self,
        studio: &StudioId,
        path: &[u8],
        from: u64,
        length: Option<u64>,
    ) -> Result<Pieces<Bytes>, AppError> {
        if length == Some(0) {
            // On the wire 0 means to the end.
            return Ok(futures_util::stream::empty().boxed());
        }
        let mut files = client!(FilesClient<_>, self.bulk(studio).await?);
        let request = ReadFileRequest {
            path: Bytes::copy_from_slice(path),
            from,
            length: length.unwrap_or(0),
        };
        let pieces = error::call(QUICK, "file", files.read(request)).await?;
        Ok(pieces
            .map(|piece| match piece {
                Ok(piece) => Ok(piece.data),
                Err(status) => Err(error::from_status("file", &status)),
            })
            .boxed())
    }

    async fn write_file(
        &self,
        studio: &StudioId,
        path: &[u8],
        mode: u32,
        mut content: Pieces<Bytes>,
    ) -> Result<ContainerFile, AppError> {
        let mut files = client!(FilesClient<_>, self.bulk(studio).await?);
        let (send, receive) = mpsc::channel(4);
        let path = Bytes::copy_from_slice(path);
        // A stream whose call is given up may end well before it is reset.
        let first = WriteFileRequest { path, mode, marks_last: true, ..Default::default() };
        let requests = futures_util::stream::once(ready(first)).chain(ReceiverStream::new(receive));
        let broken = CancellationToken::new();
        let feed = async {
            // Ends with this block, so that the request ends.
            let send = send;
            let hand_on = async |message: WriteFileRequest| match tokio::time::timeout(
                STALLED,
                send.send(message),
            )
            .await
            {
                Ok(Ok(())) => Ok(true),
                // The agent has answered already: what, the call says.
                Ok(Err(_)) => Ok(false),
                Err(_) => {
                    broken.cancel();
                    let why = "its agent takes no more bytes".to_owned();
                    Err(AppError::Unreachable { why })
                }
            };
            while let Some(piece) = content.next().await {
                let mut data = match piece {
                    Ok(data) => data,
                    Err(why) => {
                        broken.cancel();
                        return Err(why);
                    }
                };
                while !data.is_empty() {
                    let data = data.split_to(data.len().min(proto::FRAME_BYTES));
                    let message = WriteFileRequest { data, ..WriteFileRequest::default() };
                    if !hand_on(message).await? {
                        return Ok(());
                    }
                }
            }
            hand_on(WriteFileRequest { last: true, ..WriteFileRequest::default() }).await?;
            Ok(())
        };
        let written = async {
            tokio::select! {
                // Dropping the call resets the stream, so that the agent does not wait for the rest.
                () = broken.cancelled() => None,
                written = files.write(requests) => Some(written),
            }
        };
        let (fed, written) = tokio::join!(feed, written);
        fed?;
        match written {
            Some(Ok(info)) => Ok(convert::file(info.into_inner())),
            Some(Err(status)) => Err(error::from_status("file", &status)),
            None => Err(error::gone()),
        }
    }

    async fn tunnel(&self, studio: &StudioId, port: u16) -> io::Result<DuplexStream> {
        super::tunnel::open(self, studio, port).await
    }
}
