//! What the studio tells of itself.

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    entry::Tree,
    error::Error,
    exclusions::Exclusions,
    side::Side,
    wire::{BATCH_BYTES, Pipe, proto_entry},
};

/// Room for what frames a path.
const FRAME_BYTES: usize = 64;

/// Sends everything, or what differs from the agreed state.
pub(super) fn send(
    here: &Side,
    base: Option<&Tree>,
    exclusions: &Exclusions,
    pipe: &mut Pipe<'_>,
) -> Result<(), Error> {
    let mut listing = pb::Listing::default();
    let mut bytes = 0;
    for (path, seen) in &here.seen.entries {
        if base.and_then(|base| base.get(path)) == Some(&seen.entry) {
            continue;
        }
        listing.entries.push(proto_entry(path, &seen.entry, seen.stamp().modified_ms()));
        bytes += path.as_bytes().len() + FRAME_BYTES;
        if let crate::Entry::Link { target } = &seen.entry {
            bytes += target.len();
        }
        flush_full(&mut listing, &mut bytes, pipe)?;
    }
    for (path, unknown) in &here.seen.unknown {
        bytes += path.as_bytes().len() + unknown.reason.len() + FRAME_BYTES;
        listing.unknown.push(pb::Unknown {
            path: path.as_bytes().to_vec().into(),
            reason: unknown.reason.clone(),
            special: unknown.special,
        });
        flush_full(&mut listing, &mut bytes, pipe)?;
    }
    for (path, entry) in base.into_iter().flatten() {
        let gone =
            !here.seen.entries.contains_key(path) && !exclusions.excludes(path, entry.is_folder());
        // What is unknown is gone only for those who don't know better: the server has the list of it.
        if gone {
            listing.gone.push(path.as_bytes().to_vec().into());
            bytes += path.as_bytes().len() + 4;
            flush_full(&mut listing, &mut bytes, pipe)?;
        }
    }
    listing.last = true;
    pipe.send(Body::Listing(listing))
}

fn flush_full(
    listing: &mut pb::Listing,
    bytes: &mut usize,
    pipe: &mut Pipe<'_>,
) -> Result<(), Error> {
    if *bytes < BATCH_BYTES {
        return Ok(());
    }
    *bytes = 0;
    pipe.send(Body::Listing(std::mem::take(listing)))
}
