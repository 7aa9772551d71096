//! What was replaced or deleted, beside the zone: a folder per item, with the thing and a note about it.
//!
//! The note is written first, then the thing is moved in by one rename: a crash leaves either an item that is whole or a note
//! about nothing, which is no item and expires with the others. Synchronisations keep what they displace in the same place, many
//! things to a folder, in the form of [`sync::trash`].

use std::{
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::Path,
};

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
/// Between a folder and a thing in it; neither has one.
const SEPARATOR: char = '~';
/// Between a thing that is a folder and a path in it.
const WITHIN: &str = "~~";
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

/// Where an item lies: the folder, and in one of a synchronisation the thing's name, and a path in that if it is a folder.
struct Place<'a> {
    folder: &'a str,
    thing: Option<&'a str>,
    within: Option<ZonePath>,
}

impl<'a> Place<'a> {
    fn of(id: &'a str) -> Option<Self> {
        let (folder, thing) = match id.split_once(SEPARATOR) {
            Some((folder, thing)) => (folder, Some(thing)),
            None => (id, None),
        };
        let (thing, within) = match thing.and_then(|thing| thing.split_once(WITHIN)) {
            Some((thing, within)) => (Some(thing), Some(within)),
            None => (thing, None),
        };
        let within = within.map(|path| ZonePath::try_from(path.as_bytes())).transpose().ok()?;
        if within.as_ref().is_some_and(ZonePath::is_root) {
            return None;
        }
        let is_name = |name: &str| {
            !name.is_empty() && !name.contains('/') && ZonePath::try_from(name.as_bytes()).is_ok()
        };
        (is_name(folder) && thing.is_none_or(is_name)).then_some(Self { folder, thing, within })
    }
}

/// Newest first.
pub(super) fn list(trash: &Path) -> io::Result<Vec<TrashItem>> {
    let folder = Folder::open(trash)?;
    let mut items = Vec::new();
    for (id, _) in folder.entries()?.into_iter().rev() {
        let Ok(id) = String::from_utf8(id) else { continue };
        let inside = folder.at(&ZonePath::default().join(id.as_bytes()))?;
        for note in sync::trash::read_notes(inside.as_fd())? {
            let whole = format!("{id}{SEPARATOR}{}", note.thing);
            let thing = note.thing.into_bytes();
            let note =
                Note { path: note.path, deleted_at_s: note.deleted_at_s, reason: note.reason };
            items.extend(found(item_of(whole, &inside, &thing, &note))?);
        }
        if let Some(note) = found(note(&inside))? {
            items.extend(found(item_of(id, &inside, THING, &note))?);
        }
    }
    Ok(items)
}

/// A version of the file that was at `path`, by its hash; the newest first.
pub(super) fn content(
    trash: &Path,
    path: &ZonePath,
    digest: &str,
    limit_bytes: u64,
) -> io::Result<Option<Vec<u8>>> {
    let folder = Folder::open(trash)?;
    let versions = list(trash)?.into_iter().filter(|item| item.path == *path);
    for item in versions.filter(|item| item.size <= limit_bytes) {
        let Some(place) = Place::of(&item.id) else { continue };
        let inside = folder.at(&ZonePath::default().join(place.folder.as_bytes()))?;
        // A folder, a link, or gone meanwhile.
        let Ok(file) = inside.read(place.thing.map_or(THING, str::as_bytes)) else { continue };
        let mut content = Vec::new();
        file.take(limit_bytes).read_to_end(&mut content)?;
        if blake3::hash(&content).to_hex().as_str() == digest {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

fn found<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        // Prepared, and never filled or restored meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Puts an item back where it was, or what lies at a path in it. `AlreadyExists` when something is there.
pub(super) fn restore(trash: &Path, id: &str, root: &Folder) -> io::Result<ZonePath> {
    let nothing = || io::Error::from(io::ErrorKind::NotFound);
    let place = Place::of(id).ok_or_else(nothing)?;
    let folder = Folder::open(trash)?;
    let mut inside = folder.at(&ZonePath::default().join(place.folder.as_bytes()))?;
    let (path, mut thing) = match place.thing {
        Some(thing) => {
            let notes = sync::trash::read_notes(inside.as_fd())?;
            let note = notes.into_iter().find(|note| note.thing == thing).ok_or_else(nothing)?;
            (note.path, thing.as_bytes())
        }
        None => (note(&inside)?.path, THING),
    };
    let mut path = decode(&path)?;
    if let Some((within, name)) = place.within.as_ref().and_then(ZonePath::split) {
        inside = inside.at(&ZonePath::default().join(thing))?.at(&within)?;
        thing = name;
        path = place
            .within
            .iter()
            .flat_map(ZonePath::components)
            .fold(path, |path, name| path.join(name));
    }
    let Some((parent, name)) = path.split() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a whole zone is no file of it"));
    };
    inside.stat(thing)?;
    let parent = root.make(&parent)?;
    inside.rename_new(thing, &parent, name)?;
    parent.sync()?;
    if place.thing.is_none() {
        folder.remove_all(place.folder.as_bytes())?;
    }
    Ok(path)
}

fn decode(path: &str) -> io::Result<ZonePath> {
    let path = BASE64.decode(path.as_bytes()).map_err(io::Error::other)?;
    ZonePath::try_from(path.as_slice()).map_err(io::Error::other)
}

fn item_of(id: String, inside: &Folder, thing: &[u8], note: &Note) -> io::Result<TrashItem> {
    Ok(TrashItem {
        id,
        path: decode(&note.path)?,
        size: size(inside, thing)?,
        deleted_at: OffsetDateTime::from_unix_timestamp(note.deleted_at_s)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        reason: note.reason.clone(),
    })
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
