//! Reading a file as one moment had it.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::large;
use crate::{
    content::{ContentHasher, REGION_BYTES, hole},
    context::CancelFlag,
    delta::BlockList,
    entry::Digest,
    error::Error,
    fs::{Found, Stamp, What},
};

/// How often a file that changes while it is read is read again.
pub(crate) const READ_ATTEMPTS: usize = 3;
const BUFFER_BYTES: usize = 256 << 10;
const SMALLEST_BUFFER_BYTES: usize = 4 << 10;

/// What reading a file gave.
pub(crate) enum Hashed {
    /// With its blocks, where they were told on the way.
    Stable(Digest, Stamp, Option<BlockList>),
    /// It kept changing, or became something else.
    Busy,
}

/// Hashes a file whose stamp is the same before (as `seen`) and after.
pub(crate) fn hash(file: &File, seen: Stamp, cancel: &CancelFlag) -> Result<Hashed, Error> {
    let mut before = seen;
    for _ in 0..READ_ATTEMPTS {
        let whole = match large::blocks(file, before.size, cancel)? {
            Some(list) => list.map(|list| (list.digest(), before.size, Some(list))),
            None => {
                in_order(file, before.size, cancel)?.map(|(digest, at)| (Some(digest), at, None))
            }
        };
        let (digest, at, list) = match whole {
            Ok(whole) => whole,
            // Shorter than it was: the stamp tells.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => (None, 0, None),
            Err(error) => return Err(Error::io("read a file")(error)),
        };
        let after = Found::of_file(file).map_err(Error::io("read a file"))?;
        if after.what != What::File {
            return Ok(Hashed::Busy);
        }
        if let Some(digest) = digest
            && after.stamp == before
            && before.size == at
        {
            return Ok(Hashed::Stable(digest, before, list));
        }
        before = after.stamp;
    }
    Ok(Hashed::Busy)
}

/// The digest, and how much there was. The inner error is the file's own.
fn in_order(
    file: &File,
    size: u64,
    cancel: &CancelFlag,
) -> Result<io::Result<(Digest, u64)>, Error> {
    let room = usize::try_from(size).unwrap_or(usize::MAX);
    let mut buffer = vec![0; room.clamp(SMALLEST_BUFFER_BYTES, BUFFER_BYTES)];
    let (mut hasher, mut at) = (ContentHasher::new(), 0);
    loop {
        cancel.check()?;
        // Not worth asking for in a file that is soon read.
        if size >= REGION_BYTES
            && let Some(length) = hole(file, at)
        {
            hasher.zeros(length);
            at += length;
            continue;
        }
        match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                at += count as u64;
                // Whether it has grown since, the stamp will tell.
                if at == size {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok((hasher.finish(), at)))
}
