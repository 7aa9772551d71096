//! A studio's folder: what is written down about its pod, and what the pod may write.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{domain::ids::StudioId, process_identity::ProcessIdentity, runtime::Placement};

/// What was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pod {
    pub(super) placement: Placement,
    pub(super) epoch: u64,
}

pub(super) struct StudioFolder(PathBuf);

/// Folders that the studio writes into.
const INSIDE: [&str; 4] = ["workspace", "home", "state", "tmp"];
/// What survives where the files could not be brought back.
const KEPT: [&str; 2] = ["workspace", "home"];
/// How much of the agent's log is told.
const LAST_WORDS_BYTES: usize = 2000;

/// Studios that have a folder.
pub(super) fn studios(root: &Path) -> io::Result<Vec<StudioId>> {
    let mut studios = Vec::new();
    for entry in fs::read_dir(root)? {
        studios.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(studios)
}

impl StudioFolder {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.clone() } else { self.0.join(name) }
    }

    pub(super) fn text(&self, name: &str) -> io::Result<String> {
        super::path_text(&self.path(name))
    }

    pub(super) fn pod(&self) -> Option<Pod> {
        serde_json::from_slice(&fs::read(self.path("pod.json")).ok()?).ok()
    }

    pub(super) fn agent(&self) -> Option<ProcessIdentity> {
        ProcessIdentity::load(&self.path("agent.pid"))
    }

    /// Makes the folders and writes the pod down; files that were kept stay.
    pub(super) fn make(&self, pod: &Pod) -> io::Result<()> {
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for name in INSIDE {
            private.create(self.path(name))?;
        }
        remove_file(&self.path("agent.pid"))?;
        let fresh = self.path("pod.json.new");
        fs::write(&fresh, serde_json::to_vec(pod)?)?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(fresh, self.path("pod.json"))
    }

    /// Resolves when the agent has written down who it is.
    pub(super) async fn wait_for_agent(&self, longest: Duration) -> io::Result<ProcessIdentity> {
        let deadline = tokio::time::Instant::now() + longest;
        loop {
            if let Some(identity) = self.agent() {
                return Ok(identity);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the agent did not start in time",
                ));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The end of the agent's log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read(self.path("agent.log")).unwrap_or_default();
        let from = log.len().saturating_sub(LAST_WORDS_BYTES);
        let words = String::from_utf8_lossy(&log[from..]).trim().to_owned();
        if words.is_empty() { "the agent ended without a word".into() } else { words }
    }

    pub(super) fn remove(&self, keep_files: bool) -> io::Result<()> {
        if !keep_files {
            return remove_all(&self.0);
        }
        for name in INSIDE.iter().filter(|name| !KEPT.contains(name)) {
            remove_all(&self.path(name))?;
        }
        for name in ["pod.json", "agent.pid", "agent.log"] {
            remove_file(&self.path(name))?;
        }
        Ok(())
    }
}

fn remove_all(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Folders without write permission, as package managers leave them.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs::remove_dir_all(folder)
        }
        other => other,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
