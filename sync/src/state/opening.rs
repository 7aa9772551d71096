//! Opening the database, whatever the last run left of it.
//!
//! It meets damaged pages with a panic, run after run, where nothing has told it to look at them first. So a mark lies beside it
//! while it is open: who finds the mark has every page looked at; and who finds that even this did not end puts the
//! database aside.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use redb::{Database, DatabaseError};

use super::broken;
use crate::error::Error;

/// Bytes of pages kept in memory.
const CACHE_BYTES: usize = 4 << 20;

/// Lies beside the database while it is open.
pub(super) struct Mark {
    path: PathBuf,
    keep: AtomicBool,
}

impl Mark {
    pub(super) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A panic may be the database's own.
        if !std::thread::panicking()
            && !self.keep.load(Ordering::Relaxed)
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "can't be removed");
        }
    }
}

/// Begun anew where it can't be read; the old one is put aside.
pub(super) fn open(path: &Path) -> Result<(Database, Mark), Error> {
    let (mark, looking) = (path.with_extension("open"), path.with_extension("looking"));
    let marking = "mark what is remembered as open";
    let ended_well = !mark.try_exists().map_err(Error::io(marking))?;
    if ended_well {
        fs::File::create(&mark).map_err(Error::io(marking))?;
    } else if looking.try_exists().map_err(Error::io(marking))? {
        tracing::warn!(path = %path.display(), "begun anew: looking at its pages did not end");
        put_aside(path).map_err(Error::io("put aside what is remembered"))?;
    } else {
        fs::File::create(&looking).map_err(Error::io(marking))?;
    }
    let opened = match open_checked(path, ended_well) {
        Ok(db) => Ok(db),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(DatabaseError::DatabaseAlreadyOpen),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "begun anew: it can't be read");
            put_aside(path).map_err(Error::io("put aside what is remembered"))?;
            open_checked(path, true)
        }
    };
    remove(&looking).map_err(Error::io(marking))?;
    Ok((opened.map_err(broken("opened"))?, Mark { path: mark, keep: AtomicBool::new(false) }))
}

/// A run, after whose failure the next one looks at every page: what is remembered may be why.
pub(crate) fn distrusting<T>(
    folder: &Path,
    run: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let ended = run();
    if let Err(Error::State { .. } | Error::Protocol { .. }) = &ended {
        let mark = folder.join(super::FILE).with_extension("open");
        // The run's own failure is what is told.
        if let Err(error) = fs::File::create(&mark) {
            tracing::warn!(%error, path = %mark.display(), "can't be marked for a look");
        }
    }
    ended
}

fn open_checked(path: &Path, ended_well: bool) -> Result<Database, DatabaseError> {
    let mut db = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    if !ended_well {
        db.check_integrity()?;
    }
    Ok(db)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn put_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("unreadable");
    match fs::rename(path, aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
