//! A content on its way to the disk, with its digest.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::Staged;
use crate::{
    content::{ContentHasher, checked_end, hole, is_sparse, is_zero},
    context::CancelFlag,
    delta::{BlockList, BlockLister, FilePart, hash_windows},
    entry::{Digest, Entry},
    error::Error,
    fs::{FileSystem, Found, Stamp},
    side::{Side, Untouched},
};

/// A piece that is copied from the basis at once.
pub(super) const COPY_BYTES: usize = 256 << 10;
/// The same by the system.
const SAME_BYTES: u64 = 64 << 20;
/// From this on several threads copy what moved.
const MOVED_BYTES: u64 = 4 << 20;
/// Zeros that are worth a hole.
const HOLE_BYTES: usize = 64 << 10;

/// A file that is being written.
pub(super) struct Writing<'a> {
    fs: &'a dyn FileSystem,
    cancel: &'a CancelFlag,
    untouched: &'a Untouched,
    file: File,
    hashing: Hashing,
    at: u64,
    /// Something ended in a hole: the length has to be set.
    hole: bool,
    /// The first failure of the disk. The rest of the content is taken in and dropped.
    failed: Option<io::Error>,
}

/// How the digest of what is written comes to be known.
enum Hashing {
    Blocks(Box<BlockLister>),
    Whole(Box<ContentHasher>),
}

/// What a content is made from.
pub(crate) struct BasisFile {
    pub file: File,
    /// Whether it has the basis's content to the last bit, as far as its stamp can tell.
    pub is_proven: bool,
}

/// It, and what is known of it.
pub(super) struct Known {
    file: File,
    blocks: Option<Arc<BlockList>>,
    stamp: Option<Stamp>,
}

impl Known {
    pub(super) fn new(side: &Side, basis: BasisFile, digest: Digest) -> Result<Self, Error> {
        let BasisFile { file, is_proven } = basis;
        // Copied blindly, holes could be filled.
        let is_copied = is_proven && !is_sparse(&file);
        let blocks = if is_copied { side.state.blocks(digest)?.map(Arc::new) } else { None };
        let stamp = Found::of_file(&file).ok().map(|found| found.stamp);
        Ok(Self { file, blocks, stamp })
    }

    pub(super) const fn unproven(file: File) -> Self {
        Self { file, blocks: None, stamp: None }
    }

    /// Nothing was changed meanwhile.
    pub(super) fn is_still(&self) -> bool {
        Found::of_file(&self.file).ok().map(|found| found.stamp) == self.stamp
    }
}

/// A file that was written.
pub(super) struct Finished {
    file: File,
    /// `None`: it can't be told.
    pub digest: Option<Digest>,
    pub length: u64,
    blocks: Option<BlockList>,
    stamp: Stamp,
}

impl Finished {
    pub(super) fn staged(self, name: String, entry: Entry) -> Staged {
        let Self { file, blocks, stamp, .. } = self;
        Staged { shelf: 0, name, within: None, entry, blocks, file: Some(file), stamp }
    }
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        side: &'a Side,
        name: &str,
        size_hint: u64,
        executable: bool,
    ) -> io::Result<Self> {
        let fs = side.fs().as_ref();
        Ok(Self {
            fs,
            cancel: &side.context.cancel,
            untouched: &side.untouched,
            file: fs.create(side.stage(), name.as_bytes(), executable)?,
            hashing: match BlockLister::new(size_hint) {
                Some(lister) => Hashing::Blocks(Box::new(lister)),
                None => Hashing::Whole(Box::new(ContentHasher::new())),
            },
            at: 0,
            hole: false,
            failed: None,
        })
    }

    pub(super) fn write(&mut self, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.note(piece);
        if piece.len() >= HOLE_BYTES && is_zero(piece) {
            self.hole = true;
        } else if let Err(error) = self.fs.write(&self.file, piece, self.at) {
            self.failed = Some(error);
        } else {
            self.hole = false;
        }
        self.at += piece.len() as u64;
    }

    fn note(&mut self, piece: &[u8]) {
        match &mut self.hashing {
            Hashing::Blocks(lister) => lister.push(piece),
            Hashing::Whole(hasher) => hasher.update(piece),
        }
    }

    pub(super) fn zeros(&mut self, mut count: u64) -> Result<(), Error> {
        if self.failed.is_some() {
            return Ok(());
        }
        let end = match checked_end(self.at, count) {
            Ok(end) => end,
            Err(error) => {
                self.failed = Some(error);
                return Ok(());
            }
        };
        match &mut self.hashing {
            Hashing::Whole(hasher) if count >= HOLE_BYTES as u64 => {
                hasher.zeros(count);
                (self.at, self.hole) = (end, true);
                return Ok(());
            }
            // Whoever announces a small file and sends a huge hole makes no work.
            Hashing::Blocks(_) if !BlockLister::takes(end) => {
                self.failed = Some(io::ErrorKind::FileTooLarge.into());
                return Ok(());
            }
            _ => {}
        }
        let zeros = vec![0; HOLE_BYTES];
        while count > 0 && self.failed.is_none() {
            self.cancel.check()?;
            let now = count.min(HOLE_BYTES as u64);
            self.write(zeros.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default());
            count -= now;
        }
        Ok(())
    }

    /// Blocks that stay where they were are taken as they are known, and copied by the system.
    fn copy_same(&mut self, basis: &Known, length: u64) -> io::Result<u64> {
        let (Hashing::Blocks(lister), Some(blocks)) = (&mut self.hashing, &basis.blocks) else {
            return Ok(0);
        };
        let same = lister.push_same(blocks, length);
        if same > 0 {
            self.fs.copy(&self.file, self.at, &basis.file, self.at, same)?;
            (self.at, self.hole) = (self.at + same, false);
        }
        Ok(same)
    }

    /// Blocks that moved are read, hashed and written by several threads, as many as there are whole ones in the content from here on.
    /// 0: it is better, or only possible, to go on piece by piece.
    fn copy_moved(
        &mut self,
        basis: &Known,
        begin: u64,
        length: u64,
    ) -> Result<io::Result<u64>, Error> {
        let Hashing::Blocks(lister) = &mut self.hashing else { return Ok(Ok(0)) };
        let (to_next, block_size) = lister.to_next_block();
        if to_next > 0 || length < MOVED_BYTES {
            return Ok(Ok(0));
        }
        let moved = length - length % u64::from(block_size);
        let (fs, file, has_holes) = (self.fs, &self.file, AtomicBool::new(false));
        let end = match checked_end(self.at, moved) {
            Ok(end) => end,
            Err(error) => return Ok(Err(error)),
        };
        let part = FilePart { file: &basis.file, begin, range: self.at..end, block_size };
        let windows = hash_windows(&part, self.cancel, |window, at| {
            let is_full = !window.chunks(HOLE_BYTES).any(is_zero);
            let length = if is_full { window.len() } else { HOLE_BYTES };
            for (piece, at) in window.chunks(length).zip((at..).step_by(length)) {
                if is_full || !is_zero(piece) {
                    fs.write(file, piece, at)?;
                } else {
                    has_holes.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        })?;
        let windows = match windows {
            Ok(windows) => windows,
            Err(error) => return Ok(Err(error)),
        };
        lister.push_hashed(windows);
        (self.at, self.hole) = (end, has_holes.into_inner());
        Ok(Ok(moved))
    }

    /// Whether the range was there.
    pub(super) fn copy(
        &mut self,
        basis: &Known,
        mut offset: u64,
        mut length: u64,
    ) -> Result<bool, Error> {
        let mut buffer = Vec::new();
        while length > 0 && self.failed.is_none() {
            self.cancel.check()?;
            if matches!(self.hashing, Hashing::Whole(_))
                && let Some(hole) = hole(&basis.file, offset)
            {
                let now = length.min(hole);
                self.zeros(now)?;
                offset = offset.saturating_add(now);
                length -= now;
                continue;
            }
            let same = if offset == self.at {
                self.copy_same(basis, length.min(SAME_BYTES))
            } else {
                Ok(0)
            };
            let by_blocks = match same {
                Ok(0) => self.copy_moved(basis, offset, length)?,
                same => same,
            };
            match by_blocks {
                Ok(0) => {}
                Ok(copied) => {
                    offset += copied;
                    length -= copied;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => {
                    self.failed = Some(error);
                    return Ok(true);
                }
            }
            let now = length.min(self.piece());
            buffer.resize(usize::try_from(now).unwrap_or(0), 0);
            let piece = buffer.as_mut_slice();
            if let Err(error) = basis.file.read_exact_at(piece, offset) {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    return Ok(false);
                }
                self.failed = Some(error);
                return Ok(true);
            }
            self.write(piece);
            offset = offset.saturating_add(now);
            length -= now;
        }
        Ok(true)
    }

    /// Bytes of a copy that are taken at once: up to where whole blocks begin.
    fn piece(&self) -> u64 {
        match &self.hashing {
            Hashing::Blocks(lister) => match lister.to_next_block().0 {
                0 => COPY_BYTES as u64,
                to_next => to_next,
            },
            Hashing::Whole(_) => COPY_BYTES as u64,
        }
    }

    pub(super) fn finish(mut self, executable: bool, modified_ms: i64) -> io::Result<Finished> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.hole {
            self.fs.set_len(&self.file, self.at)?;
        }
        self.fs.set_executable(&self.file, executable)?;
        if let Ok(modified) = u64::try_from(modified_ms) {
            self.fs.set_modified(&self.file, Duration::from_millis(modified))?;
        }
        let (digest, blocks) = match self.hashing {
            Hashing::Whole(hasher) => (Some(hasher.finish()), None),
            Hashing::Blocks(lister) => {
                let (blocks, digest) = lister.finish();
                (digest, Some(blocks))
            }
        };
        let stamp = Found::of_file(&self.file)?.stamp;
        self.untouched.watch(&self.file, &stamp);
        Ok(Finished { digest, length: self.at, blocks, stamp, file: self.file })
    }
}
