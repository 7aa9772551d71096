//! The digest of a content, at a cost in proportion to what is written in it and not to how long its holes are.
//!
//! A content is cut into regions of 64 MiB. Without a region that is all zeros its digest is its BLAKE3. Otherwise a second hash
//! takes in BLAKE3's subtrees of the other regions, where the empty ones were, and the length: so a disk image of a
//! tebibyte with a few files in it is known within the time that reading those takes. Whether zeros are a hole or were
//! written makes no difference.

mod regions;
pub(crate) mod tree;

use std::{fs::File, io, os::unix::fs::MetadataExt};

use blake3::hazmat::HasherExt;
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};

pub(crate) use regions::Regions;

use crate::entry::Digest;

/// A region, in bytes; the format of digests depends on it.
pub(crate) const REGION_BYTES: u64 = 64 << 20;
/// What the file system counts in.
const SECTOR_BYTES: u64 = 512;
/// A piece of a hole that is hashed at once.
pub(crate) static ZEROS: [u8; 32 << 10] = [0; 32 << 10];

/// Takes a content in pieces, in order.
pub(crate) struct ContentHasher {
    /// Those before the one at hand.
    regions: Regions,
    /// Of the region at hand.
    hasher: blake3::Hasher,
    at: u64,
    /// Zeros that the region at hand began with, while it has nothing else.
    pending: Option<u64>,
}

impl ContentHasher {
    pub(crate) fn new() -> Self {
        Self { regions: Regions::default(), hasher: blake3::Hasher::new(), at: 0, pending: Some(0) }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            bytes = later;
            match self.pending {
                Some(zeros) if is_zero(now) => self.pending = Some(zeros + now.len() as u64),
                Some(zeros) => {
                    self.write_zeros(zeros);
                    self.pending = None;
                    self.hasher.update(now);
                }
                None => {
                    self.hasher.update(now);
                }
            }
            self.move_on(now.len() as u64);
        }
    }

    /// The same as so many zeros, and far quicker.
    pub(crate) fn zeros(&mut self, mut count: u64) {
        if !self.at.is_multiple_of(REGION_BYTES) {
            let now = count.min(self.room());
            self.some_zeros(now);
            count -= now;
        }
        let regions = count / REGION_BYTES;
        if regions > 0 {
            self.regions.empty(regions);
            self.begin_region(self.at + regions * REGION_BYTES);
        }
        self.some_zeros(count % REGION_BYTES);
    }

    pub(crate) fn finish(mut self) -> Digest {
        let into = self.at % REGION_BYTES;
        if into > 0 || self.at == 0 {
            self.write_zeros(self.pending.unwrap_or(0));
            if self.at == into {
                return Digest(*self.hasher.finalize().as_bytes());
            }
            self.regions.written(&self.hasher);
        }
        self.regions.finish(self.at)
    }

    /// Bytes up to the end of the region at hand.
    fn room(&self) -> u64 {
        REGION_BYTES - self.at % REGION_BYTES
    }

    fn some_zeros(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        match &mut self.pending {
            Some(zeros) => *zeros += count,
            None => self.write_zeros(count),
        }
        self.move_on(count);
    }

    /// Never over the end of a region.
    fn move_on(&mut self, count: u64) {
        self.at += count;
        if self.at.is_multiple_of(REGION_BYTES) {
            if self.pending == Some(REGION_BYTES) {
                self.regions.empty(1);
            } else {
                self.regions.written(&self.hasher);
            }
            self.begin_region(self.at);
        }
    }

    fn begin_region(&mut self, at: u64) {
        self.at = at;
        self.hasher = blake3::Hasher::new();
        self.hasher.set_input_offset(at);
        self.pending = Some(0);
    }

    fn write_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let now = count.min(ZEROS.len() as u64);
            self.hasher.update(ZEROS.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default());
            count -= now;
        }
    }
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Whether it has holes, or it can't be told.
pub(crate) fn is_sparse(file: &File) -> bool {
    file.metadata().map_or(true, |about| about.blocks() * SECTOR_BYTES < about.len())
}

/// How long the hole is that begins here, where the file system tells.
pub(crate) fn hole(file: &File, at: u64) -> Option<u64> {
    let end = match seek(file, SeekFrom::Data(at)) {
        Ok(data) => data,
        // A hole up to the end, or the end.
        Err(Errno::NXIO) => file.metadata().ok()?.len(),
        Err(_) => return None,
    };
    end.checked_sub(at).filter(|&length| length > 0)
}

/// Longest hole that is written as it is; the rest of the limits are the file system's.
pub(crate) fn checked_end(at: u64, count: u64) -> io::Result<u64> {
    at.checked_add(count)
        .filter(|&end| i64::try_from(end).is_ok())
        .ok_or_else(|| io::Error::from(Errno::FBIG))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pieces: &[(&[u8], u64)]) -> Digest {
        let mut hasher = ContentHasher::new();
        for (bytes, zeros) in pieces {
            hasher.update(bytes);
            hasher.zeros(*zeros);
        }
        hasher.finish()
    }

    /// The same content, all of it written, in pieces of a size that meets no boundary.
    fn written(pieces: &[(&[u8], u64)]) -> Digest {
        let mut hasher = ContentHasher::new();
        for (bytes, zeros) in pieces {
            hasher.update(bytes);
            let mut left = *zeros;
            while left > 0 {
                let now = left.min(30_001);
                hasher.update(&ZEROS[..usize::try_from(now).unwrap()]);
                left -= now;
            }
        }
        hasher.finish()
    }

    #[test]
    fn holes_and_written_zeros_are_the_same() {
        for pieces in [
            &[(&b""[..], 3 * REGION_BYTES)][..],
            &[(b"a", 3 * REGION_BYTES), (b"b", 0)],
            &[(b"", REGION_BYTES - 1), (b"b", 2 * REGION_BYTES), (b"c", 5)],
            &[(b"", REGION_BYTES), (b"b", REGION_BYTES - 1), (b"c", REGION_BYTES + 7)],
        ] {
            assert_eq!(whole(pieces), written(pieces));
        }
    }

    #[test]
    fn a_content_without_an_empty_region_has_its_blake3() {
        let mut content = vec![0; 3_000_000];
        assert_eq!(whole(&[(&content, 0)]).0, *blake3::hash(&content).as_bytes());
        content[1_000_000] = 1;
        assert_eq!(whole(&[(&content, 0)]).0, *blake3::hash(&content).as_bytes());
        assert_eq!(whole(&[(b"", 3)]).0, *blake3::hash(&[0, 0, 0]).as_bytes());
        assert_eq!(whole(&[]).0, *blake3::hash(b"").as_bytes());
    }

    #[test]
    fn other_contents_have_other_digests() {
        let digests = [
            whole(&[(b"", REGION_BYTES)]),
            whole(&[(b"", REGION_BYTES + 1)]),
            whole(&[(b"", 2 * REGION_BYTES)]),
            whole(&[(b"a", 2 * REGION_BYTES)]),
            whole(&[(b"a", 3 * REGION_BYTES)]),
            whole(&[(b"", REGION_BYTES), (b"a", REGION_BYTES)]),
            whole(&[(b"", 2 * REGION_BYTES), (b"a", 0)]),
            whole(&[(b"", u64::from(u32::MAX) * REGION_BYTES)]),
        ];
        let different: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
    }
}
