//! A build's log on its way into the store: in batches, so that a builder that prints a lot does not wait for the disk
//! line by line, and bounded, so that it waits when the disk is behind.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::BuildService;
use crate::{
    app::AppError,
    builder::{LogLine, LogSink, LogStream},
    domain::ids::BuildId,
    store::BuildLogLine,
};

/// Lines on their way.
const QUEUE: usize = 1024;

/// The end that builders write to.
pub(super) struct LogWriter(mpsc::Sender<LogLine>);

#[async_trait]
impl LogSink for LogWriter {
    async fn line(&self, line: LogLine) {
        // The reader is there as long as the build runs; without it nobody could read the line either.
        drop(self.0.send(line).await);
    }
}

/// Both ends: the future keeps lines until the writer is dropped.
pub(super) fn channel(
    service: Arc<BuildService>,
    id: BuildId,
) -> (LogWriter, impl Future<Output = Result<(), AppError>> + Send) {
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let keep = async move {
        let mut batch = Vec::with_capacity(QUEUE);
        while receiver.recv_many(&mut batch, QUEUE).await > 0 {
            let at = service.clock.now();
            let lines: Vec<BuildLogLine> = batch
                .drain(..)
                .map(|line: LogLine| BuildLogLine {
                    seq: 0,
                    at,
                    node: line.node,
                    stream: match line.stream {
                        LogStream::Build => "build".into(),
                        LogStream::Stdout => "stdout".into(),
                        LogStream::Stderr => "stderr".into(),
                    },
                    text: line.text,
                })
                .collect();
            let seq = service.store.append_build_log(&id, &lines).await?;
            if let Some(live) = service.live.lock().await.get(&id) {
                live.changed.send_replace(seq);
            }
        }
        Ok(())
    };
    (LogWriter(sender), keep)
}
