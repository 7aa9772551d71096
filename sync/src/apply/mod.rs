//! Carrying out operations so that a crash at any point, and a user who writes at the same moment, lose nothing.
//!
//! In batches: contents are staged and verified; made durable; looked at once more; made visible by renames that never
//! overwrite (`RENAME_NOREPLACE`) or that swap (`RENAME_EXCHANGE`), after which what was displaced is inspected: as expected, it
//! goes to the trash; otherwise somebody wrote in between, and their version is kept under a conflict name. Then folders are
//! made durable; only then may anything be remembered.

mod change;
mod names;

pub(crate) use names::{conflict_name, copy_prefix};

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
};

use crate::{
    RelPath, entry::Entry, error::Error, fs::Found, index::Known, plan::Ended, side::Side,
    state::Updates, transfer::Staged,
};

/// Up to so many files or folders are flushed one by one; more by flushing the file system.
const FLUSHED_ALONE: usize = 64;
/// A batch is committed when it has so many operations,
const BATCH_OPERATIONS: usize = 2_000;
/// or so many bytes.
const BATCH_BYTES: u64 = 256 << 20;

/// What is to happen at a path, with its content at hand.
pub(crate) enum Ready {
    MakeFolder,
    Delete,
    SetExecutable(bool),
    PutFile(Staged),
    PutLink(Box<[u8]>),
    /// It could not be prepared.
    Failed(Ended),
}

/// Carries out operations on one side.
pub(crate) struct Applier<'a> {
    side: &'a Side,
    /// For conflict names and for notes in the trash.
    label: &'a str,
    waiting: Vec<(RelPath, Ready)>,
    waiting_bytes: u64,
    /// What this run made of paths; before what the scan saw.
    made: BTreeMap<RelPath, Option<Found>>,
    /// For the index.
    known: Vec<(RelPath, Option<Known>)>,
    /// Conflict copies of what somebody wrote in the last moment.
    displaced: Vec<RelPath>,
    /// What is staged at this moment is a user's file.
    holds_displaced: bool,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(side: &'a Side, label: &'a str) -> Self {
        Self {
            side,
            label,
            waiting: Vec::new(),
            waiting_bytes: 0,
            made: BTreeMap::new(),
            known: Vec::new(),
            displaced: Vec::new(),
            holds_displaced: false,
        }
    }

    pub(crate) const fn side(&self) -> &'a Side {
        self.side
    }

    /// What should be at a path.
    pub(crate) fn expected(&self, path: &RelPath) -> Result<Option<Found>, Error> {
        match self.made.get(path) {
            Some(made) => Ok(*made),
            None => Ok(self.side.saw(path)?.map(|seen| seen.found)),
        }
    }

    pub(crate) fn add(&mut self, path: RelPath, ready: Ready) {
        if let Ready::PutFile(staged) = &ready {
            self.waiting_bytes += staged.entry.size();
        }
        self.waiting.push((path, ready));
        if self.waiting.len() > FLUSHED_ALONE {
            // They will be flushed together: so many files need not stay open.
            for (_, ready) in &mut self.waiting {
                if let Ready::PutFile(staged) = ready {
                    staged.file = None;
                }
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH_OPERATIONS || self.waiting_bytes >= BATCH_BYTES
    }

    /// Carries out what waits; answers in its order. What it did is durable when it returns.
    pub(crate) fn commit(&mut self) -> Result<Vec<Ended>, Error> {
        let batch = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.flush_contents(&batch).map_err(Error::io("make what came durable"))?;
        let mut ended = Vec::with_capacity(batch.len());
        let mut folders: BTreeSet<Option<RelPath>> = BTreeSet::new();
        for (path, ready) in batch {
            self.side.context.cancel.check()?;
            let is_failed = matches!(ready, Ready::Failed(_));
            let end = self.carry_out(&path, ready)?;
            if end == Ended::Done && !is_failed {
                folders.insert(path.parent());
            }
            ended.push(end);
        }
        self.flush_folders(&folders).map_err(Error::io("make what changed durable"))?;
        Ok(ended)
    }

    /// What is to be remembered of what was made: it saves the next look from reading it.
    pub(crate) fn known(&mut self) -> Result<Updates, Error> {
        let made = std::mem::take(&mut self.known);
        if made.is_empty() { Ok(Updates::new()) } else { self.side.known(made) }
    }

    /// Conflict copies of what somebody wrote in the last moment.
    pub(crate) fn displaced(&self) -> &[RelPath] {
        &self.displaced
    }

    fn flush_contents(&self, batch: &[(RelPath, Ready)]) -> io::Result<()> {
        let fs = self.side.fs();
        if batch.len() > FLUSHED_ALONE {
            let any = batch.iter().any(|(_, ready)| matches!(ready, Ready::PutFile(_)));
            return if any { fs.sync_all(self.side.stage()) } else { Ok(()) };
        }
        for (_, ready) in batch {
            if let Ready::PutFile(Staged { file: Some(file), .. }) = ready {
                fs.sync_file(file)?;
            }
        }
        Ok(())
    }

    fn flush_folders(&self, folders: &BTreeSet<Option<RelPath>>) -> io::Result<()> {
        let fs = self.side.fs();
        if folders.len() > FLUSHED_ALONE {
            return fs.sync_all(self.side.root.fd());
        }
        for folder in folders {
            match self.side.root.folder(folder.as_ref()) {
                Ok(folder) => fs.sync_folder(folder.as_fd())?,
                // Deleted in the same batch.
                Err(error) if crate::fs::is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn now_s(&self) -> u64 {
        self.side.context.clock.now().as_secs()
    }

    /// Remembers what is at a path now.
    fn note(&mut self, path: &RelPath, found: Option<Found>, entry: Option<Entry>) {
        let known = match (found, entry) {
            (None, _) => Some(None),
            (Some(found), Some(Entry::Folder)) => {
                let stamp = found.stamp.of_folder();
                Some(Some(Known { entry: Entry::Folder, stamp, racy: false }))
            }
            (Some(found), Some(entry)) => {
                Some(Some(Known { entry, stamp: found.stamp, racy: true }))
            }
            (Some(_), None) => None,
        };
        self.known.extend(known.map(|known| (path.clone(), known)));
        self.made.insert(path.clone(), found);
    }
}
