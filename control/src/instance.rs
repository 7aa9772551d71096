//! The folder of one instance: everything that it keeps lies there, and one program at a time uses it.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("another control plane uses {} already", folder.display())]
    InUse { folder: PathBuf },
    #[error("{} can't be used", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The folder, held for as long as this lives: also across a kill, which lets go of it.
#[derive(Debug)]
pub struct Instance {
    folder: PathBuf,
    _lock: fs::File,
}

impl Instance {
    /// Takes the folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, InstanceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| InstanceError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let folder = folder.canonicalize().map_err(failed(folder))?;
        let file = folder.join("lock");
        let lock = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file)
            .map_err(failed(&file))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(InstanceError::InUse { folder }),
            Err(error) => Err(InstanceError::Io { path: file, source: error.into() }),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// 32 random bytes under a name, the same ones ever after.
    pub fn secret(&self, name: &str) -> Result<[u8; 32], InstanceError> {
        let file = self.path(name);
        let failed = |source| InstanceError::Io { path: file.clone(), source };
        match fs::read(&file) {
            Ok(bytes) => bytes.try_into().map_err(|_| failed(io::ErrorKind::InvalidData.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh: [u8; 32] = rand::random();
                write_private(&file, &fresh).map_err(failed)?;
                Ok(fresh)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Writes a file that only its owner reads; whole, or not at all.
pub fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&temporary, file)?;
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_at_a_time_and_secrets_stay() {
        let folder = tempfile::tempdir().unwrap();
        let first = Instance::open(folder.path()).unwrap();
        assert!(matches!(Instance::open(folder.path()), Err(InstanceError::InUse { .. })));
        let secret = first.secret("key").unwrap();
        drop(first);
        assert_eq!(Instance::open(folder.path()).unwrap().secret("key").unwrap(), secret);
        fs::write(folder.path().join("key"), b"short").unwrap();
        assert!(Instance::open(folder.path()).unwrap().secret("key").is_err());
    }
}
