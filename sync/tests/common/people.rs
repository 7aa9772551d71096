//! Somebody whom permissions hold back: root is held back by none.

use std::{os::unix::fs::lchown, path::Path};

use rustix::{
    process::{Gid, Uid, getuid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// Nobody's number on every system of ours.
const NOBODY: u32 = 65_534;

/// Runs a deed in a thread without any privilege. What is in `folder` becomes theirs; it stays so.
pub fn held_back<T: Send>(folder: &Path, deed: impl FnOnce() -> T + Send) -> T {
    if !getuid().is_root() {
        return deed();
    }
    give(folder);
    std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            deed()
        });
        unprivileged.join().unwrap()
    })
}

fn give(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for item in std::fs::read_dir(path).unwrap() {
            give(&item.unwrap().path());
        }
    }
}
