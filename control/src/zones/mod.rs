//! Where zones' files lie. One trait in domain words, one driver a folder.
//!
//! Promises of every driver: a file's content is the old or the new one, never a mixture; what is replaced or deleted goes
//! to the trash first; every change that reaches a versioned zone is a commit, also one that was made behind our back or
//! that a crash cut off before its commit: the next writer commits it in the server's name. One writer a zone, readers free.

pub mod local;

use std::{io, path::PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use time::OffsetDateTime;

use crate::domain::{
    zone::ZoneRef,
    zone_files::{
        Author, CommitInfo, Deletions, FileChange, NewCommit, TrashItem, ZoneFile, ZonePath,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    #[error("there is no {path} in the zone")]
    NotFound { path: String },
    #[error("{path} is {what}")]
    WrongKind { path: String, what: &'static str },
    /// It is not as the caller saw it.
    #[error("{path} was changed in the meantime")]
    Changed { path: String },
    #[error("{path} exists already")]
    Exists { path: String },
    #[error("the zone has no history")]
    NotVersioned,
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("the zone's history can't be {what}")]
    History {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was sent broke off.
    #[error("the content broke off: {why}")]
    Content { why: String },
}

/// Where a zone's files lie on this machine, for the synchronisation engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFolders {
    pub root: PathBuf,
    /// For what the engine keeps between runs.
    pub state: PathBuf,
    pub trash: PathBuf,
}

/// The right to write; other writers wait until it is dropped.
pub struct WriteGuard {
    // Held for its drop.
    _held: Box<dyn Send + Sync>,
}

impl WriteGuard {
    fn new(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// A file's content with what identifies it.
pub struct Content {
    pub file: ZoneFile,
    /// BLAKE3 of the whole content, in hexadecimal digits.
    pub etag: String,
    pub bytes: BoxStream<'static, Result<Bytes, ZoneError>>,
}

/// A range of a file: first byte, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: u64,
    pub length: u64,
}

/// What a write left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub etag: String,
    pub commit: Option<NewCommit>,
}

/// New content for a file.
pub struct NewContent {
    pub bytes: BoxStream<'static, Result<Bytes, String>>,
    /// `None`: as the file had it.
    pub executable: Option<bool>,
    /// The version that the caller saw: `None` for whatever is there.
    pub if_match: Option<String>,
    /// Only where nothing is yet.
    pub only_new: bool,
}

#[async_trait]
pub trait Zones: Send + Sync {
    /// Makes the zone when there is none, and says where it lies.
    async fn folders(&self, zone: &ZoneRef) -> Result<ZoneFolders, ZoneError>;
    /// Waits for the right to write, for callers that change files by themselves. What lay uncommitted is committed first.
    async fn lock(&self, zone: &ZoneRef) -> Result<WriteGuard, ZoneError>;
    /// Commits what has changed; `None` when nothing has, or the zone has no history. The caller holds the guard.
    async fn commit(
        &self,
        guard: &WriteGuard,
        zone: &ZoneRef,
        author: &Author,
        subject: &str,
    ) -> Result<Option<NewCommit>, ZoneError>;

    async fn list(&self, zone: &ZoneRef, path: &ZonePath) -> Result<Vec<ZoneFile>, ZoneError>;
    async fn stat(&self, zone: &ZoneRef, path: &ZonePath) -> Result<ZoneFile, ZoneError>;
    async fn read(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        range: Option<Range>,
    ) -> Result<Content, ZoneError>;
    async fn write(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        content: NewContent,
        author: &Author,
    ) -> Result<Written, ZoneError>;
    /// A file, or a folder with all that is in it; to the trash.
    async fn delete(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        if_match: Option<&str>,
        author: &Author,
    ) -> Result<Option<NewCommit>, ZoneError>;
    /// With its parents.
    async fn create_folder(&self, zone: &ZoneRef, path: &ZonePath) -> Result<(), ZoneError>;

    /// Newest first: commits that changed something at or below the path, at most `limit`, beginning after a commit.
    async fn history(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<CommitInfo>, ZoneError>;
    async fn commit_changes(
        &self,
        zone: &ZoneRef,
        commit: &str,
    ) -> Result<(CommitInfo, Vec<FileChange>), ZoneError>;
    async fn content_at(
        &self,
        zone: &ZoneRef,
        commit: &str,
        path: &ZonePath,
    ) -> Result<Bytes, ZoneError>;
    /// Brings a file or folder back as it was at a commit; a new commit.
    async fn restore(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        commit: &str,
        author: &Author,
    ) -> Result<Option<NewCommit>, ZoneError>;

    /// A version of a file that is in the trash, by its BLAKE3 in hexadecimal digits; larger ones than the limit are not looked at.
    async fn displaced(
        &self,
        zone: &ZoneRef,
        path: &ZonePath,
        digest: &str,
        limit_bytes: u64,
    ) -> Result<Option<Bytes>, ZoneError>;
    async fn trash(&self, zone: &ZoneRef) -> Result<Vec<TrashItem>, ZoneError>;
    /// What is in an item that is a folder, or in a folder in it; by name.
    async fn trash_in(&self, zone: &ZoneRef, id: &str) -> Result<Vec<TrashItem>, ZoneError>;
    /// Puts back what was deleted, where nothing has its place now; how many files that are. The caller holds the guard, and
    /// commits.
    async fn bring_back(
        &self,
        guard: &WriteGuard,
        zone: &ZoneRef,
        deletions: Deletions,
    ) -> Result<u64, ZoneError>;
    /// Puts it back where it was, if nothing is there now.
    async fn restore_trash(
        &self,
        zone: &ZoneRef,
        id: &str,
        author: &Author,
    ) -> Result<ZonePath, ZoneError>;
    /// Removes for good what was deleted before.
    async fn expire_trash(&self, before: OffsetDateTime) -> Result<(), ZoneError>;

    /// Takes the zone away; kept for as long as deleted files are.
    async fn retire(&self, zone: &ZoneRef) -> Result<(), ZoneError>;
}
