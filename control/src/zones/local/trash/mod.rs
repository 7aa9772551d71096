//! What was replaced or deleted, beside the zone: a folder per item, with the thing and a note about it.
//!
//! The note is written first, then the thing is moved in by one rename: a crash leaves either an item that is whole or a note
//! about nothing, which is no item and expires with the others. Synchronisations keep what they displace in the same place, many
//! things to a folder, in the form of [`sync::trash`].

mod back;
mod place;

pub(super) use back::bring_back;

use std::{
    io::{self, Read as _},
    os::fd::AsFd as _,
    path::Path,
};

use data_encoding::BASE64;
use rustix::{fs::Mode, io::Errno};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use place::Place;

use super::dir::{self, Folder};
use crate::domain::{
    session::FileKind,
    zone_files::{TrashItem, ZonePath},
};

const NOTE: &[u8] = b"note.json";
const THING: &[u8] = b"thing";
/// Why somebody's deletion is there.
pub(super) const DELETED: &str = "deleted";
/// Largest note that is read: a path of 4,095 bytes, encoded, and a reason.
const LONGEST_NOTE: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Base64: any bytes.
    path: String,
    deleted_at_s: i64,
    reason: String,
}

impl From<sync::trash::Note> for Note {
    fn from(note: sync::trash::Note) -> Self {
        Self { path: note.path, deleted_at_s: note.deleted_at_s, reason: note.reason }
    }
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
        let inside = folder.at(&ZonePath::default().join(id.as_bytes()))?;
        for note in sync::trash::read_notes(inside.as_fd())? {
            let place = Place { folder: id.clone(), thing: Some(note.thing.clone()), within: None };
            items.extend(found(item_of(&place, &inside, &Note::from(note)))?);
        }
        if let Some(note) = found(note(&inside))? {
            let place = Place { folder: id, thing: None, within: None };
            items.extend(found(item_of(&place, &inside, &note))?);
        }
    }
    Ok(items)
}

/// What is in an item that is a folder, by name; in a path of it, if the id names one.
pub(super) fn list_in(trash: &Path, id: &str) -> io::Result<Vec<TrashItem>> {
    let place = Place::of(id).ok_or(io::ErrorKind::NotFound)?;
    let inside = Folder::open(trash)?.at(&ZonePath::default().join(place.folder.as_bytes()))?;
    let note = note_of(&place, &inside)?;
    let within = place.within.clone().unwrap_or_default();
    let opened = inside.at(&ZonePath::default().join(place.name()))?.at(&within)?;
    let mut items = Vec::new();
    for (name, _) in opened.entries()? {
        let place = Place { within: Some(within.join(&name)), ..place.clone() };
        items.extend(found(item_of(&place, &inside, &note))?);
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
        let Ok(file) = inside.read(place.name()) else { continue };
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
    let place = Place::of(id).ok_or(io::ErrorKind::NotFound)?;
    let folder = Folder::open(trash)?;
    let inside = folder.at(&ZonePath::default().join(place.folder.as_bytes()))?;
    let path = place.path(&decode(&note_of(&place, &inside)?.path)?);
    let (from, thing) = holder(&place, inside)?;
    let Some((parent, name)) = path.split() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a whole zone is no file of it"));
    };
    from.stat(&thing)?;
    let parent = root.make(&parent)?;
    from.rename_new(&thing, &parent, name)?;
    parent.sync()?;
    if place.thing.is_none() && place.within.is_none() {
        folder.remove_all(place.folder.as_bytes())?;
    }
    Ok(path)
}

/// The folder that has it, and its name there.
fn holder(place: &Place, inside: Folder) -> io::Result<(Folder, Vec<u8>)> {
    match place.within.as_ref().and_then(ZonePath::split) {
        None => Ok((inside, place.name().to_vec())),
        Some((within, name)) => {
            let holder = inside.at(&ZonePath::default().join(place.name()))?.at(&within)?;
            Ok((holder, name.to_vec()))
        }
    }
}

/// What is noted about an item.
fn note_of(place: &Place, inside: &Folder) -> io::Result<Note> {
    let Some(thing) = &place.thing else { return note(inside) };
    let notes = sync::trash::read_notes(inside.as_fd())?;
    let note = notes.into_iter().find(|note| note.thing == *thing);
    Ok(note.ok_or(io::ErrorKind::NotFound)?.into())
}

fn decode(path: &str) -> io::Result<ZonePath> {
    let path = BASE64.decode(path.as_bytes()).map_err(io::Error::other)?;
    ZonePath::try_from(path.as_slice()).map_err(io::Error::other)
}

fn item_of(place: &Place, inside: &Folder, note: &Note) -> io::Result<TrashItem> {
    let (holder, name) = holder(place, inside.at(&ZonePath::default())?)?;
    Ok(TrashItem {
        id: place.id(),
        path: place.path(&decode(&note.path)?),
        kind: dir::kind(holder.stat(&name)?.st_mode),
        size: size(&holder, &name)?,
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
