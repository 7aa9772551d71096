//! One run: frames in, frames out, an engine between them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use proto::agent::v1::{SyncFrame, sync_frame::What};
use sync::{CancelFlag, LinkError, MESSAGE_LIMIT_BYTES};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::link::{Link, WAITING};
use super::{Busy, Engine, Target};

/// Runs the engine on a blocking thread; the stream is what it sends, and its error at the end. Dropping the stream cancels the
/// run; the mount stays busy until the engine has noticed. `ended` is called then, after whatever became of it.
pub(crate) fn exchange<S, E>(
    tasks: &TaskTracker,
    engine: Engine,
    target: Target,
    busy: Busy,
    incoming: S,
    ended: E,
) -> impl Stream<Item = Result<SyncFrame, Status>> + Send + use<S, E>
where
    E: FnOnce(Duration) + Send + 'static,
    S: Stream<Item = Result<SyncFrame, Status>> + Send + Unpin + 'static,
{
    let cancel = CancellationToken::new();
    let (to_engine, from_peer) = mpsc::channel(WAITING);
    let (to_peer, from_engine) = mpsc::channel(WAITING);
    let (tell_end, end) = oneshot::channel();
    let feeding = feed(incoming, to_engine);
    let stop = cancel.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = feeding => {}
            () = stop.cancelled() => {}
        }
    });
    let flag = CancelFlag::default();
    let ending = Ending { flag: flag.clone(), _feeding: cancel.drop_guard() };
    tasks.spawn_blocking(move || {
        let mut link = Link { incoming: from_peer, outgoing: to_peer };
        let began = Instant::now();
        let done = engine(&target, &mut link, &flag);
        ended(began.elapsed());
        // First the end is known, then the last message can be read: so the stream never ends without it.
        tell_end.send(done).ok();
        drop((link, busy));
    });
    answers(from_engine, end, ending)
}

/// Ends a run when it is dropped.
struct Ending {
    flag: CancelFlag,
    /// Nothing is fed any more.
    _feeding: DropGuard,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.flag.cancel();
    }
}

/// What the engine sends, then how it ended.
fn answers(
    from_engine: mpsc::Receiver<Bytes>,
    end: oneshot::Receiver<Result<(), String>>,
    ending: Ending,
) -> impl Stream<Item = Result<SyncFrame, Status>> + Send {
    // The ending comes first: an engine that sees its link go must see the cancellation too.
    stream::unfold(Some((ending, from_engine, end)), |state| async move {
        let (ending, mut from_engine, end) = state?;
        if let Some(message) = from_engine.recv().await {
            let frame = SyncFrame { what: Some(What::Message(message)) };
            return Some((Ok(frame), Some((ending, from_engine, end))));
        }
        match end.await {
            Ok(Ok(())) => None,
            Ok(Err(message)) => Some((Err(Status::aborted(message)), None)),
            Err(_) => Some((
                Err(Status::internal("the synchronisation engine ended without a word")),
                None,
            )),
        }
    })
}

/// Carries the peer's messages to the engine, until either ends.
async fn feed<S>(mut incoming: S, to_engine: mpsc::Sender<Result<Bytes, LinkError>>)
where
    S: Stream<Item = Result<SyncFrame, Status>> + Unpin,
{
    while let Some(frame) = incoming.next().await {
        let message = match frame.map(|frame| frame.what) {
            Ok(Some(What::Message(message))) if message.len() > MESSAGE_LIMIT_BYTES => {
                Err(LinkError::TooLong { bytes: message.len() })
            }
            Ok(Some(What::Message(message))) => Ok(message),
            Ok(Some(What::Open(_)) | None) => {
                Err(LinkError::Peer { message: "a frame without a message came".to_owned() })
            }
            Err(_) => Err(LinkError::Gone),
        };
        let last = message.is_err();
        if to_engine.send(message).await.is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use sync::Link as _;

    use super::*;
    use crate::mounts::Mounts;

    fn target() -> Target {
        Target {
            root: "/r".into(),
            state_dir: "/s".into(),
            identity: "pod".into(),
            one_way: false,
            exclusions: vec![],
            watched: None,
        }
    }

    fn message(bytes: Vec<u8>) -> SyncFrame {
        SyncFrame { what: Some(What::Message(bytes.into())) }
    }

    /// Sends back what comes; ends well only after a clean end.
    fn echo(_: &Target, link: &mut Link, _: &CancelFlag) -> Result<(), String> {
        while let Some(message) = link.recv().map_err(|error| error.to_string())? {
            link.send(message).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn run(
        engine: Engine,
        incoming: Vec<Result<SyncFrame, Status>>,
    ) -> (usize, Option<String>, Mounts) {
        let (tasks, mounts) = (TaskTracker::new(), Mounts::default());
        let busy = mounts.take("m").unwrap();
        let mut answers =
            Box::pin(exchange(&tasks, engine, target(), busy, stream::iter(incoming), |_| ()));
        let (mut count, mut error) = (0, None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => count += 1,
                Err(status) => error = Some(status.message().to_owned()),
            }
        }
        tasks.close();
        tasks.wait().await;
        (count, error, mounts)
    }

    #[tokio::test]
    async fn carries_many_messages_and_ends_cleanly() {
        let incoming = (0..1_000).map(|_| Ok(message(vec![7; 1_000]))).collect();
        let (count, error, mounts) = run(echo, incoming).await;
        assert_eq!((count, error), (1_000, None));
        assert!(mounts.take("m").is_some(), "the mount is free again");
    }

    #[tokio::test]
    async fn a_broken_or_rude_peer_ends_the_run_with_a_reason() {
        let lost = vec![Ok(message(vec![1])), Err(Status::cancelled("gone"))];
        assert_eq!(run(echo, lost).await.1.as_deref(), Some("the connection was lost"));
        let long = vec![Ok(message(vec![1; MESSAGE_LIMIT_BYTES + 1]))];
        let reason = run(echo, long).await.1.unwrap();
        assert!(reason.contains("longer than 1 MiB"), "{reason}");
        let empty = vec![Ok(SyncFrame { what: None })];
        assert_eq!(run(echo, empty).await.1.as_deref(), Some("a frame without a message came"));
    }

    #[tokio::test]
    async fn a_dropped_stream_cancels_the_engine_and_frees_the_mount() {
        static SAW_IT: AtomicBool = AtomicBool::new(false);
        fn stubborn(_: &Target, link: &mut Link, cancel: &CancelFlag) -> Result<(), String> {
            loop {
                if let Err(error) = link.send(Bytes::from_static(b"x")) {
                    SAW_IT.store(cancel.is_cancelled(), Ordering::SeqCst);
                    return Err(error.to_string());
                }
            }
        }
        let (tasks, mounts) = (TaskTracker::new(), Mounts::default());
        let busy = mounts.take("m").unwrap();
        assert!(mounts.take("m").is_none(), "one run a mount");
        let mut answers =
            Box::pin(exchange(&tasks, stubborn, target(), busy, stream::pending(), |_| ()));
        answers.next().await.unwrap().unwrap();
        drop(answers);
        tasks.close();
        tasks.wait().await;
        assert!(SAW_IT.load(Ordering::SeqCst), "the engine sees the cancellation");
        assert!(mounts.take("m").is_some());
    }
}
