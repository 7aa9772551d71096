//! The receiving end.

use std::{fs::File, io, os::unix::fs::FileExt, time::Duration};

use proto::sync::v1::step::What as Step;

use super::{Announced, Staged};
use crate::{
    RelPath,
    content::{ContentHasher, checked_end, hole},
    context::CancelFlag,
    delta::{BlockList, BlockLister},
    entry::{Digest, Entry},
    error::Error,
    fs::FileSystem,
    side::Side,
    wire::{Pipe, StepReader, local_entry, optional_digest},
};

/// A piece that is copied from the basis at once.
const COPY_BYTES: usize = 256 << 10;
/// Zeros that are worth a hole.
const HOLE_BYTES: usize = 64 << 10;

/// What came.
pub(crate) enum Receipt {
    Staged(Staged),
    /// The reason is for people.
    Failed(String),
    /// What came is not what was announced: the basis was another than the sender thought, or it lied.
    Wrong,
}

/// A file that is being written.
struct Writing<'a> {
    fs: &'a dyn FileSystem,
    cancel: &'a CancelFlag,
    file: File,
    hasher: ContentHasher,
    lister: Option<BlockLister>,
    at: u64,
    /// Something ended in a hole: the length has to be set.
    hole: bool,
    /// The first failure of the disk. The rest of the content is taken in and dropped.
    failed: Option<io::Error>,
}

impl<'a> Writing<'a> {
    fn new(side: &'a Side, name: &str, size_hint: u64, executable: bool) -> io::Result<Self> {
        let fs = side.fs().as_ref();
        Ok(Self {
            fs,
            cancel: &side.context.cancel,
            file: fs.create(side.stage(), name.as_bytes(), executable)?,
            hasher: ContentHasher::new(),
            lister: BlockLister::new(size_hint),
            at: 0,
            hole: false,
            failed: None,
        })
    }

    fn write(&mut self, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.note(piece);
        if piece.len() >= HOLE_BYTES && piece.iter().all(|&byte| byte == 0) {
            self.hole = true;
        } else if let Err(error) = self.fs.write(&self.file, piece, self.at) {
            self.failed = Some(error);
        } else {
            self.hole = false;
        }
        self.at += piece.len() as u64;
    }

    fn note(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if let Some(lister) = &mut self.lister {
            lister.push(piece);
        }
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), Error> {
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
        // Whoever announces a small file and sends a huge hole makes no work either.
        self.lister = self.lister.take().filter(|_| BlockLister::takes(end));
        if self.lister.is_none() && count >= HOLE_BYTES as u64 {
            self.hasher.zeros(count);
            (self.at, self.hole) = (end, true);
            return Ok(());
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

    /// Whether the range was there.
    fn copy(&mut self, basis: &File, mut offset: u64, mut length: u64) -> Result<bool, Error> {
        let mut buffer = vec![0; COPY_BYTES];
        while length > 0 && self.failed.is_none() {
            self.cancel.check()?;
            if self.lister.is_none()
                && let Some(hole) = hole(basis, offset)
            {
                let now = length.min(hole);
                self.zeros(now)?;
                offset = offset.saturating_add(now);
                length -= now;
                continue;
            }
            let now = length.min(COPY_BYTES as u64);
            let Some(piece) = buffer.get_mut(..usize::try_from(now).unwrap_or(0)) else { break };
            if let Err(error) = basis.read_exact_at(piece, offset) {
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

    fn finish(
        mut self,
        executable: bool,
        modified_ms: i64,
    ) -> io::Result<(File, Digest, u64, Option<BlockList>)> {
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
        let digest = self.hasher.finish();
        Ok((self.file, digest, self.at, self.lister.map(BlockLister::finish)))
    }
}

/// Takes a content from the stream; `announced` is what was decided on, which the file may have left behind meanwhile. `basis`
/// opens the content with that digest, if it is here. A full disk fails this content alone: what still comes of it is dropped.
pub(crate) fn receive(
    side: &Side,
    pipe: &mut Pipe<'_>,
    steps: &mut StepReader,
    announced: &Announced<'_>,
    mut basis: impl FnMut(Digest) -> Option<File>,
) -> Result<Receipt, Error> {
    let wanted = announced.entry;
    let mut begin = match steps.next(pipe)? {
        Step::Begin(begin) => begin,
        Step::Failed(reason) => return Ok(Receipt::Failed(reason)),
        _ => return Err(Error::protocol("content that does not begin")),
    };
    'attempt: loop {
        let from = match optional_digest(&begin.basis)? {
            Some(digest) => basis(digest),
            None => None,
        };
        let name = side.place.new_name();
        let mut writing = match Writing::new(side, &name, wanted.size(), false) {
            Ok(writing) => Ok(writing),
            Err(error) => Err(error.to_string()),
        };
        let mut wrong = false;
        let end = loop {
            side.context.cancel.check()?;
            let step = steps.next(pipe)?;
            match (step, &mut writing) {
                (Step::End(entry), _) => break Ok(Some(entry)),
                (Step::Complete(_), _) => break Ok(None),
                (Step::Failed(reason), _) => break Err(reason),
                (Step::Restart(again), _) => {
                    discard(side, &name)?;
                    begin = again;
                    continue 'attempt;
                }
                (Step::Data(data), Ok(writing)) => writing.write(&data),
                (Step::Zeros(count), Ok(writing)) => writing.zeros(count)?,
                (Step::Copy(copy), Ok(writing)) => match &from {
                    Some(from) if !wrong => {
                        wrong = !writing.copy(from, copy.offset, copy.length)?;
                    }
                    _ => wrong = true,
                },
                (Step::Data(_) | Step::Zeros(_) | Step::Copy(_), Err(_)) => {}
                (Step::Begin(_) | Step::Operation(_) | Step::Commit(_), _) => {
                    return Err(Error::protocol("content that does not end"));
                }
            }
        };
        let entry = match end {
            Ok(entry) => entry,
            Err(reason) => {
                discard(side, &name)?;
                return Ok(Receipt::Failed(reason));
            }
        };
        let (sent, modified_ms) = match entry {
            Some(entry) => (local_entry(&entry)?, entry.modified_ms),
            None => (wanted.clone(), announced.modified_ms),
        };
        // Content and executable bit may have been decided on apart.
        let sent = if sent.same_content(wanted) { wanted.clone() } else { sent };
        let Entry::File { size, digest, executable } = sent else {
            return Err(Error::protocol("the content of something that is no file"));
        };
        let done = match writing {
            Ok(writing) => {
                writing.finish(executable, modified_ms).map_err(|error| error.to_string())
            }
            Err(reason) => Err(reason),
        };
        let (file, found, length, blocks) = match done {
            Ok(done) => done,
            Err(reason) => {
                discard(side, &name)?;
                return Ok(Receipt::Failed(format!("it can't be written: {reason}")));
            }
        };
        if wrong || (found, length) != (digest, size) {
            discard(side, &name)?;
            return Ok(Receipt::Wrong);
        }
        let staged = Staged { name, entry: sent, blocks, file: Some(file) };
        return Ok(Receipt::Staged(staged));
    }
}

/// Stages what another path of this side has. `None`: it has another content by now.
pub(crate) fn copy_local(
    side: &Side,
    source: &RelPath,
    wanted: &Entry,
    modified_ms: i64,
) -> io::Result<Option<Staged>> {
    let Entry::File { size, digest, executable } = wanted else { return Ok(None) };
    let Ok(from) = side.root.file(source) else { return Ok(None) };
    let name = side.place.new_name();
    let mut writing = Writing::new(side, &name, *size, *executable)?;
    let copied = writing.copy(&from, 0, *size).map_err(io::Error::other);
    let done = copied.and_then(|whole| Ok((whole, writing.finish(*executable, modified_ms)?)));
    match done {
        Ok((true, (file, found, length, blocks))) if (found, length) == (*digest, *size) => {
            Ok(Some(Staged { name, entry: wanted.clone(), blocks, file: Some(file) }))
        }
        Ok(_) => {
            side.fs().remove_file(side.stage(), name.as_bytes())?;
            Ok(None)
        }
        Err(error) => {
            side.fs().remove_file(side.stage(), name.as_bytes())?;
            Err(error)
        }
    }
}

/// Stages a content that somebody decided on.
pub(crate) fn write_given(side: &Side, content: &[u8], executable: bool) -> io::Result<Staged> {
    let name = side.place.new_name();
    let mut writing = Writing::new(side, &name, content.len() as u64, executable)?;
    for piece in content.chunks(COPY_BYTES) {
        writing.write(piece);
    }
    match writing.finish(executable, -1) {
        Ok((file, digest, size, blocks)) => Ok(Staged {
            name,
            entry: Entry::File { size, digest, executable },
            blocks,
            file: Some(file),
        }),
        Err(error) => {
            side.fs().remove_file(side.stage(), name.as_bytes())?;
            Err(error)
        }
    }
}

/// Takes a staged file away again; there may be none.
fn discard(side: &Side, name: &str) -> Result<(), Error> {
    match side.fs().remove_file(side.stage(), name.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("take a staged file away")(error)),
    }
}
