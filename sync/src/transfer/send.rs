//! The sending end.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use bytes::Bytes;
use proto::sync::v1::{self as pb, step::What as Step};

use super::Small;
use crate::{
    RelPath,
    content::{ContentHasher, ZEROS, hole, is_zero},
    context::CancelFlag,
    delta::{BlockList, BlockLister, COPIED_AT_ONCE, DeltaMaker, Instruction, Part, Shift, sum},
    entry::{Digest, Entry},
    error::Error,
    fs::{Found, Stamp, What, is_absent},
    meter::Meter,
    side::Side,
    wire::{Pipe, StepWriter, proto_local_entry},
};

const BUFFER_BYTES: usize = 256 << 10;
/// The same for what is large.
const LARGE_BUFFER_BYTES: usize = 1 << 20;
/// Less than this is read without looking for holes.
const SMALLEST_HOLE_BYTES: u64 = 64 << 10;
/// How often a file that changes while it is sent is sent again.
const ATTEMPTS: usize = 3;

/// How sending ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// As it was read: it may be newer than it was listed.
    Whole(Entry, Stamp),
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
        Some(basis) => side.state.blocks(basis)?.map(|blocks| (basis, blocks)),
        None => None,
    };
    for attempt in 0..ATTEMPTS {
        let before = Found::of_file(&file).map_err(Error::at("look at", path))?;
        if before.what != What::File {
            return fail(pipe, out, "it is no file any more".to_owned());
        }
        // What the look at the folder told of it need not be found out again. From a basis the receiver makes what was seen then,
        // or notices; what comes whole has to be as it is.
        let seen = match &known {
            Some(_) => side.likely(path, &file)?,
            None => side.still(path, &file)?,
        };
        let told = match seen {
            Some(digest) => side.state.blocks(digest)?.map(|blocks| (digest, blocks)),
            None => None,
        };
        let begin = pb::Begin {
            basis: known.as_ref().map(|(basis, _)| basis.0.to_vec().into()).unwrap_or_default(),
            sketched: false,
        };
        let step = if attempt == 0 { Step::Begin(begin) } else { Step::Restart(begin) };
        out.push(pipe, step)?;
        let basis = known.as_ref().map(|(_, basis)| basis);
        let mut sending = Sending {
            pipe,
            out,
            hashing: match told {
                Some((digest, _)) => Hashing::Told(digest),
                None => Hashing::of(before.stamp.size),
            },
            delta: basis.map(DeltaMaker::new),
            lists: told.as_ref().map(|(_, blocks)| blocks).zip(basis),
            shift: None,
            at: 0,
            meter: &side.context.meter,
        };
        let cancel = &side.context.cancel;
        let read = match (&told, basis) {
            (Some((_, blocks)), Some(basis)) => {
                sending.differences(&file, blocks, basis, cancel)?
            }
            _ => sending.run(&file, before.stamp.size, cancel)?,
        };
        if let Err(error) = read {
            return fail(pipe, out, format!("it can't be read: {error}"));
        }
        let (digest, size, blocks) = sending.finish()?;
        let after = Found::of_file(&file).map_err(Error::at("look at", path))?;
        if let Some(digest) = digest
            && after.stamp == before.stamp
            && size == after.stamp.size
        {
            if let Some(blocks) = blocks {
                side.state.keep_blocks(digest, &blocks)?;
            }
            let entry = Entry::File { size, digest, executable: after.stamp.executable };
            end(pipe, out, &entry, after.stamp.modified_ms(), announced)?;
            return Ok(Sent::Whole(entry, after.stamp));
        }
    }
    fail(pipe, out, "it changed while it was read".to_owned())
}

/// Sends what was read ahead; `parts`: as the way to it from what the receiver told the sketch of.
pub(crate) fn send_small(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    small: Small,
    parts: Option<Vec<Part>>,
    announced: Option<&Announced<'_>>,
) -> Result<Sent, Error> {
    let Small { content, entry, stamp } = small;
    let modified_ms = stamp.modified_ms();
    let content = Bytes::from(content);
    let begin = pb::Begin { sketched: parts.is_some(), ..pb::Begin::default() };
    out.push(pipe, Step::Begin(begin))?;
    for part in parts.unwrap_or_else(|| vec![Part::Data(0..content.len())]) {
        match part {
            Part::Copy { offset, length } => {
                out.push(pipe, Step::Copy(pb::Copy { offset, length }))?;
            }
            Part::Data(range) if range.is_empty() => {}
            Part::Data(range) => out.push(pipe, Step::Data(content.slice(range)))?,
        }
    }
    end(pipe, out, &entry, modified_ms, announced)?;
    Ok(Sent::Whole(entry, stamp))
}

fn end(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
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
        Step::End(proto_local_entry(entry, modified_ms))
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
    hashing: Hashing,
    delta: Option<DeltaMaker<'a>>,
    /// Of what is sent, and of the basis.
    lists: Option<(&'a BlockList, &'a BlockList)>,
    /// Made when it is needed.
    shift: Option<Shift>,
    at: u64,
    meter: &'a Meter,
}

/// How the digest of what is sent comes to be known.
enum Hashing {
    /// It was told beforehand.
    Told(Digest),
    Blocks(Box<BlockLister>),
    Whole(Box<ContentHasher>),
}

impl Hashing {
    fn of(size: u64) -> Self {
        match BlockLister::new(size) {
            Some(lister) => Self::Blocks(Box::new(lister)),
            None => Self::Whole(Box::new(ContentHasher::new())),
        }
    }

    fn finish(self) -> (Option<Digest>, Option<BlockList>) {
        match self {
            Self::Told(digest) => (Some(digest), None),
            Self::Whole(hasher) => (Some(hasher.finish()), None),
            Self::Blocks(lister) => {
                let (blocks, digest) = lister.finish();
                (digest, Some(blocks))
            }
        }
    }
}

impl Sending<'_, '_> {
    /// Sends what is not the same at the same place in the basis; the rest is not even read. The inner error is the file's own.
    fn differences(
        &mut self,
        file: &File,
        blocks: &BlockList,
        basis: &BlockList,
        cancel: &CancelFlag,
    ) -> Result<io::Result<()>, Error> {
        let size = u64::from(blocks.block_size);
        let mut number = 0;
        while number < blocks.count() {
            let (end, is_same) = match blocks.same_from(basis, number) {
                Ok(count) => (number + count, true),
                Err(count) => (number + count, false),
            };
            let end_at = (end * size).min(blocks.content_size);
            if is_same {
                let (pipe, out) = (&mut *self.pipe, &mut *self.out);
                if let Some(delta) = &mut self.delta {
                    delta.same(end_at - self.at, &mut |it| tell(pipe, out, &it))?;
                }
                self.at = end_at;
            } else if let Err(error) = self.run(file, end_at, cancel)? {
                return Ok(Err(error));
            } else if self.at < end_at {
                // It is shorter by now, as its stamp will say.
                return Ok(Ok(()));
            }
            number = end;
        }
        Ok(Ok(()))
    }

    /// Up to `end`, or to the end. The inner error is the file's own.
    fn run(&mut self, file: &File, end: u64, cancel: &CancelFlag) -> Result<io::Result<()>, Error> {
        let left = end.saturating_sub(self.at);
        let most = if left > LARGE_BUFFER_BYTES as u64 { LARGE_BUFFER_BYTES } else { BUFFER_BYTES };
        let room = usize::try_from(left).unwrap_or(most).saturating_add(1);
        let mut buffer = vec![0; room.min(most)];
        loop {
            cancel.check()?;
            self.meter.at(self.at);
            let left = end.saturating_sub(self.at);
            if left == 0 {
                return Ok(Ok(()));
            }
            if left >= SMALLEST_HOLE_BYTES
                && let Some(hole) = hole(file, self.at)
            {
                self.zeros(hole.min(left), cancel)?;
                continue;
            }
            let now = usize::try_from(left).unwrap_or(most).min(buffer.len());
            match file.read_at(buffer.get_mut(..now).unwrap_or_default(), self.at) {
                Ok(0) => return Ok(Ok(())),
                Ok(count) => {
                    let piece = buffer.get(..count).unwrap_or_default();
                    if piece.len() >= BUFFER_BYTES && is_zero(piece) {
                        self.zeros(count as u64, cancel)?;
                    } else {
                        self.piece(piece)?;
                        self.go_on(file, end)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn note(&mut self, piece: &[u8]) {
        match &mut self.hashing {
            Hashing::Told(_) => {}
            Hashing::Blocks(lister) => lister.push(piece),
            Hashing::Whole(hasher) => hasher.update(piece),
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

    /// What moved together with what was sent last is not read.
    fn go_on(&mut self, file: &File, end: u64) -> Result<(), Error> {
        let (Some((blocks, basis)), Some(delta)) = (self.lists, &mut self.delta) else {
            return Ok(());
        };
        let Some(course) = delta.course() else { return Ok(()) };
        let shift = self.shift.get_or_insert_with(|| Shift::new(basis, blocks));
        let sum_of = |range: Range<u64>| {
            let mut part = vec![0; usize::try_from(range.end - range.start).ok()?];
            file.read_exact_at(&mut part, range.start).ok()?;
            Some(sum(&part))
        };
        let length = shift.length(course, end.min(blocks.content_size), sum_of);
        if course.at + length > self.at {
            let (pipe, out) = (&mut *self.pipe, &mut *self.out);
            delta.go_on(length, &mut |instruction| tell(pipe, out, &instruction))?;
            self.at = course.at + length;
        }
        Ok(())
    }

    /// With a basis, zeros are content as any other: they may be copies.
    fn zeros(&mut self, mut count: u64, cancel: &CancelFlag) -> Result<(), Error> {
        if self.delta.is_none() {
            self.out.push(self.pipe, Step::Zeros(count))?;
            match &mut self.hashing {
                Hashing::Told(_) => {
                    self.at += count;
                    return Ok(());
                }
                Hashing::Whole(hasher) => {
                    hasher.zeros(count);
                    self.at += count;
                    return Ok(());
                }
                Hashing::Blocks(_) => {}
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

    /// The digest, the size, and the blocks unless they were told.
    fn finish(self) -> Result<(Option<Digest>, u64, Option<BlockList>), Error> {
        if let Some(delta) = self.delta {
            delta.finish(&mut |instruction| tell(self.pipe, self.out, &instruction))?;
        }
        let (digest, blocks) = self.hashing.finish();
        Ok((digest, self.at, blocks))
    }
}

fn tell(
    pipe: &mut Pipe<'_>,
    out: &mut StepWriter,
    instruction: &Instruction<'_>,
) -> Result<(), Error> {
    match instruction {
        Instruction::Copy { offset, length } => {
            out.push(pipe, Step::Copy(pb::Copy { offset: *offset, length: *length }))?;
            // Work for the receiver, while this side looks on.
            if *length >= COPIED_AT_ONCE { out.flush(pipe) } else { Ok(()) }
        }
        Instruction::Data(data) => out.data(pipe, data),
    }
}
