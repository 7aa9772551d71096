//! What was replaced or deleted, beside the zone: a folder per item, with the thing and a note about it.
//!
//! The note is written first, then the thing is moved in by one rename: a crash leaves either an item that is whole or a note
//! about nothing, which is no item and expires with the others.

use std::{io, path::Path};

use data_encoding::BASE64;
use rustix::{fs::Mode, io::Errno};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::dir::{self, Folder};
use crate::domain::{
    session::FileKind,
    zone_files::{TrashItem, ZonePath},
};

const NOTE: &[u8] = b"note.json";
const THING: &[u8] = b"thing";
/// Largest note that is read: a path of 4,095 bytes, encoded, and a reason.
const LONGEST_NOTE: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Base64: any bytes.
    path: String,
    deleted_at_s: i64,
    reason: String,
}

/// An item that waits for its thing.
pub(super) struct Slot {
    trash: Folder,
    id: String,
    pub folder: Folder,
}

impl Slot {
    /// Where the thing goes.
    pub(super) const NAME: &'static [u8] = THING;

    /// The thing never came.
    pub(super) fn discard(self) -> io::Result<()> {
        self.trash.remove_all(self.id.as_bytes())
    }
}

/// Prepares an item for what lies at `path`.
pub(super) fn prepare(
    trash: &Path,
    path: &ZonePath,
    reason: &str,
    now: OffsetDateTime,
) -> io::Result<Slot> {
    let folder = Folder::open(trash)?;
    // Sorts by time.
    let id = format!("{}-{}", now.unix_timestamp(), crate::auth::token::random());
    rustix::fs::mkdirat(&folder, &id, Mode::RWXU)?;
    let item = folder.at(&ZonePath::default().join(id.as_bytes()))?;
    let note = Note {
        path: BASE64.encode(path.as_bytes()),
        deleted_at_s: now.unix_timestamp(),
        reason: reason.to_owned(),
    };
    dir::write_small(&item, NOTE, serde_json::to_string(&note)?.as_bytes())?;
    Ok(Slot { trash: folder, id, folder: item })
}

fn note(item: &Folder) -> io::Result<Note> {
    let file = item.read(NOTE)?;
    if file.metadata()?.len() > LONGEST_NOTE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(serde_json::from_reader(file)?)
}

fn size(folder: &Folder, part: &[u8]) -> io::Result<u64> {
    let stat = folder.stat(part)?;
    if dir::kind(stat.st_mode) != FileKind::Folder {
        return Ok(u64::try_from(stat.st_size).unwrap_or(0));
    }
    let inside = folder.at(&ZonePath::default().join(part))?;
    inside.entries()?.into_iter().map(|(name, _)| size(&inside, &name)).sum()
}

/// Newest first.
pub(super) fn list(trash: &Path) -> io::Result<Vec<TrashItem>> {
    let folder = Folder::open(trash)?;
    let mut items = Vec::new();
    for (id, _) in folder.entries()?.into_iter().rev() {
        let Ok(id) = String::from_utf8(id) else { continue };
        match item(&folder, &id) {
            Ok(item) => items.push(item),
            // Prepared, and never filled or restored meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(items)
}

fn item(folder: &Folder, id: &str) -> io::Result<TrashItem> {
    let item = folder.at(&ZonePath::default().join(id.as_bytes()))?;
    let note = note(&item)?;
    let path = BASE64.decode(note.path.as_bytes()).map_err(io::Error::other)?;
    Ok(TrashItem {
        id: id.to_owned(),
        path: ZonePath::try_from(path.as_slice()).map_err(io::Error::other)?,
        size: size(&item, THING)?,
        deleted_at: OffsetDateTime::from_unix_timestamp(note.deleted_at_s)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        reason: note.reason,
    })
}

/// Puts an item back where it was. `AlreadyExists` when something is there.
pub(super) fn restore(trash: &Path, id: &str, root: &Folder) -> io::Result<ZonePath> {
    if id.contains('/') || ZonePath::try_from(id.as_bytes()).is_err() || id.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let folder = Folder::open(trash)?;
    let found = item(&folder, id)?;
    let Some((parent, name)) = found.path.split() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a whole zone is no file of it"));
    };
    let parent = root.make(&parent)?;
    let thing = folder.at(&ZonePath::default().join(id.as_bytes()))?;
    thing.rename_new(THING, &parent, name)?;
    parent.sync()?;
    folder.remove_all(id.as_bytes())?;
    Ok(found.path)
}

/// Removes for good what was deleted before.
pub(super) fn expire(trash: &Path, before: OffsetDateTime) -> io::Result<()> {
    let folder = match Folder::open(trash) {
        Ok(folder) => folder,
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => return Ok(()),
        Err(error) => return Err(error),
    };
    for (id, _) in folder.entries()? {
        let stamp = String::from_utf8_lossy(&id)
            .split_once('-')
            .and_then(|(stamp, _)| stamp.parse::<i64>().ok());
        if stamp.is_some_and(|stamp| stamp < before.unix_timestamp()) {
            folder.remove_all(&id)?;
        }
    }
    Ok(())
}
