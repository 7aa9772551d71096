//! Files of zones and their history.

use std::fmt;

use time::OffsetDateTime;

use super::{
    ids::{InvalidId, Login, StudioId},
    session::FileKind,
};

/// A path within a zone: components joined by `/`, none of them empty, `.` or `..`; any bytes but NUL. Empty: the zone itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZonePath(Vec<u8>);

impl ZonePath {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// Folder and name; `None` for the zone itself.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(at) => {
                let (folder, name) = self.0.split_at(at);
                (Self(folder.to_vec()), name.strip_prefix(b"/").unwrap_or(name))
            }
            None => (Self::default(), &self.0),
        })
    }

    /// A path below this one. The name comes from a folder's listing: it has no `/`.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }
}

impl TryFrom<&[u8]> for ZonePath {
    type Error = InvalidId;
    fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
        let wrong = bytes.len() > 4095
            || bytes.contains(&0)
            || (!bytes.is_empty()
                && bytes
                    .split(|&b| b == b'/')
                    .any(|part| matches!(part, b"" | b"." | b"..") || part.len() > 255));
        if wrong {
            return Err(InvalidId {
                what: "path",
                text: String::from_utf8_lossy(bytes).chars().take(64).collect(),
                rule: "relative to the zone, without empty components, \".\", \"..\" or NUL, each at most 255 bytes",
            });
        }
        Ok(Self(bytes.to_vec()))
    }
}

/// Lossy, for people.
impl fmt::Display for ZonePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A file, as it lies in the zone now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    pub path: ZonePath,
    pub kind: FileKind,
    pub size: u64,
    pub modified_at: OffsetDateTime,
    pub executable: bool,
}

/// Who is behind a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub email: String,
    /// The studio it came from.
    pub studio: Option<StudioId>,
}

impl Author {
    /// For changes that nobody of ours made: by hand on the server, or cut off by a crash.
    pub fn server() -> Self {
        Self {
            name: "Atelier server".to_owned(),
            email: "server@atelier.invalid".to_owned(),
            studio: None,
        }
    }

    pub fn user(login: &Login, name: &str, email: &str, studio: Option<StudioId>) -> Self {
        let name = if name.trim().is_empty() { login.as_str() } else { name };
        let email = if email.trim().is_empty() {
            format!("{login}@atelier.invalid")
        } else {
            email.to_owned()
        };
        Self { name: name.to_owned(), email, studio }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Modified,
    Deleted,
}

impl ChangeKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// What a commit did to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    pub path: ZonePath,
    pub kind: ChangeKind,
    /// Unified; absent where a side is no text, or is too large.
    pub diff: Option<String>,
}

/// A change that reached the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// 40 hexadecimal digits.
    pub id: String,
    pub author: String,
    pub email: String,
    pub studio: Option<String>,
    pub message: String,
    pub at: OffsetDateTime,
    /// How many files it changed.
    pub files: usize,
}

/// A commit that was made just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    pub id: String,
    pub changes: Vec<FileChange>,
    /// Things people should know, such as large files in the history.
    pub warnings: Vec<String>,
}

/// What was replaced or deleted, and can be had back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashItem {
    pub id: String,
    pub path: ZonePath,
    pub kind: FileKind,
    /// Of a folder: of all that is in it.
    pub size: u64,
    pub deleted_at: OffsetDateTime,
    pub reason: String,
}

/// Deletions of a time, in whole seconds, that were not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// At that path, or below it.
    pub below: ZonePath,
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
    /// Also what people deleted on the server, not only what synchronisations did.
    pub by_people: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for text in ["..", "a/..", "/a", "a//b", "a/", "./a", "a\0"] {
            assert!(ZonePath::try_from(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(ZonePath::try_from([b'x'; 256].as_slice()).is_err());
        let path = ZonePath::try_from(&b"a/\xff/c"[..]).unwrap();
        assert_eq!(path.components().count(), 3);
        assert_eq!(path.split().unwrap(), (ZonePath::try_from(&b"a/\xff"[..]).unwrap(), &b"c"[..]));
        assert_eq!(ZonePath::default().join(b"a").split().unwrap().0, ZonePath::default());
    }
}
