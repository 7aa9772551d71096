//! A folder that goes with all that is in it: by one rename, instead of one for each file.
//!
//! Nothing may go along that nobody knew of. So the folder is looked through while it is still in its place, where something
//! unknown costs nobody a moment without it; and once more in the trash, where no path leads to it any more. If somebody wrote
//! in between, it goes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{Ready, hand::Task};
use crate::{
    RelPath,
    entry::Digest,
    error::Error,
    fs::{Found, What, is_absent, look_in, names, open_folder_in},
    path::Joined,
    plan::Ended,
    side::{Side, mount},
    threads,
    trash::Note,
};

/// Names in a folder that are not worth a thread.
const FEW: usize = 8;

/// What is expected at a path.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub path: RelPath,
    pub found: Found,
    /// What is known of its content.
    pub content: Option<Digest>,
}

/// A folder, and everything that is expected in it.
pub(crate) struct Gone {
    path: RelPath,
    /// In the order of paths.
    within: Vec<Expected>,
}

impl Gone {
    /// `within`: in any order, without the folder itself.
    pub(crate) fn new(path: RelPath, within: impl IntoIterator<Item = Expected>) -> Self {
        let mut within: Vec<Expected> = within.into_iter().collect();
        within.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Self { path, within }
    }

    /// To be durable before the folder is taken.
    pub(crate) fn note(&self, thing: &str, reason: &str, now_s: u64) -> Note {
        let below = self.path.as_bytes().len() + 1;
        let contents = self.within.iter().filter_map(|expected| {
            let path = expected.path.as_bytes().get(below..)?;
            expected.content.map(|content| (path, content))
        });
        Note::new(thing, &self.path, None, reason, now_s).with_contents(contents)
    }

    /// Whether an open folder has nothing else in it than is expected.
    fn is_all(&self, folder: &OwnedFd) -> io::Result<bool> {
        let names = names(folder.as_fd())?;
        let run = names.len().div_ceil(threads::count()).max(FEW);
        let look = |names| look_at(folder, &self.path, names, &self.within, &mut Vec::new());
        let parts = threads::each(names.chunks(run).collect(), look);
        parts.into_iter().try_fold(true, |is_all, part| Ok(is_all & part?))
    }

    /// Moves the folder into a folder of the trash. `false`: there is more or something else in it than is expected, or it
    /// can't be moved; it is where it was.
    pub(crate) fn take(&self, side: &Side, trash: BorrowedFd<'_>, thing: &str) -> io::Result<bool> {
        let fs = side.fs().as_ref();
        let (parent, name) = self.path.split();
        let Ok(parent) = side.root.folder(parent.as_ref()) else { return Ok(false) };
        if fs.rename_new(parent.as_fd(), name, trash, thing.as_bytes()).is_err() {
            return Ok(false);
        }
        let taken = open_folder_in(trash, thing.as_bytes());
        let is_all = taken.and_then(|folder| self.is_all(&folder));
        if matches!(is_all, Ok(true)) {
            return Ok(true);
        }
        match fs.rename_new(trash, thing.as_bytes(), parent.as_fd(), name) {
            Ok(()) => {}
            // Somebody made it anew: what was taken stays in the trash.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        is_all
            .map(|_| false)
            .or_else(|error| if is_absent(&error) { Ok(false) } else { Err(error) })
    }
}

/// Whether a folder has nothing else than what is expected. If it has, `parts` gets the folders in it that have not.
fn look_through(
    folder: &OwnedFd,
    path: &RelPath,
    expected: &[Expected],
    parts: &mut Vec<RelPath>,
) -> io::Result<bool> {
    look_at(folder, path, &names(folder.as_fd())?, expected, parts)
}

/// The same of some of the names in it.
fn look_at(
    folder: &OwnedFd,
    path: &RelPath,
    names: &[Vec<u8>],
    expected: &[Expected],
    parts: &mut Vec<RelPath>,
) -> io::Result<bool> {
    let mut is_all = true;
    let mut whole = Vec::new();
    let mut joined = Joined::new(Some(path));
    for name in names {
        let path = joined.with(name);
        let found = look_in(folder.as_fd(), name)?;
        let at = expected.binary_search_by(|expected| expected.path.as_bytes().cmp(path));
        let expected_here = at.ok().and_then(|at| expected.get(at));
        let (Some(found), Some(Expected { path, found: known, .. })) = (found, expected_here)
        else {
            is_all = false;
            continue;
        };
        if (found.what, known.what) == (What::Folder, What::Folder) {
            let inner = open_folder_in(folder.as_fd(), name)?;
            // Whatever is mounted there is another's.
            if mount(inner.as_fd())? == mount(folder.as_fd())?
                && look_through(&inner, path, expected, parts)?
            {
                whole.push(path.clone());
            } else {
                is_all = false;
            }
        } else if found.what == What::Folder
            || (found.what, found.stamp) != (known.what, known.stamp)
        {
            is_all = false;
        }
    }
    if !is_all {
        parts.append(&mut whole);
    }
    Ok(is_all)
}

/// A folder that is to go as a whole, with the deletions that this stands for.
pub(crate) struct Tree {
    pub(super) gone: Gone,
    pub(super) tasks: Vec<Task>,
    /// It goes as a whole or not at all.
    pub(super) is_one: bool,
}

/// Readies the folders that go as a whole or not at all.
pub(super) fn look_at_whole(side: &Side, tasks: &mut [Task]) -> Result<(), Error> {
    for task in tasks.iter_mut().filter(|task| matches!(task.ready, Ready::DeleteWhole)) {
        let seen = side.seen_tree(&task.path)?.into_iter().map(|(path, seen)| Expected {
            path,
            found: seen.found,
            content: seen.entry.digest(),
        });
        let gone = Gone::new(task.path.clone(), seen);
        let is_folder = task.expected.is_some_and(|found| found.what == What::Folder);
        let looked = side.root.folder(Some(&task.path)).and_then(|folder| gone.is_all(&folder));
        task.ready = if is_folder && matches!(looked, Ok(true)) {
            Ready::DeleteTree(Box::new(Tree { gone, tasks: Vec::new(), is_one: true }))
        } else {
            Ready::Failed(Ended::Changed)
        };
    }
    Ok(())
}

/// Finds the folders that go with all that is in them, and puts what is in them with the deletion of the folder.
pub(super) fn gather(side: &Side, tasks: &mut Vec<Task>) {
    let is_folder = |task: &Task| task.expected.is_some_and(|found| found.what == What::Folder);
    let mut expected: Vec<Expected> = tasks
        .iter()
        .filter(|task| matches!(task.ready, Ready::Delete))
        .filter_map(|task| {
            let (path, content) = (task.path.clone(), task.content);
            task.expected.map(|found| Expected { path, found, content })
        })
        .collect();
    expected.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let mut outermost: Vec<&RelPath> = Vec::new();
    let folders = || expected.iter().filter(|expected| expected.found.what == What::Folder);
    let known: BTreeSet<&RelPath> = folders().map(|it| &it.path).collect();
    for folder in folders() {
        if !folder.path.ancestors().any(|above| known.contains(&above)) {
            outermost.push(&folder.path);
        }
    }
    let look = |path: &&RelPath| {
        let mut parts = Vec::new();
        let looked = side.root.folder(Some(path));
        let is_all = looked.and_then(|folder| look_through(&folder, path, &expected, &mut parts));
        // What can't be looked at now is dealt with name by name.
        if matches!(is_all, Ok(true)) {
            parts.push((*path).clone());
        }
        parts
    };
    let run = outermost.len().div_ceil(threads::count()).max(1);
    let runs = outermost.chunks(run).collect();
    let found =
        threads::each(runs, |run: &[&RelPath]| run.iter().flat_map(look).collect::<Vec<_>>());
    let mut trees: BTreeMap<RelPath, Vec<Task>> =
        found.into_iter().flatten().map(|path| (path, Vec::new())).collect();
    if trees.is_empty() {
        return;
    }
    let mut rest = Vec::new();
    for task in std::mem::take(tasks) {
        let above =
            task.ready.is_delete().then(|| task.path.ancestors().find(|it| trees.contains_key(it)));
        match above.flatten().and_then(|above| trees.get_mut(&above)) {
            Some(within) => within.push(task),
            None => rest.push(task),
        }
    }
    for mut task in rest {
        let within = if is_folder(&task) { trees.remove(&task.path) } else { None };
        match within {
            // Folders alone leave nothing behind that anybody could miss.
            Some(within) if task.ready.is_delete() && !within.iter().all(is_folder) => {
                let inner = within.iter().filter_map(|task| {
                    let (path, content) = (task.path.clone(), task.content);
                    task.expected.map(|found| Expected { path, found, content })
                });
                let gone = Gone::new(task.path.clone(), inner);
                let tree = Tree { gone, tasks: within, is_one: false };
                task.ready = Ready::DeleteTree(Box::new(tree));
            }
            Some(within) => tasks.extend(within),
            None => {}
        }
        tasks.push(task);
    }
}
