//! The receiving end.

use std::{fs::File, io};

use proto::sync::v1::{self as pb, step::What as Step};

use super::{
    Announced, BasisFile, Job, SMALL_BYTES, Staged,
    writing::{COPY_BYTES, Known, Writing},
};
use crate::{
    entry::{Digest, Entry},
    error::Error,
    side::Side,
    wire::{Pipe, StepReader, local_entry, optional_digest},
};

/// What came.
pub(crate) enum Receipt {
    Staged(Staged),
    /// A small file, that is not staged yet.
    Small(Job),
    /// The reason is for people.
    Failed(String),
    /// What came is not what was announced: the basis was another than the sender thought, or it lied.
    Wrong,
}

/// Takes a content from the stream; `announced` is what was decided on, which the file may have left behind meanwhile. `basis`
/// opens the content with that digest, if it is here; `sketched` is the one whose sketch was sent. A full disk fails this content
/// alone: what still comes of it is dropped.
pub(crate) fn receive(
    side: &Side,
    pipe: &mut Pipe<'_>,
    steps: &mut StepReader,
    announced: &Announced<'_>,
    sketched: Option<&[u8]>,
    mut basis: impl FnMut(Digest) -> Result<Option<BasisFile>, Error>,
) -> Result<Receipt, Error> {
    let wanted = announced.entry;
    let mut begin = match steps.next(pipe)? {
        Step::Begin(begin) => begin,
        Step::Failed(reason) => return Ok(Receipt::Failed(reason)),
        _ => return Err(Error::protocol("content that does not begin")),
    };
    loop {
        let known = match optional_digest(&begin.basis)? {
            Some(digest) => match basis(digest)? {
                Some(basis) => Some(Known::new(side, basis, digest)?),
                None => None,
            },
            None => None,
        };
        let from = match &known {
            Some(known) => Origin::File(known),
            None if begin.sketched => Origin::Memory(sketched.unwrap_or_default()),
            None => Origin::Nothing,
        };
        let mut sink = if known.is_none() && wanted.size() < SMALL_BYTES {
            Sink::Memory(Vec::with_capacity(usize::try_from(wanted.size()).unwrap_or(0)))
        } else {
            Sink::open(side, wanted.size())
        };
        match fill(side, pipe, steps, &mut sink, from)? {
            Filled::Restart(again) => {
                sink.discard(side)?;
                begin = again;
            }
            Filled::Failed(reason) => {
                sink.discard(side)?;
                return Ok(Receipt::Failed(reason));
            }
            Filled::Whole { entry, fits } => {
                let fits = fits && known.as_ref().is_none_or(Known::is_still);
                return sink.finish(side, announced, entry.as_ref(), fits, begin.sketched);
            }
        }
    }
}

/// What copies refer to.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Nothing,
    File(&'a Known),
    Memory(&'a [u8]),
}

/// How the steps of one attempt ended.
enum Filled {
    Restart(pb::Begin),
    Failed(String),
    /// `entry`: unless it is as announced.
    Whole {
        entry: Option<pb::Entry>,
        fits: bool,
    },
}

fn fill<'s>(
    side: &'s Side,
    pipe: &mut Pipe<'_>,
    steps: &mut StepReader,
    sink: &mut Sink<'s>,
    from: Origin<'_>,
) -> Result<Filled, Error> {
    let (mut fits, mut at) = (true, 0_u64);
    loop {
        side.context.meter.at(at);
        side.context.cancel.check()?;
        match steps.next(pipe)? {
            Step::End(entry) => return Ok(Filled::Whole { entry: Some(entry), fits }),
            Step::Complete(_) => return Ok(Filled::Whole { entry: None, fits }),
            Step::Failed(reason) => return Ok(Filled::Failed(reason)),
            Step::Restart(again) => return Ok(Filled::Restart(again)),
            Step::Data(data) => {
                at = at.saturating_add(data.len() as u64);
                sink.on_disk_from(side, data.len() as u64, |sink| match sink {
                    Sink::Memory(content) => content.extend_from_slice(&data),
                    Sink::Disk(writing, _) => writing.write(&data),
                    Sink::Failed(_) => {}
                });
            }
            Step::Zeros(count) => {
                at = at.saturating_add(count);
                let mut done = Ok(());
                sink.on_disk_from(side, count, |sink| match sink {
                    Sink::Memory(content) => {
                        let more = usize::try_from(count).unwrap_or(0);
                        content.resize(content.len().saturating_add(more), 0);
                    }
                    Sink::Disk(writing, _) => done = writing.zeros(count),
                    Sink::Failed(_) => {}
                });
                done?;
            }
            Step::Copy(copy) => {
                at = at.saturating_add(copy.length);
                match (from, &mut *sink) {
                    (Origin::File(from), Sink::Disk(writing, _)) if fits => {
                        fits = writing.copy(from, copy.offset, copy.length)?;
                    }
                    (Origin::Memory(from), Sink::Memory(content)) if fits => {
                        fits = small_copy(from, &copy, content);
                    }
                    (_, Sink::Failed(_)) => {}
                    _ => fits = false,
                }
            }
            Step::Begin(_) | Step::Operation(_) | Step::Commit(_) => {
                return Err(Error::protocol("content that does not end"));
            }
        }
    }
}

/// Whether the range was there, and what it makes still small: only what is small is made from a sketch.
fn small_copy(from: &[u8], copy: &pb::Copy, content: &mut Vec<u8>) -> bool {
    let range = || {
        let begin = usize::try_from(copy.offset).ok()?;
        from.get(begin..begin.checked_add(usize::try_from(copy.length).ok()?)?)
    };
    match range() {
        Some(range) if ((content.len() + range.len()) as u64) < SMALL_BYTES => {
            content.extend_from_slice(range);
            true
        }
        _ => false,
    }
}

/// Where a content goes.
enum Sink<'a> {
    Memory(Vec<u8>),
    /// With its name in the staging folder.
    Disk(Box<Writing<'a>>, String),
    Failed(String),
}

impl<'a> Sink<'a> {
    fn open(side: &'a Side, size: u64) -> Self {
        let name = side.place.new_name();
        match Writing::new(side, &name, size, false) {
            Ok(writing) => Self::Disk(Box::new(writing), name),
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    /// What was small and has grown goes to the disk after all.
    fn on_disk_from(&mut self, side: &'a Side, more: u64, write: impl FnOnce(&mut Self)) {
        let Self::Memory(content) = self else { return write(self) };
        let size = (content.len() as u64).saturating_add(more);
        if size >= SMALL_BYTES {
            let content = std::mem::take(content);
            *self = Self::open(side, size);
            if let Self::Disk(writing, _) = self {
                writing.write(&content);
            }
        }
        write(self);
    }

    fn discard(self, side: &Side) -> Result<(), Error> {
        match self {
            Self::Disk(_, name) => discard(side, &name),
            Self::Memory(_) | Self::Failed(_) => Ok(()),
        }
    }

    fn finish(
        self,
        side: &Side,
        announced: &Announced<'_>,
        entry: Option<&pb::Entry>,
        fits: bool,
        sketched: bool,
    ) -> Result<Receipt, Error> {
        let (sent, modified_ms) = match entry {
            Some(entry) => (local_entry(entry)?, entry.modified_ms),
            None => (announced.entry.clone(), announced.modified_ms),
        };
        // Content and executable bit may have been decided on apart.
        let same = sent.same_content(announced.entry);
        let entry = if same { announced.entry.clone() } else { sent };
        let Entry::File { size, digest, executable } = entry else {
            return Err(Error::protocol("the content of something that is no file"));
        };
        let unwritten = |reason: String| Receipt::Failed(format!("it can't be written: {reason}"));
        match self {
            Self::Memory(_) if !fits => Ok(Receipt::Wrong),
            // Others are hashed by who writes them; this one may have to come again.
            Self::Memory(content) if sketched && Digest::of(&content) != digest => {
                Ok(Receipt::Wrong)
            }
            Self::Memory(content) => {
                let name = side.place.new_name();
                Ok(Receipt::Small(Job { name, content, entry, modified_ms }))
            }
            Self::Failed(reason) => Ok(unwritten(reason)),
            Self::Disk(writing, name) => match writing.finish(executable, modified_ms) {
                Ok(done) if fits && (done.digest, done.length) == (Some(digest), size) => {
                    Ok(Receipt::Staged(done.staged(name, entry)))
                }
                Ok(_) => discard(side, &name).map(|()| Receipt::Wrong),
                Err(error) => discard(side, &name).map(|()| unwritten(error.to_string())),
            },
        }
    }
}

/// Stages what another file of this side has. `None`: it has another content by now.
pub(crate) fn copy_local(
    side: &Side,
    from: File,
    wanted: &Entry,
    modified_ms: i64,
) -> io::Result<Option<Staged>> {
    let Entry::File { size, digest, executable } = wanted else { return Ok(None) };
    let name = side.place.new_name();
    let mut writing = Writing::new(side, &name, *size, *executable)?;
    let from = Known::unproven(from);
    let copied = writing.copy(&from, 0, *size).map_err(io::Error::other);
    let done = copied.and_then(|whole| Ok((whole, writing.finish(*executable, modified_ms)?)));
    match done {
        Ok((true, done)) if (done.digest, done.length) == (Some(*digest), *size) => {
            Ok(Some(done.staged(name, wanted.clone())))
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
        Ok(done) => {
            let digest = done.digest.unwrap_or_else(|| Digest::of(content));
            let entry = Entry::File { size: done.length, digest, executable };
            Ok(done.staged(name, entry))
        }
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
