//! Zones as folders of this machine, versioned ones with a git repository beside them.

mod change;
mod dir;
mod history;
mod place;
mod read;
mod snapshot;
mod trash;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use self::{dir::Folder, place::Place, snapshot::Remembered};
use super::{Content, NewContent, Range, WriteGuard, Written, ZoneError, ZoneFolders, Zones};
use crate::{
    clock::SharedClock,
    domain::{
        session::FileKind,
        zone::ZoneRef,
        zone_files::{
            Author, CommitInfo, Deletions, FileChange, NewCommit, TrashItem, ZoneFile, ZonePath,
        },
    },
};

/// What changes nobody of ours made are called.
const FOUND: &str = "Change on the server";

/// One zone's state in this process.
#[derive(Default)]
struct Known {
    writer: Arc<tokio::sync::Mutex<()>>,
    remembered: Mutex<Remembered>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct LocalZones {
    inner: Arc<Inner>,
}

struct Inner {
    zones: PathBuf,
    clock: SharedClock,
    /// Names this process in staging folders.
    run: String,
    known: Mutex<HashMap<ZoneRef, Arc<Known>>>,
}

/// A zone that is being worked on, on a blocking thread.
struct Opened {
    place: Place,
    zone: ZoneRef,
    known: Arc<Known>,
    root: Folder,
    now: OffsetDateTime,
}

impl LocalZones {
    /// Zones below a folder.
    pub fn new(zones: PathBuf, clock: SharedClock) -> Self {
        Self {
            inner: Arc::new(Inner {
                zones,
                clock,
                run: crate::auth::token::random(),
                known: Mutex::default(),
            }),
        }
    }

    fn known(&self, zone: &ZoneRef) -> Arc<Known> {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(zone.clone()).or_default())
    }

    fn place(&self, zone: &ZoneRef) -> Place {
        Place::of(&self.inner.zones, zone, &self.inner.run)
    }

    /// Does something with a zone on a blocking thread.
    async fn with<T: Send + 'static>(
        &self,
        zone: &ZoneRef,
        work: impl FnOnce(&Opened) -> Result<T, ZoneError> + Send + 'static,
    ) -> Result<T, ZoneError> {
        let (place, known, zone) = (self.place(zone), self.known(zone), zone.clone());
        let now = self.inner.clock.now();
        blocking(move || {
            let failed =
                |source| ZoneError::Io { what: "the zone can't be opened".to_owned(), source };
            place.make().map_err(failed)?;
            let root = Folder::open(&place.root).map_err(failed)?;
            work(&Opened { place, zone, known, root, now })
        })
        .await
    }

    /// As [`Self::with`], as the only writer, and after what lay uncommitted was committed.
    async fn change<T: Send + 'static>(
        &self,
        zone: &ZoneRef,
        work: impl FnOnce(&Opened) -> Result<T, ZoneError> + Send + 'static,
    ) -> Result<T, ZoneError> {
        let guard = self.lock(zone).await?;
        self.with(zone, move |opened| {
            // Held to the end of the work, also when the caller gives up waiting for it.
            let _guard = guard;
            work(opened)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ZoneError> + Send + 'static,
) -> Result<T, ZoneError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ZoneError::Io {
            what: "the work on the zone was broken off".to_owned(),
            source: std::io::Error::other(error),
        }),
    }
}

impl Opened {
    fn repository(&self) -> Result<gix::Repository, ZoneError> {
        if !self.zone.kind().versioned() {
            return Err(ZoneError::NotVersioned);
        }
        history::open(&self.place.git)
    }

    fn commit(&self, author: &Author, subject: &str) -> Result<Option<NewCommit>, ZoneError> {
        if !self.zone.kind().versioned() {
            return Ok(None);
        }
        let repo = self.repository()?;
        let mut remembered = self.known.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        history::commit(&repo, &self.root, &mut remembered, author, subject, self.now)
    }

    /// Refuses unless the file is the version that the caller saw.
    fn check(&self, path: &ZonePath, seen: &str) -> Result<(), ZoneError> {
        match read::open(&self.root, path) {
            Ok((_, mut file)) => {
                let etag = change::etag(&mut file).map_err(change::failed(path))?;
                if etag == seen {
                    Ok(())
                } else {
                    Err(ZoneError::Changed { path: path.to_string() })
                }
            }
            Err(ZoneError::NotFound { .. }) => Err(ZoneError::Changed { path: path.to_string() }),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Zones for LocalZones {
    async fn folders(&self, zone: &ZoneRef) -> Result<ZoneFolders, ZoneError> {
        self.with(zone, |opened| {
            let place = &opened.place;
            Ok(ZoneFolders {
                root: place.root.clone(),
                state: place.state.clone(),
                trash: place.trash.clone(),
            })
        })
        .await
    }

    async fn lock(&self, zone: &ZoneRef) -> Result<WriteGuard, ZoneError> {
        let known = self.known(zone);
        let held = Arc::clone(&known.writer).lock_owned().await;
        self.with(zone, move |opened| {
            let failed =
                |source| ZoneError::Io { what: "the zone can't be locked".to_owned(), source };
            let lock = opened.place.lock().map_err(failed)?;
            change::sweep(&opened.place, opened.now).map_err(failed)?;
            opened.commit(&Author::server(), FOUND)?;
            Ok(WriteGuard::new((held, lock)))
        })
        .await
    }

    async fn commit(
        &self,
        _guard: &WriteGuard,
        zone: &ZoneRef,
        author: &Author,
        subject: &str,
    ) -> Result<Option<NewCommit>, ZoneError> {
        let (author, subject) = (author.clone(), subject.to_owned());
        self.with(zone, move |opened| opened.commit(&author, &subject)).await
    }

    async fn list(&self, zone: &ZoneRef, path: &ZonePath) -> Result<Vec<ZoneFile>, ZoneError> {
        let path = path.clone();
        self.with(zone, move |opened| read::list(&opened.root, &path)).await
    }

    async fn stat(&self, zone: &ZoneRef, path: &ZonePath) -> Result<ZoneFile, ZoneError> {
        let path = path.clone();
        self.with(zone, move |opened| read::stat(&opened.root, &path)).await
    }

    async fn read(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        range: Option<Range>,
    ) -> Result<Content, ZoneError> {
        let path = path.clone();
        let (file, etag, content) = self
            .with(zone, move |opened| {
                let (file, mut content) = read::open(&opened.root, &path)?;
                let etag = change::etag(&mut content).map_err(change::failed(&path))?;
                Ok((file, etag, content))
            })
            .await?;
        let range = range.unwrap_or(Range { from: 0, length: file.size });
        Ok(Content { bytes: read::stream(content, range, &file.path), file, etag })
    }

    async fn write(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        mut content: NewContent,
        author: &Author,
    ) -> Result<Written, ZoneError> {
        let (send, receive) = mpsc::channel(4);
        let (if_match, only_new) = (content.if_match.take(), content.only_new);
        let executable = content.executable;
        let staging = {
            let path = path.clone();
            self.with(zone, move |opened| {
                let executable = executable.unwrap_or_else(|| {
                    read::stat(&opened.root, &path).is_ok_and(|file| file.executable)
                });
                let mut pieces = change::Pieces { receive, now: Bytes::new() };
                change::stage(&opened.place, &mut pieces, executable)
            })
        };
        let feed = async {
            // Its drop is the content's end.
            let send = send;
            while let Some(piece) = content.bytes.next().await {
                let broken = piece.is_err();
                if send.send(piece).await.is_err() || broken {
                    return;
                }
            }
        };
        // Staged without the lock: a slow sender holds nobody up.
        let (staged, ()) = tokio::join!(staging, feed);
        let staged = staged?;
        let (path, author) = (path.clone(), author.clone());
        self.change(zone, move |opened| {
            if let Some(seen) = &if_match {
                opened.check(&path, seen)?;
            }
            let subject = if read::stat(&opened.root, &path).is_ok() { "Change" } else { "Add" };
            change::place_file(&opened.place, &opened.root, &path, &staged, only_new, opened.now)?;
            let commit = opened.commit(&author, &format!("{subject} {path}"))?;
            Ok(Written { etag: staged.etag, commit })
        })
        .await
    }

    async fn delete(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        if_match: Option<&str>,
        author: &Author,
    ) -> Result<Option<NewCommit>, ZoneError> {
        let (path, author) = (path.clone(), author.clone());
        let if_match = if_match.map(str::to_owned);
        self.change(zone, move |opened| {
            if let Some(seen) = &if_match {
                opened.check(&path, seen)?;
            }
            change::remove(&opened.place, &opened.root, &path, trash::DELETED, opened.now)?;
            opened.commit(&author, &format!("Delete {path}"))
        })
        .await
    }

    async fn create_folder(&self, zone: &ZoneRef, path: &ZonePath) -> Result<(), ZoneError> {
        let path = path.clone();
        self.change(zone, move |opened| {
            opened.root.make(&path).map_err(change::failed(&path))?;
            Ok(())
        })
        .await
    }

    async fn history(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<CommitInfo>, ZoneError> {
        let (path, after) = (path.clone(), after.map(str::to_owned));
        self.with(zone, move |opened| {
            history::log(&opened.repository()?, &path, limit, after.as_deref())
        })
        .await
    }

    async fn commit_changes(
        &self,
        zone: &ZoneRef,
        commit: &str,
    ) -> Result<(CommitInfo, Vec<FileChange>), ZoneError> {
        let commit = commit.to_owned();
        self.with(zone, move |opened| history::changes(&opened.repository()?, &commit)).await
    }

    async fn content_at(
        &self,
        zone: &ZoneRef,
        commit: &str,
        path: &ZonePath,
    ) -> Result<Bytes, ZoneError> {
        let (path, commit) = (path.clone(), commit.to_owned());
        self.with(zone, move |opened| {
            Ok(history::content(&opened.repository()?, &commit, &path)?.into())
        })
        .await
    }

    async fn restore(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        commit: &str,
        author: &Author,
    ) -> Result<Option<NewCommit>, ZoneError> {
        let (path, commit, author) = (path.clone(), commit.to_owned(), author.clone());
        self.change(zone, move |opened| {
            let repo = opened.repository()?;
            change::restore(&opened.place, &opened.root, &repo, &commit, &path, opened.now)?;
            let what = if path.is_root() { "everything".to_owned() } else { path.to_string() };
            let from: String = commit.chars().take(12).collect();
            opened.commit(&author, &format!("Restore {what} from {from}"))
        })
        .await
    }

    async fn displaced(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        digest: &str,
        limit_bytes: u64,
    ) -> Result<Option<Bytes>, ZoneError> {
        let (path, digest) = (path.clone(), digest.to_owned());
        self.with(zone, move |opened| {
            let found = trash::content(&opened.place.trash, &path, &digest, limit_bytes);
            found.map(|content| content.map(Bytes::from)).map_err(|source| ZoneError::Io {
                what: "the trash can't be read".to_owned(),
                source,
            })
        })
        .await
    }

    async fn trash(&self, zone: &ZoneRef) -> Result<Vec<TrashItem>, ZoneError> {
        self.with(zone, |opened| {
            trash::list(&opened.place.trash).map_err(|source| ZoneError::Io {
                what: "the trash can't be read".to_owned(),
                source,
            })
        })
        .await
    }

    async fn trash_in(&self, zone: &ZoneRef, id: &str) -> Result<Vec<TrashItem>, ZoneError> {
        let id = id.to_owned();
        self.with(zone, move |opened| {
            let shown = ZonePath::default().join(id.as_bytes());
            trash::list_in(&opened.place.trash, &id).map_err(change::failed(&shown))
        })
        .await
    }

    async fn bring_back(
        &self,
        _guard: &WriteGuard,
        zone: &ZoneRef,
        deletions: Deletions,
    ) -> Result<u64, ZoneError> {
        self.with(zone, move |opened| {
            trash::bring_back(&opened.place.trash, &opened.root, &deletions).map_err(|source| {
                ZoneError::Io { what: "what was deleted can't be brought back".to_owned(), source }
            })
        })
        .await
    }

    async fn restore_trash(
        &self,
        zone: &ZoneRef,
        id: &str,
        author: &Author,
    ) -> Result<ZonePath, ZoneError> {
        let (id, author) = (id.to_owned(), author.clone());
        self.change(zone, move |opened| {
            let shown = ZonePath::default().join(id.as_bytes());
            let path = trash::restore(&opened.place.trash, &id, &opened.root)
                .map_err(change::failed(&shown))?;
            opened.commit(&author, &format!("Restore {path} from the trash"))?;
            Ok(path)
        })
        .await
    }

    async fn expire_trash(&self, before: OffsetDateTime) -> Result<(), ZoneError> {
        let zones = self.inner.zones.clone();
        blocking(move || {
            let failed =
                |source| ZoneError::Io { what: "old trash can't be removed".to_owned(), source };
            for scope in ["project", "studio", "user"] {
                let owners = match fs::read_dir(zones.join(scope)) {
                    Ok(owners) => owners,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(source) => return Err(failed(source)),
                };
                for owner in owners {
                    for part in fs::read_dir(owner.map_err(failed)?.path()).map_err(failed)? {
                        let part = part.map_err(failed)?.path();
                        if part.extension().is_some_and(|kind| kind == "trash") {
                            trash::expire(&part, before).map_err(failed)?;
                        }
                    }
                }
            }
            trash::expire(&zones.join("retired"), before).map_err(failed)
        })
        .await
    }

    async fn retire(&self, zone: &ZoneRef) -> Result<(), ZoneError> {
        let zones = self.inner.zones.clone();
        self.change(zone, move |opened| {
            let failed =
                |source| ZoneError::Io { what: "the zone can't be taken away".to_owned(), source };
            // Named like an item of a trash: expires like one.
            let name = format!("{}-{}", opened.now.unix_timestamp(), opened.zone);
            let retired = zones.join("retired").join(name);
            fs::create_dir_all(&retired).map_err(failed)?;
            for part in opened.place.parts() {
                if let Some(name) = part.file_name()
                    && part.exists()
                {
                    fs::rename(part, retired.join(name)).map_err(failed)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Folders have no content, and links are not followed.
fn regular(file: &ZoneFile) -> Result<(), ZoneError> {
    let what = match file.kind {
        FileKind::File => return Ok(()),
        FileKind::Folder => "a folder",
        FileKind::Symlink => "a symbolic link",
        FileKind::Other => "not a regular file",
    };
    Err(ZoneError::WrongKind { path: file.path.to_string(), what })
}
