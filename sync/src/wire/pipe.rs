//! Messages over a link, compressed where it pays, and counted.

use bytes::Bytes;
use prost::Message as _;
use proto::sync::v1::{Message, message::Body};

use crate::{
    error::Error,
    link::{Link, MESSAGE_LIMIT_BYTES},
};

/// Shorter messages are sent as they are.
const WORTH_COMPRESSING_BYTES: usize = 256;
const LEVEL: i32 = 3;
/// Messages that are sent without trying after one that did not shrink, doubled with each.
const MOST_SKIPPED: u32 = 32;

/// Both ways to the peer.
pub(crate) struct Pipe<'a> {
    link: &'a mut dyn Link,
    sent_bytes: u64,
    received_bytes: u64,
    skip: u32,
    skipped: u32,
}

impl<'a> Pipe<'a> {
    pub(crate) fn new(link: &'a mut dyn Link) -> Self {
        Self { link, sent_bytes: 0, received_bytes: 0, skip: 0, skipped: 0 }
    }

    pub(crate) const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    pub(crate) const fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    pub(crate) fn send(&mut self, body: Body) -> Result<(), Error> {
        let plain = Message { body: Some(body) }.encode_to_vec();
        let bytes = self.compress(&plain).unwrap_or(plain);
        self.sent_bytes += bytes.len() as u64;
        Ok(self.link.send(Bytes::from(bytes))?)
    }

    /// The peer may not end now.
    pub(crate) fn recv(&mut self) -> Result<Body, Error> {
        self.recv_or_end()?.ok_or_else(|| Error::protocol("it ended in the middle"))
    }

    pub(crate) fn recv_or_end(&mut self) -> Result<Option<Body>, Error> {
        let Some(bytes) = self.link.recv()? else { return Ok(None) };
        if bytes.len() > MESSAGE_LIMIT_BYTES {
            return Err(Error::protocol("a message that is too long"));
        }
        self.received_bytes += bytes.len() as u64;
        let body = match decode(&bytes)? {
            Body::Zstd(packed) => {
                let plain = zstd::bulk::decompress(&packed, MESSAGE_LIMIT_BYTES)
                    .map_err(|_| Error::protocol("a message that does not unpack"))?;
                match decode(&plain)? {
                    Body::Zstd(_) => return Err(Error::protocol("a message packed twice")),
                    body => body,
                }
            }
            body => body,
        };
        Ok(Some(body))
    }

    /// `None` where it does not pay.
    fn compress(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() < WORTH_COMPRESSING_BYTES {
            return None;
        }
        if self.skipped < self.skip {
            self.skipped += 1;
            return None;
        }
        self.skipped = 0;
        let packed = zstd::bulk::compress(plain, LEVEL).ok()?;
        if packed.len() > plain.len() / 10 * 9 {
            self.skip = (self.skip * 2 + 1).min(MOST_SKIPPED);
            return None;
        }
        self.skip = 0;
        Some(Message { body: Some(Body::Zstd(packed.into())) }.encode_to_vec())
    }
}

fn decode(bytes: &[u8]) -> Result<Body, Error> {
    Message::decode(bytes)
        .map_err(|_| Error::protocol("a message that can't be read"))?
        .body
        .ok_or_else(|| Error::protocol("a message of unknown kind"))
}
