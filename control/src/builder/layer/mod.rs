//! Layers: archives of files, the same to the byte on every machine.
//!
//! ```text
//! entries, sorted ─► tar ─┬─► SHA-256: diff ID
//!                         └─► zstd or gzip ─┬─► SHA-256: digest
//!                                           └─► a file
//! ```
//! One pass, nothing held in memory but buffers. No times, and but for base images no owners: everything is root's, and what its owner may, the group 0
//! may too, so that a container of any user can use it (such users are in group 0).
//! Not here: device files, sockets, extended attributes. An image of ours needs none.

mod archive;
mod entry;
mod tree;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use super::registry::{Descriptor, Digest, Hashing, media_types};
pub use entry::{Content, Entry, Kind, Owner};
pub use tree::{Owners, of_folder};

/// Fast, and within a few per cent of slower ones on programs' files.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 6;
const BUFFER: usize = 256 << 10;

/// How a layer is packed. Runtimes older than 2021 know gzip alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    #[default]
    Zstd,
    Gzip,
}

/// A layer that has been written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    pub blob: Descriptor,
    /// Digest of the archive before it was packed.
    pub diff_id: Digest,
}

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("{path} can't be read for a layer")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    /// A path that leads out of the image, or nowhere.
    #[error("{path:?} can't be in a layer: {why}")]
    Path { path: String, why: &'static str },
    #[error("a layer can't be written")]
    Write {
        #[source]
        source: io::Error,
    },
}

/// Writes a layer of these entries to `file`. Blocks: for threads that may.
pub fn write(entries: Vec<Entry>, packing: Packing, file: &Path) -> Result<Layer, LayerError> {
    let entries = entry::in_order(entries)?;
    let failed = |source| LayerError::Write { source };
    let out = BufWriter::with_capacity(BUFFER, File::create(file).map_err(failed)?);
    let out = Counting { inner: out, hashing: Hashing::default(), size: 0 };
    let (diff_id, out, media_type) = match packing {
        Packing::Zstd => {
            let encoder = zstd::Encoder::new(out, ZSTD_LEVEL).map_err(failed)?;
            let tar = archive::write(&entries, counting(encoder))?;
            let out = tar.inner.finish().map_err(failed)?;
            (tar.hashing.finish(), out, media_types::LAYER_ZSTD)
        }
        Packing::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let encoder = flate2::GzBuilder::new().mtime(0).write(out, level);
            let tar = archive::write(&entries, counting(encoder))?;
            let out = tar.inner.finish().map_err(failed)?;
            (tar.hashing.finish(), out, media_types::LAYER_GZIP)
        }
    };
    let Counting { mut inner, hashing, size } = out;
    inner.flush().map_err(failed)?;
    Ok(Layer { blob: Descriptor::new(media_type, hashing.finish(), size), diff_id })
}

/// Hashes and counts what it passes on.
struct Counting<W> {
    inner: W,
    hashing: Hashing,
    size: u64,
}

fn counting<W: Write>(inner: W) -> BufWriter<Counting<W>> {
    // The archive is written in blocks of 512 bytes.
    BufWriter::with_capacity(BUFFER, Counting { inner, hashing: Hashing::default(), size: 0 })
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hashing.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
