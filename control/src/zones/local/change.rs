//! Changes to a zone's files: staged beside the zone, flushed, then put in place by one rename; what was there goes to the
//! trash.

use std::{
    fs::File,
    io::{self, Write as _},
};

use gix::{Repository, objs::tree::EntryKind};
use time::OffsetDateTime;

use super::{
    dir::{self, Folder},
    history::{self, OldFile},
    place::Place,
    trash,
};
use crate::{
    domain::{session::FileKind, zone_files::ZonePath},
    zones::ZoneError,
};

/// Content that is written and flushed, but not in place.
pub(super) struct Staged {
    name: Vec<u8>,
    pub etag: String,
}

pub(super) fn failed(path: &ZonePath) -> impl Fn(io::Error) -> ZoneError {
    let path = path.to_string();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => ZoneError::NotFound { path: path.clone() },
        io::ErrorKind::NotADirectory => {
            ZoneError::WrongKind { path: path.clone(), what: "below something that is no folder" }
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => {
            ZoneError::WrongKind { path: path.clone(), what: "not a regular file" }
        }
        io::ErrorKind::AlreadyExists => ZoneError::Exists { path: path.clone() },
        _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            ZoneError::WrongKind { path: path.clone(), what: "a symbolic link" }
        }
        _ => ZoneError::Io { what: format!("{path} can't be used"), source },
    }
}

/// BLAKE3 of a file, in hexadecimal digits.
pub(super) fn etag(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Writes what comes from a reader to the staging folder.
pub(super) fn stage(
    place: &Place,
    content: &mut dyn io::Read,
    executable: bool,
) -> Result<Staged, ZoneError> {
    let failed = |source| ZoneError::Io { what: "new content can't be written".to_owned(), source };
    let folder = Folder::open(&place.stage).map_err(failed)?;
    let name = place.stage_name();
    let mut write = || {
        let mut file = folder.create(&name, executable)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = content.read(&mut buffer)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
            hasher.update(piece);
            file.write_all(piece)?;
        }
        file.sync_all()?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    match write() {
        Ok(etag) => Ok(Staged { name, etag }),
        Err(source) => {
            // What is left is swept at the next start.
            drop(folder.unlink(&name));
            Err(failed(source))
        }
    }
}

/// Puts staged content in place. The caller holds the zone's lock.
pub(super) fn place_file(
    place: &Place,
    root: &Folder,
    path: &ZonePath,
    staged: &Staged,
    only_new: bool,
    now: OffsetDateTime,
) -> Result<(), ZoneError> {
    let failed = failed(path);
    let Some((parent, name)) = path.split() else {
        return Err(ZoneError::WrongKind { path: path.to_string(), what: "the zone itself" });
    };
    let stage = Folder::open(&place.stage).map_err(&failed)?;
    let parent = root.make(&parent).map_err(&failed)?;
    match stage.rename_new(&staged.name, &parent, name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !only_new => {
            let there = parent.stat(name).map_err(&failed)?;
            if dir::kind(there.st_mode) == FileKind::Folder {
                return Err(ZoneError::WrongKind { path: path.to_string(), what: "a folder" });
            }
            let slot = trash::prepare(&place.trash, path, "replaced", now).map_err(&failed)?;
            // After the exchange the old one lies in the staging folder, whatever it is by then; nothing is lost if we
            // end here: the sweep moves it to the trash.
            stage.exchange(&staged.name, &parent, name).map_err(&failed)?;
            stage.rename_new(&staged.name, &slot.folder, trash::Slot::NAME).map_err(&failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    parent.sync().map_err(&failed)
}

/// Moves what lies at a path to the trash.
pub(super) fn remove(
    place: &Place,
    root: &Folder,
    path: &ZonePath,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), ZoneError> {
    let failed = failed(path);
    let Some((parent, name)) = path.split() else {
        return Err(ZoneError::WrongKind { path: path.to_string(), what: "the zone itself" });
    };
    let parent = root.at(&parent).map_err(&failed)?;
    parent.stat(name).map_err(&failed)?;
    let slot = trash::prepare(&place.trash, path, reason, now).map_err(&failed)?;
    if let Err(error) = parent.rename_new(name, &slot.folder, trash::Slot::NAME) {
        slot.discard().map_err(&failed)?;
        return Err(failed(error));
    }
    parent.sync().map_err(&failed)
}

/// Makes everything at or below a path as it was at a commit.
pub(super) fn restore(
    place: &Place,
    root: &Folder,
    repo: &Repository,
    commit: &str,
    path: &ZonePath,
    now: OffsetDateTime,
) -> Result<(), ZoneError> {
    let old = history::files_at(repo, commit, path)?;
    for file in files_now(root, path)? {
        if old.binary_search_by(|old| old.path.cmp(&file)).is_err() {
            remove(place, root, &file, "not there in the restored version", now)?;
        }
    }
    for file in old {
        restore_file(place, root, repo, &file, now)?;
    }
    Ok(())
}

fn restore_file(
    place: &Place,
    root: &Folder,
    repo: &Repository,
    old: &OldFile,
    now: OffsetDateTime,
) -> Result<(), ZoneError> {
    let Some((parent, name)) = old.path.split() else {
        return Ok(());
    };
    let executable = old.kind == EntryKind::BlobExecutable;
    if let Ok(folder) = root.at(&parent)
        && let Ok(stat) = folder.stat(name)
    {
        match dir::kind(stat.st_mode) {
            FileKind::File
                if old.kind != EntryKind::Link && dir::executable(stat.st_mode) == executable =>
            {
                let mut now = folder.read(name).map_err(failed(&old.path))?;
                if history::same_content(repo, old.content, &mut now)? {
                    return Ok(());
                }
            }
            FileKind::Folder => {
                remove(place, root, &old.path, "a file was restored in its place", now)?;
            }
            FileKind::File | FileKind::Symlink | FileKind::Other => {}
        }
    }
    let content = history::blob(repo, old.content)?;
    if old.kind == EntryKind::Link {
        let name = place.stage_name();
        let stage = Folder::open(&place.stage).map_err(failed(&old.path))?;
        stage.create_link(&name, &content).map_err(failed(&old.path))?;
        let staged = Staged { name, etag: String::new() };
        return place_file(place, root, &old.path, &staged, false, now);
    }
    let staged = stage(place, &mut content.as_slice(), executable)?;
    place_file(place, root, &old.path, &staged, false, now)
}

/// Files at or below a path that the history covers.
fn files_now(root: &Folder, path: &ZonePath) -> Result<Vec<ZonePath>, ZoneError> {
    let mut files = Vec::new();
    let mut waiting = vec![path.clone()];
    while let Some(path) = waiting.pop() {
        let stat = match path.split() {
            None => None,
            Some((parent, name)) => match root.at(&parent).and_then(|parent| parent.stat(name)) {
                Ok(stat) => Some(stat),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(failed(&path)(error)),
            },
        };
        if stat.is_some_and(|stat| dir::kind(stat.st_mode) != FileKind::Folder) {
            files.push(path);
            continue;
        }
        let folder = root.at(&path).map_err(failed(&path))?;
        for (name, _) in folder.entries().map_err(failed(&path))? {
            let ours = path.is_root() && name.starts_with(b".atelier-");
            if !name.eq_ignore_ascii_case(b".git") && !ours {
                waiting.push(path.join(&name));
            }
        }
    }
    Ok(files)
}

/// Moves what a crash left in the staging folder to the trash: among it may be the only copy of what was just replaced.
pub(super) fn sweep(place: &Place, now: OffsetDateTime) -> io::Result<()> {
    let stage = Folder::open(&place.stage)?;
    for (name, _) in stage.entries()? {
        if !place.left_over(&name) {
            continue;
        }
        let path = ZonePath::default().join(b"left-over").join(&name);
        let slot = trash::prepare(&place.trash, &path, "left over from a crash", now)?;
        stage.rename_new(&name, &slot.folder, trash::Slot::NAME)?;
    }
    Ok(())
}

/// Content that comes piece by piece from elsewhere, as a reader.
pub(super) struct Pieces {
    pub receive: tokio::sync::mpsc::Receiver<Result<bytes::Bytes, String>>,
    pub now: bytes::Bytes,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.receive.blocking_recv() {
                Some(Ok(piece)) => self.now = piece,
                Some(Err(why)) => return Err(io::Error::other(why)),
                None => return Ok(0),
            }
        }
        let count = self.now.as_ref().read(buffer)?;
        drop(self.now.split_to(count));
        Ok(count)
    }
}
