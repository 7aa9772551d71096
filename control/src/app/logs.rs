//! Entrypoints' logs, kept on the server, so that they can be read when the pod is gone: above all after it crashed.
//!
//! While a studio lives, each of its logs is followed into a file of its own; two files of at most 1 MiB hold the newest output.

use std::{
    collections::HashSet,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{AppError, agent_calls::AgentCalls, studios::StudioService};
use crate::{
    domain::{
        ids::StudioId,
        session::{LogPiece, LogQuery},
    },
    store::Store,
};

/// Of each of an entrypoint's two files.
const FILE_BYTES: u64 = 1 << 20;
/// How often everything is looked at, whatever events say.
const PERIOD: Duration = Duration::from_secs(10);

/// Where a kept log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Mark {
    epoch: u64,
    /// In the agent's log.
    offset: u64,
}

/// What the file of a mark holds. It is replaced whole, after the log has grown: what the log has beyond `length` was kept by
/// somebody who died before they could say so, and is fetched again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Standing {
    #[serde(flatten)]
    mark: Mark,
    /// Of the newer file.
    length: u64,
}

/// Files of kept logs.
#[derive(Debug)]
pub struct KeptLogs {
    folder: PathBuf,
}

impl KeptLogs {
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn file(&self, studio: &StudioId, entrypoint: &str, what: &str) -> PathBuf {
        let name = blake3::hash(entrypoint.as_bytes()).to_hex();
        self.folder.join(studio.as_str()).join(format!("{}.{what}", name.as_str()))
    }

    fn standing(&self, studio: &StudioId, entrypoint: &str) -> Standing {
        let text = fs::read(self.file(studio, entrypoint, "mark")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Where a log stands; output that nobody has accounted for is cut off.
    fn resume(&self, studio: &StudioId, entrypoint: &str) -> io::Result<Mark> {
        let standing = self.standing(studio, entrypoint);
        match fs::OpenOptions::new().write(true).open(self.file(studio, entrypoint, "log")) {
            Ok(log) if log.metadata()?.len() > standing.length => log.set_len(standing.length)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(standing.mark)
    }

    fn append(
        &self,
        studio: &StudioId,
        entrypoint: &str,
        data: &[u8],
        mark: Mark,
    ) -> io::Result<()> {
        let file = self.file(studio, entrypoint, "log");
        fs::create_dir_all(self.folder.join(studio.as_str()))?;
        let before = fs::metadata(&file).map_or(0, |known| known.len());
        let added = data.len() as u64;
        let mut length = before + added;
        if length > FILE_BYTES && before > 0 {
            let mark = self.standing(studio, entrypoint).mark;
            fs::rename(&file, self.file(studio, entrypoint, "older"))?;
            self.stand(studio, entrypoint, Standing { mark, length: 0 })?;
            length = added;
        }
        let mut open = fs::OpenOptions::new().create(true).append(true).open(&file)?;
        io::Write::write_all(&mut open, data)?;
        self.stand(studio, entrypoint, Standing { mark, length })
    }

    fn stand(&self, studio: &StudioId, entrypoint: &str, standing: Standing) -> io::Result<()> {
        let new = self.file(studio, entrypoint, "mark.new");
        fs::write(&new, serde_json::to_vec(&standing)?)?;
        fs::rename(new, self.file(studio, entrypoint, "mark"))
    }

    /// Everything that is kept of a log; `None`: nothing.
    pub fn read(&self, studio: &StudioId, entrypoint: &str) -> Option<Vec<u8>> {
        let read = |what| fs::read(self.file(studio, entrypoint, what)).ok();
        match (read("older"), read("log")) {
            (None, None) => None,
            (older, newer) => {
                let mut all = older.unwrap_or_default();
                all.extend(newer.unwrap_or_default());
                Some(all)
            }
        }
    }

    /// Of a studio that is deleted.
    pub fn forget(&self, studio: &StudioId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join(studio.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Follows logs into files.
pub struct LogKeeper {
    pub kept: Arc<KeptLogs>,
    pub store: Arc<dyn Store>,
    pub studios: Arc<StudioService>,
    pub agents: Arc<dyn AgentCalls>,
    pub tracker: TaskTracker,
}

type Followed = Arc<Mutex<HashSet<(StudioId, u64, String)>>>;

impl LogKeeper {
    /// Runs until shut down.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut changes = self.studios.changes();
        let mut period = tokio::time::interval(PERIOD);
        let followed = Followed::default();
        loop {
            let changed = tokio::select! {
                () = shutdown.cancelled() => return,
                change = changes.recv() => match change {
                    Ok(studio) => vec![studio],
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
                _ = period.tick() => match self.store.studios(None).await {
                    Ok(studios) => studios.into_iter().map(|studio| studio.id).collect(),
                    Err(error) => {
                        tracing::warn!(%error, "logs of new studios may not be kept");
                        continue;
                    }
                },
            };
            for studio in changed {
                match self.store.studio(&studio).await {
                    Ok(Some(_)) => self.look(&studio, &followed, &shutdown),
                    // Deleted: its logs go with it.
                    Ok(None) => drop(self.kept.forget(&studio)),
                    Err(error) => tracing::warn!(%studio, %error, "its logs may not be kept"),
                }
            }
        }
    }

    fn look(&self, studio: &StudioId, followed: &Followed, shutdown: &CancellationToken) {
        let view = self.agents.watch(studio);
        let view = view.borrow();
        if !view.connected {
            return;
        }
        for entrypoint in &view.entrypoints {
            let key = (studio.clone(), view.epoch, entrypoint.id.clone());
            let new =
                followed.lock().expect("nobody panics while they hold this").insert(key.clone());
            if !new {
                continue;
            }
            let (kept, agents) = (Arc::clone(&self.kept), Arc::clone(&self.agents));
            let (followed, shutdown) = (Arc::clone(followed), shutdown.clone());
            self.tracker.spawn(async move {
                let following = follow(&kept, &*agents, &key);
                // An agent that goes away ends it; when it is back, it is looked at anew.
                if let Some(Err(error)) = shutdown.run_until_cancelled(following).await {
                    tracing::debug!(studio = %key.0, entrypoint = key.2, %error, "a log is no longer followed");
                }
                followed.lock().expect("nobody panics while they hold this").remove(&key);
            });
        }
    }
}

async fn follow(
    kept: &KeptLogs,
    agents: &dyn AgentCalls,
    (studio, epoch, entrypoint): &(StudioId, u64, String),
) -> Result<(), AppError> {
    let failed = |error| AppError::internal("keeping a log", error);
    let mut mark = kept.resume(studio, entrypoint).map_err(failed)?;
    if mark.epoch != *epoch {
        mark = Mark { epoch: *epoch, offset: 0 };
    }
    let query = LogQuery { follow: true, from: mark.offset, ..LogQuery::default() };
    let mut pieces = agents.read_log(studio, entrypoint, &query).await?;
    while let Some(piece) = pieces.next().await {
        match piece? {
            LogPiece::Chunk { offset, data, .. } => {
                mark.offset = offset + data.len() as u64;
                kept.append(studio, entrypoint, &data, mark).map_err(failed)?;
            }
            LogPiece::Gap { from, to } => {
                mark.offset = to;
                let gap = format!("\n[{} bytes are missing here]\n", to.saturating_sub(from));
                kept.append(studio, entrypoint, gap.as_bytes(), mark).map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// The last lines of a text.
pub fn tail(text: &[u8], lines: usize) -> &[u8] {
    let trimmed = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = trimmed.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match (lines, ends.map(|(at, _)| at).nth(lines.saturating_sub(1))) {
        (0, _) => &[],
        (_, Some(at)) => text.split_at(at + 1).1,
        (_, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        let text = b"a\nb\nc\n";
        assert_eq!(tail(text, 2), b"b\nc\n");
        assert_eq!(tail(text, 9), text);
        assert_eq!(tail(text, 0), b"");
        assert_eq!(tail(b"a\nb", 1), b"b");
    }

    #[test]
    fn two_files_hold_the_newest_output() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptLogs::new(folder.path().to_owned());
        let studio: StudioId = "aaaaaaaa".parse().unwrap();
        let line = vec![b'x'; 300 << 10];
        for offset in 0..10 {
            kept.append(&studio, "web", &line, Mark { epoch: 1, offset }).unwrap();
        }
        kept.append(&studio, "web", b"last", Mark { epoch: 1, offset: 10 }).unwrap();
        let all = kept.read(&studio, "web").unwrap();
        assert!(all.ends_with(b"last") && all.len() as u64 <= 2 * FILE_BYTES);
        assert_eq!(kept.resume(&studio, "web").unwrap(), Mark { epoch: 1, offset: 10 });
        kept.forget(&studio).unwrap();
        assert_eq!(kept.read(&studio, "web"), None);
    }

    #[test]
    fn output_kept_by_somebody_who_died_before_the_mark_is_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptLogs::new(folder.path().to_owned());
        let studio: StudioId = "aaaaaaaa".parse().unwrap();
        kept.append(&studio, "web", b"one\n", Mark { epoch: 1, offset: 4 }).unwrap();
        let mark = kept.file(&studio, "web", "mark");
        let before = fs::read(&mark).unwrap();
        kept.append(&studio, "web", b"two\n", Mark { epoch: 1, offset: 8 }).unwrap();
        fs::write(&mark, before).unwrap();
        assert_eq!(kept.resume(&studio, "web").unwrap(), Mark { epoch: 1, offset: 4 });
        kept.append(&studio, "web", b"two\n", Mark { epoch: 1, offset: 8 }).unwrap();
        assert_eq!(kept.read(&studio, "web").unwrap(), b"one\ntwo\n");
    }
}
