//! The archive itself: tar with GNU's long names, without times and owners.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufWriter, Read as _, Write},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use tar::{Builder, EntryType, Header};

use super::{
    Counting, LayerError,
    entry::{Content, Entry, Kind, Owner},
};

/// What the owner may, the group may too.
const FOLDER: u32 = 0o775;
const PROGRAM: u32 = 0o775;
const FILE: u32 = 0o664;
const LINK: u32 = 0o777;

/// Writes all of it, and gives the writer back.
pub(super) fn write<W: Write>(
    entries: &[Entry],
    out: BufWriter<Counting<W>>,
) -> Result<Counting<W>, LayerError> {
    let failed = |source| LayerError::Write { source };
    let mut archive = Builder::new(out);
    for entry in entries {
        add(&mut archive, entry)?;
    }
    let out = archive.into_inner().map_err(failed)?;
    out.into_inner().map_err(|error| failed(error.into_error()))
}

fn add<W: Write>(archive: &mut Builder<W>, entry: &Entry) -> Result<(), LayerError> {
    let failed = |source| LayerError::Write { source };
    let path = as_path(&entry.path);
    match &entry.kind {
        Kind::Folder => {
            let mut header = header(EntryType::Directory, FOLDER, entry.owner, 0);
            // With a slash at its end, as everyone writes folders.
            let path = path.join("");
            archive.append_data(&mut header, path, io::empty()).map_err(failed)
        }
        Kind::Symlink(target) => {
            let mut header = header(EntryType::Symlink, LINK, entry.owner, 0);
            archive.append_link(&mut header, path, as_path(target)).map_err(failed)
        }
        Kind::HardLink(target) => {
            let mut header = header(EntryType::Link, FILE, entry.owner, 0);
            archive.append_link(&mut header, path, as_path(target)).map_err(failed)
        }
        Kind::File { content, executable } => {
            let mode = if *executable { PROGRAM } else { FILE };
            match content {
                Content::Bytes(bytes) => {
                    let mut header =
                        header(EntryType::Regular, mode, entry.owner, bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes.as_ref()).map_err(failed)
                }
                Content::File(file, length) => {
                    let unreadable =
                        |source| LayerError::Read { path: file.display().to_string(), source };
                    let opened = File::open(file).map_err(unreadable)?;
                    let found = opened.metadata().map_err(unreadable)?.len();
                    if found != *length {
                        let why = format!("it had {length} bytes a moment ago, and has {found}");
                        return Err(unreadable(io::Error::other(why)));
                    }
                    let mut header = header(EntryType::Regular, mode, entry.owner, *length);
                    let exactly = opened.take(*length);
                    archive.append_data(&mut header, path, exactly).map_err(failed)
                }
            }
        }
    }
}

fn header(kind: EntryType, mode: u32, owner: Option<Owner>, size: u64) -> Header {
    let owner = owner.unwrap_or(Owner { user: 0, group: 0, mode });
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(owner.mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(owner.user);
    header.set_gid(owner.group);
    header
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
