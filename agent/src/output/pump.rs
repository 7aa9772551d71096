//! Moves a process's output into its journal.

use std::sync::Arc;
use std::time::Duration;

use proto::FRAME_BYTES;
use proto::agent::v1::Channel;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Journal, Tag};
use crate::sys::AsyncPipe;

/// After the process has ended, a background child may hold its pipes for this long.
const LINGER: Duration = Duration::from_secs(2);

/// Reads to the end. `ended` turns true when the process has; from then on at most two seconds are spent reading, while time
/// spent waiting for lossless viewers does not count. Returns whether the end was reached.
pub(crate) async fn pump(
    pipe: Arc<AsyncPipe>,
    channel: Channel,
    restart: u32,
    journal: Arc<Journal>,
    mut ended: watch::Receiver<bool>,
) -> bool {
    let mut buffer = vec![0; FRAME_BYTES / 4];
    let mut left = LINGER;
    loop {
        journal.room().await;
        let read = if *ended.borrow() {
            let before = Instant::now();
            let read = timeout(left, pipe.read(&mut buffer)).await;
            left = left.saturating_sub(before.elapsed());
            match read {
                Ok(read) => read,
                Err(_) => return false,
            }
        } else {
            tokio::select! {
                read = pipe.read(&mut buffer) => read,
                changed = ended.wait_for(|ended| *ended) => {
                    if changed.is_err() {
                        return false;
                    }
                    continue;
                }
            }
        };
        match read {
            Ok(0) => return true,
            Ok(count) => {
                let tag = Tag { channel, at_ms: crate::clock::wall_ms(), restart };
                journal.append(tag, buffer.get(..count).unwrap_or_default());
            }
            Err(error) => {
                tracing::warn!(%error, "output of a process can't be read");
                return true;
            }
        }
    }
}
