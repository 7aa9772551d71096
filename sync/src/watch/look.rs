//! One look at a root: begun before anything is read, ended when what it found is known.

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, atomic::Ordering},
};

use super::{Blind, Folder, Ground, Inner, RETRY_AFTER, Shared, Watch, dirty::Dirty, session};
use crate::{
    RelPath, clock::Stopwatch, error::Error, exclusions::Exclusions, fs::Root, index::Scan,
    moves::Move,
};

/// Where to look.
#[derive(Debug)]
pub(crate) enum What {
    Everything,
    Only(Dirty),
}

/// A look that goes on. Dropped without an end it takes nothing away from what is dirty.
pub(crate) struct Look {
    shared: Arc<Shared>,
    generation: u64,
    pub what: What,
    /// See [`Inner`].
    is_agreed: bool,
    ended: bool,
}

/// What is not settled: it is looked at again.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    folders: Vec<Folder>,
    trees: Vec<RelPath>,
    linked: Vec<RelPath>,
}

impl Seen {
    /// Before what was learned is taken away.
    pub(crate) fn of(scan: &Scan) -> Self {
        let mut seen = Self::default();
        let unsettled =
            scan.differences.keys().chain(scan.learned.keys()).chain(scan.unknown.keys());
        let mut last: Option<Option<&[u8]>> = None;
        for path in unsettled {
            let folder = path.parts().0;
            if last != Some(folder) {
                last = Some(folder);
                seen.folders.push(path.parent());
            }
        }
        seen.trees = scan.unknown.keys().cloned().collect();
        for Move { from, to } in scan.moved.iter() {
            seen.folders.extend([from.parent(), to.parent()]);
            seen.trees.push(to);
        }
        seen.folders.extend(scan.gone.iter().map(RelPath::parent));
        seen.linked = scan.linked.iter().cloned().collect();
        seen
    }
}

impl Watch {
    /// `is_agreed`: what was agreed still counts, so what is as it was need not be looked at.
    pub(crate) fn look(
        &self,
        root: &Root,
        exclusions: &Exclusions,
        is_agreed: bool,
    ) -> Result<Look, Error> {
        let identity = root.identity().map_err(Error::io("look at the folder to synchronise"))?;
        let ground = Ground { root: identity, exclusions: exclusions.digest() };
        let mut inner = self.shared.lock();
        let read = inner.read_all();
        if inner.ground != Some(ground) {
            inner.forget();
        }
        inner.check_mounts(root);
        let is_trusted =
            inner.trusted.is_some_and(|since| since.elapsed() < self.shared.full_every);
        let is_known = is_agreed && inner.is_compared;
        let what = if is_known && read.all && is_trusted {
            What::Only(inner.dirty.take())
        } else {
            inner.begin(&self.shared, root, ground);
            self.shared.full_looks.fetch_add(1, Ordering::Relaxed);
            What::Everything
        };
        self.shared.looks.fetch_add(1, Ordering::Relaxed);
        let generation = inner.generation;
        drop(inner);
        Ok(Look { shared: Arc::clone(&self.shared), generation, what, is_agreed, ended: false })
    }
}

impl Inner {
    /// Everything is looked at, and watched from then on where that can be done.
    fn begin(&mut self, shared: &Arc<Shared>, root: &Root, ground: Ground) {
        (self.trusted, self.dirty) = (None, Dirty::default());
        let waits = |blind: &Blind| blind.lasts && blind.since.elapsed() < RETRY_AFTER;
        if self.session.is_some() || self.blind.as_ref().is_some_and(waits) {
            return;
        }
        self.generation += 1;
        match session::Session::begin(shared, self.generation) {
            Ok(session) => {
                (self.session, self.ground) = (Some(session), Some(ground));
                self.obstacle(root);
            }
            Err(reason) => self.lose(reason, true),
        }
    }

    fn check_mounts(&mut self, root: &Root) {
        let Some(session) = &self.session else { return };
        match session.mounts.changed() {
            Ok(false) => {}
            Ok(true) => self.obstacle(root),
            Err(error) => self.lose(format!("it can't be told what is mounted: {error}"), true),
        }
    }

    fn obstacle(&mut self, root: &Root) {
        let Some(session) = &mut self.session else { return };
        match session.mounts.obstacle(root.fd()) {
            Ok(None) => {}
            Ok(Some(obstacle)) => self.lose(obstacle, true),
            Err(error) => self.lose(format!("it can't be told what is mounted: {error}"), true),
        }
    }
}

impl Look {
    /// Of a folder that was opened, and of which nothing was read yet.
    pub(crate) fn watch(&self, folder: Option<&RelPath>, fd: BorrowedFd<'_>) {
        let mut inner = self.shared.lock();
        if inner.generation == self.generation {
            inner.watch(folder, fd);
        }
    }

    pub(crate) fn is_of_everything(&self) -> bool {
        matches!(self.what, What::Everything)
    }

    /// What it found is remembered.
    pub(crate) fn end(mut self, seen: Seen) {
        self.ended = true;
        let mut inner = self.shared.lock();
        if inner.generation != self.generation || inner.session.is_none() {
            return;
        }
        for folder in seen.folders {
            inner.dirty.folder(folder);
        }
        for folder in seen.trees {
            inner.dirty.tree(folder);
        }
        let mut is_new = false;
        for file in seen.linked {
            is_new |= inner.dirty.linked(file);
        }
        if self.is_of_everything() {
            inner.trusted = Some(Stopwatch::start());
            inner.is_compared = self.is_agreed;
            inner.blind = None;
        } else if is_new {
            // Its other names may be anywhere.
            inner.trusted = None;
            drop(inner);
            self.shared.tell(1);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let What::Only(dirty) = &mut self.what else { return };
        if self.ended {
            return;
        }
        let dirty = std::mem::take(dirty);
        let mut inner = self.shared.lock();
        if inner.generation == self.generation {
            inner.dirty.put_back(dirty);
        }
    }
}
