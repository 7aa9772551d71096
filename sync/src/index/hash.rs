//! Reading a file as one moment had it.

use std::{fs::File, io, os::unix::fs::FileExt};

use rustix::fs::fstat;

use crate::{
    content::{ContentHasher, REGION_BYTES, hole},
    context::CancelFlag,
    entry::Digest,
    error::Error,
    fs::{Found, Stamp, What},
};

/// How often a file that changes while it is read is read again.
pub(crate) const READ_ATTEMPTS: usize = 3;
const BUFFER_BYTES: usize = 256 << 10;
const SMALLEST_BUFFER_BYTES: usize = 4 << 10;

/// What reading a file gave.
pub(super) enum Hashed {
    Stable(Digest, Stamp),
    /// It kept changing, or became something else.
    Busy,
}

pub(super) fn stamp(file: &File) -> io::Result<Found> {
    Ok(Found::of(&fstat(file)?))
}

/// Hashes a file whose stamp is the same before (as `seen`) and after.
pub(super) fn hash(file: &File, seen: Stamp, cancel: &CancelFlag) -> Result<Hashed, Error> {
    let read = Error::io("read a file");
    let room = usize::try_from(seen.size).unwrap_or(usize::MAX);
    let mut buffer = vec![0; room.clamp(SMALLEST_BUFFER_BYTES, BUFFER_BYTES)];
    let mut go = || -> Result<Result<Hashed, io::Error>, Error> {
        let mut before = seen;
        for _ in 0..READ_ATTEMPTS {
            let (mut hasher, mut at) = (ContentHasher::new(), 0);
            loop {
                cancel.check()?;
                // Not worth asking for in a file that is soon read.
                if before.size >= REGION_BYTES
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
                        if at == before.size {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Ok(Err(error)),
                }
            }
            match stamp(file) {
                Ok(after) if after.what != What::File => return Ok(Ok(Hashed::Busy)),
                Ok(after) if after.stamp == before && before.size == at => {
                    return Ok(Ok(Hashed::Stable(hasher.finish(), before)));
                }
                Ok(after) => before = after.stamp,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(Hashed::Busy))
    };
    go()?.map_err(read)
}
