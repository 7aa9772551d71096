//! Folders for the time of one step.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Removed with everything in it when dropped.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// A new, empty one.
    pub(super) fn below(folder: &Path) -> io::Result<Self> {
        let name = data_encoding::BASE32_NOPAD.encode(&rand::random::<[u8; 10]>());
        let path = folder.join(name.to_lowercase());
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a scratch folder of a build stays behind");
        }
    }
}
