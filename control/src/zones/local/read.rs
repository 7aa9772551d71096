//! Reading a zone's files.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream, stream::BoxStream};

use super::{
    change::failed,
    dir::{self, Folder},
    regular,
};
use crate::{
    domain::{
        session::FileKind,
        zone_files::{ZoneFile, ZonePath},
    },
    zones::{Range, ZoneError},
};

const PIECE: usize = 128 << 10;

pub(super) fn list(root: &Folder, path: &ZonePath) -> Result<Vec<ZoneFile>, ZoneError> {
    let folder = root.at(path).map_err(failed(path))?;
    let entries = folder.entries().map_err(failed(path))?;
    Ok(entries
        .into_iter()
        .filter(|(name, _)| !(path.is_root() && name.starts_with(b".atelier-")))
        .map(|(name, stat)| dir::zone_file(path.join(&name), &stat))
        .collect())
}

pub(super) fn stat(root: &Folder, path: &ZonePath) -> Result<ZoneFile, ZoneError> {
    let stat = match path.split() {
        Some((parent, name)) => {
            let parent = root.at(&parent).map_err(failed(path))?;
            parent.stat(name).map_err(failed(path))?
        }
        None => rustix::fs::fstat(root).map_err(|error| failed(path)(error.into()))?,
    };
    Ok(dir::zone_file(path.clone(), &stat))
}

/// A regular file with its content.
pub(super) fn open(root: &Folder, path: &ZonePath) -> Result<(ZoneFile, File), ZoneError> {
    let Some((parent, name)) = path.split() else {
        return Err(ZoneError::WrongKind { path: path.to_string(), what: "the zone itself" });
    };
    let parent = root.at(&parent).map_err(failed(path))?;
    let found = dir::zone_file(path.clone(), &parent.stat(name).map_err(failed(path))?);
    regular(&found)?;
    let file = parent.read(name).map_err(failed(path))?;
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(path)(error.into()))?;
    let found = dir::zone_file(path.clone(), &stat);
    debug_assert_eq!(found.kind, FileKind::File, "only regular files are opened");
    Ok((found, file))
}

/// A range of an open file, piece by piece, read on blocking threads.
pub(super) fn stream(
    mut file: File,
    range: Range,
    path: &ZonePath,
) -> BoxStream<'static, Result<Bytes, ZoneError>> {
    let shown = path.clone();
    let start = move || file.seek(io::SeekFrom::Start(range.from)).map(|_| file);
    let begin = async move { tokio::task::spawn_blocking(start).await.map_err(io::Error::other)? };
    let pieces = stream::once(begin).flat_map(move |file| match file {
        Ok(file) => pieces(file, range.length).boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    });
    pieces.map(move |piece| piece.map_err(failed(&shown))).boxed()
}

fn pieces(file: File, length: u64) -> impl stream::Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((file, length), |(mut file, left)| async move {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if want == 0 {
            return Ok(None);
        }
        let read = move || {
            let mut piece = BytesMut::zeroed(want);
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            Ok::<_, io::Error>((piece.freeze(), file))
        };
        let (piece, file) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        if piece.is_empty() {
            // It became shorter meanwhile: the reader must not take this for the whole.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - piece.len() as u64;
        Ok(Some((piece, (file, left))))
    })
}
