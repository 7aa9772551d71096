//! Messages over a link, compressed where it pays, and counted.

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{Message, message::Body};
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{compress_bound, get_frame_content_size},
};

use super::effort::Effort;
use crate::{
    clock::Stopwatch,
    error::Error,
    link::{Link, LinkError, MESSAGE_LIMIT_BYTES},
};

/// Shorter messages are sent as they are.
const WORTH_COMPRESSING_BYTES: usize = 256;
/// Messages that are sent without trying after one that did not shrink, doubled with each.
const MOST_SKIPPED: u32 = 32;

/// Both ways to the peer.
pub(crate) struct Pipe<'a> {
    link: &'a mut dyn Link,
    sent_bytes: u64,
    received_bytes: u64,
    skip: u32,
    skipped: u32,
    effort: Effort,
    packer: Option<Compressor<'static>>,
    unpacker: Option<Decompressor<'static>>,
    /// Kept from message to message: memory that is used for the first time costs more than what is done with it.
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl<'a> Pipe<'a> {
    pub(crate) fn new(link: &'a mut dyn Link) -> Self {
        Self {
            link,
            sent_bytes: 0,
            received_bytes: 0,
            skip: 0,
            skipped: 0,
            effort: Effort::new(),
            packer: None,
            unpacker: None,
            plain: Vec::new(),
            packed: Vec::new(),
        }
    }

    pub(crate) const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    pub(crate) const fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    pub(crate) fn send(&mut self, body: Body) -> Result<(), Error> {
        let message = Message { body: Some(body) };
        self.plain.clear();
        let encoded = message.encode(&mut self.plain);
        encoded.map_err(|_| Error::protocol("a message that can't be written"))?;
        drop(message);
        let bytes = self.compress().unwrap_or_else(|| std::mem::take(&mut self.plain).into());
        let length = bytes.len();
        self.sent_bytes += length as u64;
        let watch = Stopwatch::start();
        self.link.send(bytes)?;
        if self.effort.sent(length, watch.elapsed())
            && let Some(packer) = &mut self.packer
        {
            let changed = packer.set_compression_level(self.effort.level());
            changed.map_err(Error::io("prepare compression"))?;
        }
        Ok(())
    }

    /// The peer may not end now.
    pub(crate) fn recv(&mut self) -> Result<Body, Error> {
        self.recv_or_end()?.ok_or(Error::Link { source: LinkError::Gone })
    }

    pub(crate) fn recv_or_end(&mut self) -> Result<Option<Body>, Error> {
        let Some(bytes) = self.link.recv()? else { return Ok(None) };
        if bytes.len() > MESSAGE_LIMIT_BYTES {
            return Err(Error::protocol("a message that is too long"));
        }
        self.received_bytes += bytes.len() as u64;
        let body = match decode(bytes)? {
            Body::Zstd(packed) => {
                let plain = self.unpack(&packed)?;
                match decode(Bytes::from(plain))? {
                    Body::Zstd(_) => return Err(Error::protocol("a message packed twice")),
                    body => body,
                }
            }
            body => body,
        };
        Ok(Some(body))
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<Vec<u8>, Error> {
        let broken = |_| Error::protocol("a message that does not unpack");
        let unpacker = match &mut self.unpacker {
            Some(unpacker) => unpacker,
            none => none.insert(Decompressor::new().map_err(Error::io("prepare to unpack"))?),
        };
        // The sender says how much it is; what it says is only believed up to the limit.
        let size = get_frame_content_size(packed).ok().flatten();
        let room = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(MESSAGE_LIMIT_BYTES);
        unpacker.decompress(packed, room.min(MESSAGE_LIMIT_BYTES)).map_err(broken)
    }

    /// What is to be sent, packed; `None` where it does not pay.
    fn compress(&mut self) -> Option<Bytes> {
        let plain = self.plain.as_slice();
        if plain.len() < WORTH_COMPRESSING_BYTES {
            return None;
        }
        if self.skipped < self.skip {
            self.skipped += 1;
            return None;
        }
        self.skipped = 0;
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Compressor::new(self.effort.level()).ok()?),
        };
        self.packed.clear();
        self.packed.reserve(compress_bound(plain.len()));
        packer.compress_to_buffer(plain, &mut self.packed).ok()?;
        if self.packed.len() > plain.len() / 10 * 9 {
            self.skip = (self.skip * 2 + 1).min(MOST_SKIPPED);
            return None;
        }
        self.skip = 0;
        let packed = Bytes::copy_from_slice(&self.packed);
        Some(Message { body: Some(Body::Zstd(packed)) }.encode_to_vec().into())
    }
}

fn decode(bytes: Bytes) -> Result<Body, Error> {
    Message::decode(bytes)
        .map_err(|_| Error::protocol("a message that can't be read"))?
        .body
        .ok_or_else(|| Error::protocol("a message of unknown kind"))
}
