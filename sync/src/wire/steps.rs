//! One sequence of steps over many messages.

use std::collections::VecDeque;

use prost::Message as _;
use proto::sync::v1::{self as pb, message::Body, step::What};

use super::{BATCH_BYTES, DATA_BYTES, Pipe};
use crate::error::Error;

/// Gathers steps into messages.
#[derive(Debug, Default)]
pub(crate) struct StepWriter {
    waiting: Vec<pb::Step>,
    bytes: usize,
}

impl StepWriter {
    pub(crate) fn push(&mut self, pipe: &mut Pipe<'_>, what: What) -> Result<(), Error> {
        let step = pb::Step { what: Some(what) };
        self.bytes += step.encoded_len() + 8;
        self.waiting.push(step);
        if self.bytes >= BATCH_BYTES { self.flush(pipe) } else { Ok(()) }
    }

    /// Any length of content.
    pub(crate) fn data(&mut self, pipe: &mut Pipe<'_>, data: &[u8]) -> Result<(), Error> {
        for piece in data.chunks(DATA_BYTES) {
            self.push(pipe, What::Data(piece.to_vec().into()))?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        pipe.send(Body::Stream(pb::Stream { steps: std::mem::take(&mut self.waiting) }))
    }
}

/// Takes messages apart again.
#[derive(Debug, Default)]
pub(crate) struct StepReader {
    waiting: VecDeque<pb::Step>,
}

impl StepReader {
    /// Steps of a message that somebody else received.
    pub(crate) fn add(&mut self, stream: pb::Stream) {
        self.waiting.extend(stream.steps);
    }

    /// A step that is here already.
    pub(crate) fn next_here(&mut self) -> Option<Result<What, Error>> {
        let step = self.waiting.pop_front()?;
        Some(step.what.ok_or_else(|| Error::protocol("a step of unknown kind")))
    }

    /// The next step; waits for a message when there is none here.
    pub(crate) fn next(&mut self, pipe: &mut Pipe<'_>) -> Result<What, Error> {
        loop {
            if let Some(step) = self.next_here() {
                return step;
            }
            match pipe.recv()? {
                Body::Stream(stream) => self.add(stream),
                _ => return Err(Error::protocol("something else than content")),
            }
        }
    }
}
