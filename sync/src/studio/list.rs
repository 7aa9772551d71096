//! What the studio tells of itself.

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    error::Error,
    exclusions::Exclusions,
    moves::Move,
    side::Side,
    state::Agreement,
    wire::{BATCH_BYTES, Pipe, proto_entry},
};

/// Room for what frames a path.
const FRAME_BYTES: usize = 64;

/// Sends what differs from the agreed state (everything, where there is none), and answers what was told, but for what moved or is gone as
/// a whole.
pub(super) fn send(
    here: &Side,
    exclusions: &Exclusions,
    pipe: &mut Pipe<'_>,
) -> Result<Agreement, Error> {
    let mut listing = pb::Listing::default();
    let mut bytes = 0;
    let mut told = Agreement::new();
    for (path, difference) in &here.seen.differences {
        match (&difference.now, &difference.agreed) {
            (Some(now), _) => {
                listing.entries.push(proto_entry(path, &now.entry, now.stamp().modified_ms()));
                bytes += path.as_bytes().len() + FRAME_BYTES;
                if let crate::Entry::Link { target } = &now.entry {
                    bytes += target.len();
                }
                told.insert(path.clone(), Some(now.entry.clone()));
            }
            // Newly excluded: it is not gone.
            (None, Some(agreed)) if exclusions.excludes(path, agreed.is_folder()) => {}
            // What is unknown is gone only for those who don't know better: the server has the list of it.
            (None, _) => {
                listing.gone.push(path.as_bytes().to_vec().into());
                bytes += path.as_bytes().len() + 4;
                told.insert(path.clone(), None);
            }
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
    for Move { from, to } in here.seen.moved.iter() {
        let (from, to) = (from.as_bytes().to_vec(), to.as_bytes().to_vec());
        bytes += from.len() + to.len() + FRAME_BYTES;
        listing.moved.push(pb::Moved { from: from.into(), to: to.into() });
        flush_full(&mut listing, &mut bytes, pipe)?;
    }
    for folder in here.seen.gone.iter() {
        bytes += folder.as_bytes().len() + FRAME_BYTES;
        listing.gone_trees.push(folder.as_bytes().to_vec().into());
        flush_full(&mut listing, &mut bytes, pipe)?;
    }
    listing.last = true;
    pipe.send(Body::Listing(listing))?;
    Ok(told)
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
