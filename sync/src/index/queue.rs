//! Work that makes more work, for several threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::moved::{Gone, New};
use crate::{RelPath, fs::Found, state::Remembered};

/// A piece of a scan.
#[derive(Debug)]
pub(super) enum Task {
    /// Look into a folder.
    Folder(Folder),
    /// Look at the names in a folder (`None`: the root), and into those folders of which nothing is known.
    Names(Option<RelPath>),
    /// Look into a folder that may be there.
    Tree(RelPath),
    /// Look at a folder of a candidate, which was `before`.
    Same { number: usize, folder: RelPath, before: RelPath },
    /// Tell of a folder that waited, and look into it.
    New(New),
    /// Files of which nothing is known that still holds.
    Read(Vec<(RelPath, Found, Remembered)>),
    /// A folder that waited is no more.
    Lost(Gone),
    /// A folder is no more: neither is what is remembered of its inside.
    Gone(RelPath),
}

/// A folder to look into.
#[derive(Debug)]
pub(super) struct Folder {
    /// `None`: the root.
    pub path: Option<RelPath>,
    /// What it was before, perhaps.
    pub before: Option<RelPath>,
}

#[derive(Default)]
struct Waiting {
    tasks: Vec<Task>,
    /// Tasks that are being worked on, and may make others.
    busy: usize,
    ended: bool,
}

/// Held while a task is worked on. Whoever panics over it ends the work of all: nobody waits for what never comes.
pub(super) struct Busy<'q>(&'q Queue);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
        self.0.done();
    }
}

/// Last in, first out: so few folders wait at a time.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Queue {
    pub(super) fn new(first: Vec<Task>) -> Self {
        let waiting = Waiting { tasks: first, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), more: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, tasks: impl IntoIterator<Item = Task>) {
        let mut waiting = self.lock();
        let before = waiting.tasks.len();
        waiting.tasks.extend(tasks);
        match waiting.tasks.len() - before {
            0 => {}
            1 => self.more.notify_one(),
            _ => self.more.notify_all(),
        }
    }

    /// The next task; waits while another thread may still make one. `None`: all is done, or one broke off.
    pub(super) fn next(&self) -> Option<(Task, Busy<'_>)> {
        let mut waiting = self.lock();
        loop {
            if waiting.ended {
                return None;
            }
            if let Some(task) = waiting.tasks.pop() {
                waiting.busy += 1;
                return Some((task, Busy(self)));
            }
            if waiting.busy == 0 {
                self.more.notify_all();
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self) {
        let mut waiting = self.lock();
        waiting.busy = waiting.busy.saturating_sub(1);
        if waiting.busy == 0 && waiting.tasks.is_empty() {
            self.more.notify_all();
        }
    }

    /// Nobody gets another task.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_thread_that_panics_leaves_nobody_waiting() {
        let queue = Queue::new(vec![Task::Names(None)]);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            crate::threads::each(vec![(); 3], |()| {
                let Some((_, _busy)) = queue.next() else { return };
                panic!("on purpose");
            })
        }));
        assert!(ended.is_err() && queue.next().is_none());
    }
}
