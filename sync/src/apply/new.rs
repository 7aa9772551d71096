//! New folders are filled where nobody sees them, and come into their place with all that is in them by one rename.

use std::{collections::HashMap, os::fd::AsFd};

use rustix::{
    fs::{Mode, Stat, fgetxattr, fstat},
    io::Errno,
};

use super::{Ready, hand::Task};
use crate::{
    RelPath,
    fs::{Found, look_in},
    side::Side,
};

/// Rules about who may do what, that a folder hands on to what is made in it.
const INHERITED: &str = "system.posix_acl_default";

/// A new folder, in the staging folder.
pub(crate) struct Filled {
    /// Where it lies there; the outermost directly in it.
    pub(super) at: RelPath,
    pub(super) found: Found,
}

/// A new folder, with the operations that are done when it is in its place.
pub(crate) struct NewTree {
    pub(super) folder: Filled,
    pub(super) tasks: Vec<Task>,
}

/// The new folders of a batch: from where they will be to where they are.
#[derive(Default)]
pub(super) struct NewFolders(HashMap<RelPath, RelPath>);

impl NewFolders {
    /// Makes a folder in the staging folder. `None`: it has to be made in its place.
    pub(super) fn make(&mut self, side: &Side, path: &RelPath) -> Option<Filled> {
        let (parent, name) = path.split();
        let above = parent.as_ref().and_then(|parent| self.0.get(parent));
        let at = match above {
            Some(above) => RelPath::in_folder(Some(above), name),
            None if hands_nothing_on(side, parent.as_ref()) => {
                RelPath::try_from(side.place.new_name().as_bytes())
            }
            None => return None,
        };
        let at = at.ok()?;
        let folder = side.place.staged(above).ok()?;
        let (_, name) = at.parts();
        // Whatever is the matter, it is tried again in its place, which tells of it.
        side.fs().make_folder(folder.as_fd(), name).ok()?;
        let found = look_in(folder.as_fd(), name).ok()??;
        self.0.insert(path.clone(), at.clone());
        Some(Filled { at, found })
    }

    /// Where the folder of a path lies in the staging folder.
    pub(super) fn above(&self, path: &RelPath) -> Option<&RelPath> {
        if self.0.is_empty() { None } else { self.0.get(&path.parent()?) }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether what is made in a folder is as what is made in the staging folder. For one that is not there yet the root is asked.
fn hands_nothing_on(side: &Side, folder: Option<&RelPath>) -> bool {
    let Ok(folder) = side.root.folder(folder).or_else(|_| side.root.folder(None)) else {
        return false;
    };
    let (Ok(there), Ok(stage)) = (fstat(&folder), fstat(side.stage())) else { return false };
    let group = |stat: &Stat| {
        let hands_on = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        hands_on.then_some(stat.st_gid)
    };
    let rules = fgetxattr(&folder, INHERITED, &mut [0_u8; 0][..]);
    group(&there) == group(&stage) && matches!(rules, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Puts what lies in new folders with the outermost of them, which comes first.
pub(super) fn gather(tasks: &mut Vec<Task>) {
    let mut outermost: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut kept: Vec<Task> = Vec::with_capacity(tasks.len());
    for mut task in std::mem::take(tasks) {
        let at = match &task.ready {
            Ready::NewFolder(folder) => Some(&folder.at),
            Ready::PutFile(staged) => staged.within.as_ref(),
            _ => None,
        };
        let name = at.and_then(|at| at.as_bytes().split(|&byte| byte == b'/').next());
        let Some(name) = name.map(<[u8]>::to_vec) else {
            kept.push(task);
            continue;
        };
        let tree = outermost.get(&name).and_then(|&at| kept.get_mut(at)).map(|it| &mut it.ready);
        if let Some(Ready::PutTree(tree)) = tree {
            tree.tasks.push(task);
            continue;
        }
        task.ready = match task.ready {
            Ready::NewFolder(folder) => {
                outermost.insert(name, kept.len());
                Ready::PutTree(Box::new(NewTree { folder, tasks: Vec::new() }))
            }
            ready => ready,
        };
        kept.push(task);
    }
    *tasks = kept;
}
