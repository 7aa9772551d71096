//! A content on its way to the disk, with its digest.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

use super::Staged;
use crate::{
    content::{ContentHasher, checked_end, hole, is_sparse, is_zero},
    context::CancelFlag,
    delta::{BlockList, BlockLister},
    entry::{Digest, Entry},
    error::Error,
    fs::{FileSystem, Found, Stamp},
    side::{Side, Untouched},
};

/// A piece that is copied from the basis at once.
pub(super) const COPY_BYTES: usize = 256 << 10;
/// The same by the system.
const SAME_BYTES: u64 = 64 << 20;
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
            if offset == self.at {
                let some = length.min(SAME_BYTES);
                match self.copy_same(basis, some) {
                    Ok(0) => {}
                    Ok(same) => {
                        offset += same;
                        length -= same;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                    Err(error) => {
                        self.failed = Some(error);
                        return Ok(true);
                    }
                }
            }
            let now = length.min(COPY_BYTES as u64);
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
