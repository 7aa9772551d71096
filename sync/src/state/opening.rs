//! Opening the database, whatever the last run left of it.
//!
//! It meets damaged pages with a panic, run after run, where nothing has told it to look at them first. So a mark lies beside it
//! while it is open: who finds the mark has every page looked at; and who finds that even this did not end puts the
//! database aside.
//!
//! A database may also be sound and wrong: pages that could not have been written, or that are not those which the digest of the
//! agreed state tells of. The look finds that too, after runs that hint at it: the other side remembers something else, or does not
//! have what is remembered of it. What the look can't find shows in runs that fail; the mark counts them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use redb::{Database, ReadableDatabase};

use super::{
    Agreed, META, Memory, PAGES, RootName, broken,
    tally::{Tallier, Tally},
};
use crate::error::Error;

/// Bytes of pages kept in memory.
const CACHE_BYTES: usize = 4 << 20;

/// Runs in a row that failed with a memory in which nothing wrong was found; then it is begun anew.
const MOST_FAILURES: u64 = 3;

/// Lies beside the database while it is open. Its length is the number of runs in a row that failed.
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
            && failures(&self.path) == Some(0)
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
    let is_marked = mark.try_exists().map_err(Error::io(marking))?;
    let failures = failures(&mark).unwrap_or(0);
    let has_failed = failures >= MOST_FAILURES;
    let ended_well = !is_marked || has_failed;
    if has_failed {
        tracing::warn!(path = %path.display(), failures, "begun anew: runs with it fail");
        put_aside(path).map_err(Error::io("put aside what is remembered"))?;
    }
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
        Err(redb::Error::DatabaseAlreadyOpen) => Err(redb::Error::DatabaseAlreadyOpen),
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
    let mark = folder.join(super::FILE).with_extension("open");
    let so_far = failures(&mark).unwrap_or(0);
    let noted = match &ended {
        Ok(_) if so_far > 0 => remove(&mark),
        Err(error) if error.may_be_of_memory() => {
            fs::File::create(&mark).and_then(|mark| mark.set_len(so_far + 1))
        }
        Ok(_) | Err(_) => Ok(()),
    };
    // How the run ended is what is told.
    if let Err(error) = noted {
        tracing::warn!(%error, path = %mark.display(), "can't be marked for a look");
    }
    ended
}

/// `None`: there is no mark.
fn failures(mark: &Path) -> Option<u64> {
    fs::metadata(mark).ok().map(|mark| mark.len())
}

fn open_checked(path: &Path, ended_well: bool) -> Result<Database, redb::Error> {
    let mut db = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    if !ended_well {
        db.check_integrity()?;
        check_sense(&db)?;
    }
    Ok(db)
}

/// Whether what the pages hold can be, and is what the digest of the agreed state tells of.
fn check_sense(db: &Database) -> Result<(), redb::Error> {
    let wrong = |what: &str| redb::Error::Corrupted(what.to_owned());
    let reading = db.begin_read()?;
    let pages = match reading.open_table(PAGES) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        pages => pages?,
    };
    let meta = reading.open_table(META)?;
    let word = |key: &str| -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(meta.get(key)?.map(|value| value.value().to_vec()))
    };
    let generation = match word("generation")? {
        Some(text) => serde_json::from_slice(&text).map_err(|_| wrong("no number"))?,
        None => 0,
    };
    let agreed: Option<Agreed> = match word("agreed")? {
        Some(text) => Some(serde_json::from_slice(&text).map_err(|_| wrong("no digest"))?),
        None => None,
    };
    if let Some(text) = word("root")? {
        serde_json::from_slice::<RootName>(&text).map_err(|_| wrong("no root"))?;
    }
    let mut tallier = Tallier::new(agreed.map(|it| it.studio_root).unwrap_or_default());
    let mut tally = Tally::default();
    Memory { pages, generation }
        .each(
            |_| true,
            |path, what| {
                if let Some(entry) = &what.agreed {
                    tallier.add(&mut tally, &path, entry);
                }
            },
        )
        .map_err(|error| wrong(&error.chain()))?;
    if agreed.is_some_and(|agreed| agreed.tally != tally) {
        return Err(wrong("what is agreed is not what its digest tells of"));
    }
    Ok(())
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
