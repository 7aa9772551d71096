//! From domain words to messages and back. Whatever comes from the peer is checked here: paths, kinds, lengths.

mod convert;
mod effort;
#[cfg(test)]
mod fuzz;
mod pipe;
mod steps;

pub(crate) use convert::{
    entry, local_entry, one_move, optional_digest, path, proto_entry, proto_local_entry, root_name,
};
pub(crate) use pipe::Pipe;
pub(crate) use steps::{StepReader, StepWriter};

/// The newest revision of the engine's messages.
pub(crate) const PROTOCOL: u32 = 3;
/// From this one on folders move.
pub(crate) const MOVES: u32 = 2;
/// From this one on folders go with all that is in them.
pub(crate) const TREES: u32 = 3;
/// Payload that is put into one message, before compression. Leaves room below the limit for what frames it.
pub(crate) const BATCH_BYTES: usize = 512 << 10;
/// Most bytes of one step's data.
pub(crate) const DATA_BYTES: usize = 128 << 10;
