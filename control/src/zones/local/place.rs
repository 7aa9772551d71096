//! Where a zone's parts lie: the files, and beside them its history, trash, staging folder, the engine's state and a lock.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use crate::domain::zone::{ZoneOwner, ZoneRef};

#[derive(Debug, Clone)]
pub(super) struct Place {
    pub root: PathBuf,
    pub git: PathBuf,
    pub trash: PathBuf,
    pub stage: PathBuf,
    pub state: PathBuf,
    lock: PathBuf,
    /// Begins the names of what this process stages.
    run: String,
}

impl Place {
    pub(super) fn of(zones: &Path, zone: &ZoneRef, run: &str) -> Self {
        // Owners' names are validated: no separators, never empty, no dot at the beginning.
        let (scope, owner) = match zone.owner() {
            ZoneOwner::Project(key) => ("project", key.as_str()),
            ZoneOwner::Studio(id) => ("studio", id.as_str()),
            ZoneOwner::User(login) => ("user", login.as_str()),
        };
        let owner = zones.join(scope).join(owner);
        let kind = zone.kind().name();
        let beside = |what: &str| owner.join(format!("{kind}.{what}"));
        Self {
            root: owner.join(kind),
            git: beside("git"),
            trash: beside("trash"),
            stage: beside("stage"),
            state: beside("state"),
            lock: beside("lock"),
            run: run.to_owned(),
        }
    }

    /// A name in the staging folder that nobody else uses.
    pub(super) fn stage_name(&self) -> Vec<u8> {
        format!("{}-{}", self.run, crate::auth::token::random()).into_bytes()
    }

    /// Whether something in the staging folder is of a process that is no more.
    pub(super) fn left_over(&self, name: &[u8]) -> bool {
        !name.starts_with(self.run.as_bytes())
    }

    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [&self.root, &self.trash, &self.stage, &self.state] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// Keeps other programs out, such as a second control plane. Waits.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&self.lock)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// Everything but the lock, which others may wait for.
    pub(super) fn parts(&self) -> [&Path; 5] {
        [&self.root, &self.git, &self.trash, &self.stage, &self.state]
    }
}
