//! Hashing a large file with several threads, its blocks with it.

use std::{fs::File, io};

use crate::{
    content::is_sparse,
    context::CancelFlag,
    delta::{BlockList, FilePart, block_size, hash_windows},
    error::Error,
};

/// From this on several threads pay.
const LARGE_BYTES: u64 = 4 << 20;

/// The blocks of the first `size` bytes; `None` where a look from the beginning on is better: it is small, has holes, or is too large for
/// a list. An error is the file's own, or says that it is shorter by now.
pub(super) fn blocks(
    file: &File,
    size: u64,
    cancel: &CancelFlag,
) -> Result<Option<io::Result<BlockList>>, Error> {
    let Some(block_size) = block_size(size).filter(|_| size >= LARGE_BYTES) else {
        return Ok(None);
    };
    if is_sparse(file) {
        return Ok(None);
    }
    let part = FilePart { file, begin: 0, range: 0..size, block_size };
    let windows = hash_windows(&part, cancel, |_, _| Ok(()))?;
    Ok(Some(windows.map(|windows| {
        let mut list = BlockList::new(block_size);
        for window in windows {
            list.append(window);
        }
        list
    })))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::entry::Digest;

    #[test]
    fn many_threads_see_what_one_sees_and_notice_a_file_that_shrank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut content = vec![0; (6 << 20) + 4_321];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        fs::write(&path, &content).unwrap();
        let file = File::open(&path).unwrap();
        let (size, cancel) = (content.len() as u64, CancelFlag::default());
        let list = blocks(&file, size, &cancel).unwrap().unwrap().unwrap();
        assert_eq!(list.digest(), Some(Digest::of(&content)));
        assert_eq!(list.content_size, size);
        let short = blocks(&file, size + 1, &cancel).unwrap().unwrap();
        assert_eq!(short.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        // Holes are for the look from the beginning on.
        File::options().write(true).open(&path).unwrap().set_len(size * 4).unwrap();
        assert!(blocks(&file, size * 4, &cancel).unwrap().is_none());
    }
}
