//! Entries and paths on the wire.

use proto::sync::v1 as pb;

use crate::{
    LONGEST_LINK, RelPath,
    entry::{Digest, Entry},
    error::Error,
    index::RESERVED,
    moves::Move,
};

/// Never one of the engine's own, where files are staged and kept.
pub(crate) fn path(bytes: &[u8]) -> Result<RelPath, Error> {
    let path = RelPath::try_from(bytes).map_err(|error| Error::protocol(error.to_string()))?;
    if path.as_bytes().split(|&byte| byte == b'/').next() == Some(RESERVED) {
        return Err(Error::protocol("a path of the engine's own"));
    }
    Ok(path)
}

pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, Error> {
    bytes.try_into().map(Digest).map_err(|_| Error::protocol("a digest that is not 32 bytes long"))
}

pub(crate) fn optional_digest(bytes: &[u8]) -> Result<Option<Digest>, Error> {
    if bytes.is_empty() { Ok(None) } else { digest(bytes).map(Some) }
}

pub(crate) fn root_name(bytes: &[u8]) -> Result<[u8; 16], Error> {
    bytes.try_into().map_err(|_| Error::protocol("a root's name that is not 16 bytes long"))
}

pub(crate) fn proto_entry(path: &RelPath, entry: &Entry, modified_ms: i64) -> pb::Entry {
    pb::Entry { path: path.as_bytes().to_vec().into(), ..proto_local_entry(entry, modified_ms) }
}

/// As [`proto_entry`], where the context has the path.
pub(crate) fn proto_local_entry(entry: &Entry, modified_ms: i64) -> pb::Entry {
    let base = pb::Entry { modified_ms, ..pb::Entry::default() };
    match entry {
        Entry::Folder => pb::Entry { kind: pb::Kind::Folder.into(), ..base },
        Entry::File { size, digest, executable } => pb::Entry {
            kind: pb::Kind::File.into(),
            size: *size,
            digest: digest.0.to_vec().into(),
            executable: *executable,
            ..base
        },
        Entry::Link { target } => {
            pb::Entry { kind: pb::Kind::Link.into(), target: target.to_vec().into(), ..base }
        }
    }
}

/// An entry without its path, which need not be on the wire where the context has it.
pub(crate) fn local_entry(entry: &pb::Entry) -> Result<Entry, Error> {
    Ok(match entry.kind() {
        pb::Kind::Folder => Entry::Folder,
        pb::Kind::File => {
            if i64::try_from(entry.size).is_err() {
                return Err(Error::protocol("a file of an impossible size"));
            }
            Entry::File {
                size: entry.size,
                digest: digest(&entry.digest)?,
                executable: entry.executable,
            }
        }
        pb::Kind::Link => {
            let target = entry.target.as_ref();
            if target.is_empty() || target.len() > LONGEST_LINK || target.contains(&0) {
                return Err(Error::protocol("an impossible symbolic link"));
            }
            Entry::Link { target: target.into() }
        }
        pb::Kind::Unspecified => return Err(Error::protocol("an entry of unknown kind")),
    })
}

pub(crate) fn one_move(moved: &pb::Moved) -> Result<Move, Error> {
    Ok(Move { from: path(&moved.from)?, to: path(&moved.to)? })
}

pub(crate) fn entry(entry: &pb::Entry) -> Result<(RelPath, Entry), Error> {
    Ok((path(&entry.path)?, local_entry(entry)?))
}
