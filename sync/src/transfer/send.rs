//! The sending end.

use std::{fs::File, io, os::unix::fs::FileExt};

use proto::sync::v1::{self as pb, step::What as Step};
use rustix::fs::fstat;

use super::Small;
use crate::{
    RelPath,
    content::{ContentHasher, hole},
    context::CancelFlag,
    delta::{Basis, BlockLister, DeltaMaker, Instruction},
    entry::{Digest, Entry},
    error::Error,
    fs::{Found, What, is_absent},
    side::Side,
    wire::{Pipe, StepWriter, proto_entry},
};

const BUFFER_BYTES: usize = 256 << 10;
/// Less than this is read without looking for holes.
const SMALLEST_HOLE_BYTES: u64 = 64 << 10;
/// How often a file that changes while it is sent is sent again.
const ATTEMPTS: usize = 3;
/// A piece of a hole that is hashed at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// How sending ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// As it was read: it may be newer than it was listed.
    Whole(Entry),
    Failed(String),
}

/// A file as the receiver knows of it.
pub(crate) struct Announced<'a> {
    pub entry: &'a Entry,
    pub modified_ms: i64,
}

/// Sends what is at `path`; `basis` is a content that the receiver says it holds.
pub(crate) fn send(
    side: &Side,
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    path: &RelPath,
    basis: Option<Digest>,
    announced: Option<&Announced<'_>>,
) -> Result<Sent, Error> {
    let file = match side.root.file(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return fail(pipe, out, "it is gone".to_owned()),
        Err(error) => return fail(pipe, out, format!("it can't be opened: {error}")),
    };
    let known = match basis {
        Some(basis) => side.state.blocks(basis)?.map(|blocks| (basis, Basis::new(blocks))),
        None => None,
    };
    for attempt in 0..ATTEMPTS {
        let before =
            Found::of(&fstat(&file).map_err(|error| Error::at("look at", path)(error.into()))?);
        if before.what != What::File {
            return fail(pipe, out, "it is no file any more".to_owned());
        }
        let begin = pb::Begin {
            basis: known.as_ref().map(|(basis, _)| basis.0.to_vec().into()).unwrap_or_default(),
        };
        let step = if attempt == 0 { Step::Begin(begin) } else { Step::Restart(begin) };
        out.push(pipe, step)?;
        let basis = known.as_ref().map(|(_, basis)| basis);
        let mut sending = Sending {
            pipe,
            out,
            hasher: ContentHasher::new(),
            lister: BlockLister::new(before.stamp.size),
            delta: basis.map(DeltaMaker::new),
            at: 0,
        };
        let read = sending.run(&file, &side.context.cancel)?;
        if let Err(error) = read {
            return fail(pipe, out, format!("it can't be read: {error}"));
        }
        let (digest, size, blocks) = sending.finish()?;
        let after =
            Found::of(&fstat(&file).map_err(|error| Error::at("look at", path)(error.into()))?);
        if after.stamp == before.stamp && size == after.stamp.size {
            if let Some(blocks) = blocks {
                side.state.keep_blocks(digest, &blocks)?;
            }
            let entry = Entry::File { size, digest, executable: after.stamp.executable };
            end(pipe, out, path, &entry, after.stamp.modified_ms(), announced)?;
            return Ok(Sent::Whole(entry));
        }
    }
    fail(pipe, out, "it changed while it was read".to_owned())
}

/// Sends what was read ahead; the receiver has no basis for so little.
pub(crate) fn send_small(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    path: &RelPath,
    small: Small,
    announced: Option<&Announced<'_>>,
) -> Result<Sent, Error> {
    let Small { content, entry, modified_ms } = small;
    out.push(pipe, Step::Begin(pb::Begin::default()))?;
    if !content.is_empty() {
        out.push(pipe, Step::Data(content.into()))?;
    }
    end(pipe, out, path, &entry, modified_ms, announced)?;
    Ok(Sent::Whole(entry))
}

fn end(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    path: &RelPath,
    entry: &Entry,
    modified_ms: i64,
    announced: Option<&Announced<'_>>,
) -> Result<(), Error> {
    let as_announced = announced.is_some_and(|announced| {
        announced.entry.same_content(entry) && announced.modified_ms == modified_ms
    });
    let end = if as_announced {
        Step::Complete(true)
    } else {
        Step::End(proto_entry(path, entry, modified_ms))
    };
    out.push(pipe, end)
}

fn fail(pipe: &mut Pipe<'_>, out: &mut StepWriter, reason: String) -> Result<Sent, Error> {
    out.push(pipe, Step::Failed(reason.clone()))?;
    Ok(Sent::Failed(reason))
}

struct Sending<'a, 'l> {
    pipe: &'a mut Pipe<'l>,
    out: &'a mut StepWriter,
    hasher: ContentHasher,
    lister: Option<BlockLister>,
    delta: Option<DeltaMaker<'a>>,
    at: u64,
}

impl Sending<'_, '_> {
    /// The inner error is the file's own.
    fn run(&mut self, file: &File, cancel: &CancelFlag) -> Result<io::Result<()>, Error> {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let room = usize::try_from(size).unwrap_or(BUFFER_BYTES).saturating_add(1);
        let mut buffer = vec![0; room.min(BUFFER_BYTES)];
        loop {
            cancel.check()?;
            if size.saturating_sub(self.at) >= SMALLEST_HOLE_BYTES
                && let Some(hole) = hole(file, self.at)
            {
                self.zeros(hole, cancel)?;
                continue;
            }
            match file.read_at(&mut buffer, self.at) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => {
                    let piece = buffer.get(..count).unwrap_or_default();
                    if piece.len() == BUFFER_BYTES && piece.iter().all(|&byte| byte == 0) {
                        self.zeros(count as u64, cancel)?;
                    } else {
                        self.piece(piece)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn note(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if let Some(lister) = &mut self.lister {
            lister.push(piece);
        }
        self.at += piece.len() as u64;
    }

    fn piece(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.note(piece);
        let (pipe, out) = (&mut *self.pipe, &mut *self.out);
        match &mut self.delta {
            Some(delta) => delta.push(piece, &mut |instruction| tell(pipe, out, &instruction)),
            None => out.data(pipe, piece),
        }
    }

    /// With a basis, zeros are content as any other: they may be copies.
    fn zeros(&mut self, mut count: u64, cancel: &CancelFlag) -> Result<(), Error> {
        if self.delta.is_none() {
            self.out.push(self.pipe, Step::Zeros(count))?;
            if self.lister.is_none() {
                self.hasher.zeros(count);
                self.at += count;
                return Ok(());
            }
        }
        while count > 0 {
            cancel.check()?;
            let now = count.min(ZEROS.len() as u64);
            let piece = ZEROS.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default();
            if self.delta.is_some() {
                self.piece(piece)?;
            } else {
                self.note(piece);
            }
            count -= now;
        }
        Ok(())
    }

    fn finish(self) -> Result<(Digest, u64, Option<crate::delta::BlockList>), Error> {
        if let Some(delta) = self.delta {
            delta.finish(&mut |instruction| tell(self.pipe, self.out, &instruction))?;
        }
        let digest = self.hasher.finish();
        Ok((digest, self.at, self.lister.map(BlockLister::finish)))
    }
}

fn tell(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    instruction: &Instruction<'_>,
) -> Result<(), Error> {
    match instruction {
        Instruction::Copy { offset, length } => {
            out.push(pipe, Step::Copy(pb::Copy { offset: *offset, length: *length }))
        }
        Instruction::Data(data) => out.data(pipe, data),
    }
}

impl From<io::Error> for Error {
    /// Of the delta, whose instructions did not fit what they were made from.
    fn from(source: io::Error) -> Self {
        Self::Io { what: "can't tell what changed".to_owned(), source }
    }
}
