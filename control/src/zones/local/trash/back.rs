//! What a slow deletion took comes back, where nothing has its place by now.

use std::{io, os::fd::AsFd as _, path::Path};

use rustix::io::Errno;

use super::{DELETED, Note, decode, found, holder, note, place::Place};
use crate::{
    domain::{
        session::FileKind,
        zone_files::{Deletions, ZonePath},
    },
    zones::local::dir::{self, Folder},
};

/// Answers how many files came back. Of what was deleted more than once it is the newest; what was only replaced is not touched.
pub(in crate::zones::local) fn bring_back(
    trash: &Path,
    root: &Folder,
    deletions: &Deletions,
) -> io::Result<u64> {
    let folder = match Folder::open(trash) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut files = 0;
    // They begin with the time.
    for (id, _) in folder.entries()?.into_iter().rev() {
        let Ok(id) = String::from_utf8(id) else { continue };
        let inside = folder.at(&ZonePath::default().join(id.as_bytes()))?;
        for note in sync::trash::read_notes(inside.as_fd())? {
            if note.is_deletion() {
                let thing = Some(note.thing.clone());
                let place = Place { folder: id.clone(), thing, within: None };
                files += put_back(&place, &inside, &note.into(), root, deletions)?;
            }
        }
        if let Some(note) = found(note(&inside))?
            && deletions.by_people
            && note.reason == DELETED
        {
            let place = Place { folder: id, thing: None, within: None };
            files += put_back(&place, &inside, &note, root, deletions)?;
        }
    }
    if files > 0 {
        // Before anybody agrees on it.
        rustix::fs::syncfs(root)?;
    }
    Ok(files)
}

fn put_back(
    place: &Place,
    inside: &Folder,
    note: &Note,
    root: &Folder,
    deletions: &Deletions,
) -> io::Result<u64> {
    let path = decode(&note.path)?;
    let times = deletions.since.unix_timestamp()..=deletions.until.unix_timestamp();
    if !times.contains(&note.deleted_at_s) || !is_below(&path, &deletions.below) {
        return Ok(0);
    }
    let (from, thing) = holder(place, inside.at(&ZonePath::default())?)?;
    let Some((parent, name)) = path.split() else { return Ok(0) };
    if found(from.stat(&thing))?.is_none() {
        return Ok(0);
    }
    match root.make(&parent) {
        Ok(parent) => put(&from, &thing, &parent, name),
        // Something else has the place of its folder.
        Err(error) if is_taken(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

fn is_below(path: &ZonePath, below: &ZonePath) -> bool {
    let mut components = path.components();
    below.components().all(|name| components.next() == Some(name))
}

fn is_taken(error: &io::Error) -> bool {
    let taken = [Errno::NOTDIR, Errno::LOOP, Errno::EXIST];
    taken.iter().any(|taken| error.raw_os_error() == Some(taken.raw_os_error()))
}

/// By one rename; of a folder that is there again, what it lacks.
fn put(from: &Folder, thing: &[u8], to: &Folder, name: &[u8]) -> io::Result<u64> {
    let kind_of = |folder: &Folder, name: &[u8]| Ok(dir::kind(folder.stat(name)?.st_mode));
    let is_folder = |kind: io::Result<FileKind>| kind.map(|kind| kind == FileKind::Folder);
    let moves = is_folder(kind_of(from, thing))?;
    let files = if moves { count(&from.at(&ZonePath::default().join(thing))?)? } else { 1 };
    match from.rename_new(thing, to, name) {
        Ok(()) => return Ok(files),
        Err(error) if is_taken(&error) => {}
        Err(error) => return Err(error),
    }
    if !moves || !is_folder(kind_of(to, name))? {
        return Ok(0);
    }
    let from = from.at(&ZonePath::default().join(thing))?;
    let to = to.at(&ZonePath::default().join(name))?;
    from.entries()?.iter().map(|(name, _)| put(&from, name, &to, name)).sum()
}

fn count(folder: &Folder) -> io::Result<u64> {
    let entries = folder.entries()?.into_iter().map(|(name, stat)| {
        if dir::kind(stat.st_mode) == FileKind::Folder {
            count(&folder.at(&ZonePath::default().join(&name))?)
        } else {
            Ok(1)
        }
    });
    entries.sum()
}
