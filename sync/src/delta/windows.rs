//! Hashing a large part of a file with several threads.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::BlockList;
use crate::{context::CancelFlag, error::Error, threads};

/// Content that one thread reads, hashes and passes on at once: it stays in a core's own cache meanwhile. A multiple of every block
/// size.
const WINDOW_BYTES: usize = 256 << 10;

/// Part of a file that becomes part of a content.
pub(crate) struct FilePart<'f> {
    pub file: &'f File,
    /// Where it begins there.
    pub begin: u64,
    /// Where it goes in the content: from a block's begin on, up to a block's end or the content's.
    pub range: Range<u64>,
    pub block_size: u32,
}

/// The blocks of the part, in order; `also` gets each window with its place in the content, by several threads and in no order. The inner
/// error is that of the file, `UnexpectedEof` where it ends before, or of `also`.
pub(crate) fn hash_windows(
    part: &FilePart<'_>,
    cancel: &CancelFlag,
    also: impl Fn(&[u8], u64) -> io::Result<()> + Sync,
) -> Result<io::Result<Vec<BlockList>>, Error> {
    let FilePart { file, begin, range: Range { start, end }, block_size } = part;
    let (next, windows) = (AtomicU64::new(*start), Mutex::new(Vec::new()));
    let one = |buffer: &mut [u8], at: u64| {
        let length = usize::try_from(end - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
        let window = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact_at(window, begin.saturating_add(at - start))?;
        let list = BlockList::of_window(*block_size, window, at);
        also(window, at)?;
        windows.lock().unwrap_or_else(PoisonError::into_inner).push((at, list));
        Ok(())
    };
    let work = || -> Result<io::Result<()>, Error> {
        let mut buffer = vec![0; WINDOW_BYTES];
        loop {
            cancel.check()?;
            let at = next.fetch_add(WINDOW_BYTES as u64, Ordering::Relaxed);
            if at >= *end {
                return Ok(Ok(()));
            }
            if let Err(error) = one(&mut buffer, at) {
                next.store(*end, Ordering::Relaxed);
                return Ok(Err(error));
            }
        }
    };
    let ends = threads::together(work).into_iter().collect::<Result<io::Result<()>, Error>>()?;
    if let Err(error) = ends {
        return Ok(Err(error));
    }
    let mut windows = windows.into_inner().unwrap_or_else(PoisonError::into_inner);
    windows.sort_unstable_by_key(|(at, _)| *at);
    Ok(Ok(windows.into_iter().map(|(_, list)| list).collect()))
}
