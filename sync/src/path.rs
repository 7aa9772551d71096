//! Paths that came from somewhere else, proven harmless.

use std::{
    borrow::Borrow, ffi::OsStr, fmt, ops::Range, os::unix::ffi::OsStrExt, path::Path, sync::Arc,
};

use thiserror::Error;

/// Longest path, in bytes (`PATH_MAX` less its NUL).
pub const LONGEST_PATH: usize = 4095;
/// Longest component, in bytes (`NAME_MAX`).
pub const LONGEST_NAME: usize = 255;
/// Longest text of a symbolic link that Linux keeps, in bytes.
pub(crate) const LONGEST_LINK: usize = 4095;

/// Why bytes are no [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("the path is empty")]
    Empty,
    #[error("the path has {bytes} bytes, more than {LONGEST_PATH}")]
    Long { bytes: usize },
    #[error("a name has {bytes} bytes, more than {LONGEST_NAME}")]
    LongName { bytes: usize },
    #[error("the path has an empty component, as absolute ones do")]
    EmptyName,
    #[error("the path has a component \".\" or \"..\"")]
    Dots,
    #[error("the path has a NUL byte")]
    Nul,
}

/// A path below a root: components joined by `/`, none of them empty, `.` or `..`, any byte but NUL. Never the root itself.
///
/// Ordered by bytes: a folder comes before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Arc<[u8]>);

impl RelPath {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The folder it is in (`None`: the root), and its name there.
    pub fn split(&self) -> (Option<Self>, &[u8]) {
        let (folder, name) = self.parts();
        (folder.map(|folder| Self(folder.into())), name)
    }

    /// The same, without a copy.
    pub(crate) fn parts(&self) -> (Option<&[u8]>, &[u8]) {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(at) => {
                let (folder, name) = self.0.split_at(at);
                (Some(folder), name.strip_prefix(b"/").unwrap_or(name))
            }
            None => (None, &self.0),
        }
    }

    pub fn parent(&self) -> Option<Self> {
        self.split().0
    }

    /// From the outermost folder to the innermost.
    pub fn ancestors(&self) -> impl DoubleEndedIterator<Item = Self> + '_ {
        let ends: Vec<usize> = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
            .collect();
        ends.into_iter().map(|end| Self(self.0.split_at(end).0.into()))
    }

    /// Whether it lies below `folder`, or is it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.0
            .strip_prefix(folder.as_bytes())
            .is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
    }

    /// The path of `name` in `folder` (`None`: the root).
    pub fn in_folder(folder: Option<&Self>, name: &[u8]) -> Result<Self, PathError> {
        match folder {
            None => Self::try_from(name),
            Some(folder) => {
                let mut bytes = Vec::with_capacity(folder.0.len() + 1 + name.len());
                bytes.extend_from_slice(&folder.0);
                bytes.push(b'/');
                bytes.extend_from_slice(name);
                Self::try_from(bytes.as_slice())
            }
        }
    }
}

impl RelPath {
    /// Of bytes that [`Joined`] put together from a folder's path and a name that the file system gave.
    pub(crate) fn joined(bytes: &[u8]) -> Self {
        debug_assert!(Self::try_from(bytes).is_ok(), "{}", bytes.escape_ascii());
        Self(bytes.into())
    }

    /// What lies below a folder, in the order of paths.
    pub(crate) fn inside(&self) -> Range<Self> {
        let mut begin = self.0.to_vec();
        let mut end = begin.clone();
        begin.extend_from_slice(b"/");
        end.push(b'/' + 1);
        Self(begin.into())..Self(end.into())
    }

    /// The path of what was here when `from`, which is above it or is it, was at `to`.
    pub(crate) fn rebased(&self, from: &Self, to: &Self) -> Result<Self, PathError> {
        let rest = self.0.get(from.0.len()..).unwrap_or_default();
        Self::try_from([to.as_bytes(), rest].concat().as_slice())
    }

    /// The one way in which a path from the file system can be wrong.
    pub(crate) const fn check_length(bytes: &[u8]) -> Result<(), PathError> {
        if bytes.len() > LONGEST_PATH {
            return Err(PathError::Long { bytes: bytes.len() });
        }
        Ok(())
    }
}

/// Paths of names in one folder, one after the other in the same place.
pub(crate) struct Joined {
    bytes: Vec<u8>,
    folder: usize,
}

impl Joined {
    pub(crate) fn new(folder: Option<&RelPath>) -> Self {
        let mut bytes = folder.map(|folder| folder.as_bytes().to_vec()).unwrap_or_default();
        if folder.is_some() {
            bytes.push(b'/');
        }
        Self { folder: bytes.len(), bytes }
    }

    pub(crate) fn with(&mut self, name: &[u8]) -> &[u8] {
        self.bytes.truncate(self.folder);
        self.bytes.extend_from_slice(name);
        &self.bytes
    }
}

/// Compares and hashes as its bytes do.
impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for RelPath {
    type Error = PathError;

    fn try_from(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > LONGEST_PATH {
            return Err(PathError::Long { bytes: bytes.len() });
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        for name in bytes.split(|&byte| byte == b'/') {
            match name {
                b"" => return Err(PathError::EmptyName),
                b"." | b".." => return Err(PathError::Dots),
                _ if name.len() > LONGEST_NAME => {
                    return Err(PathError::LongName { bytes: name.len() });
                }
                _ => {}
            }
        }
        Ok(Self(bytes.into()))
    }
}

impl TryFrom<&str> for RelPath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::try_from(text.as_bytes())
    }
}

/// For people: bytes that are no text are replaced.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_a_root_are_taken() {
        for text in ["", "/a", "a/", "a//b", ".", "a/..", "../a", "a/./b", "a\0b"] {
            assert!(RelPath::try_from(text).is_err(), "{text:?}");
        }
        assert!(RelPath::try_from([b'x'; 256].as_slice()).is_err());
        assert!(RelPath::try_from(b"a/".repeat(2_048).as_slice()).is_err());
        for bytes in [&b"a"[..], b"a/\xff\n", b"...", b"..a", &[b'x'; 255]] {
            assert_eq!(RelPath::try_from(bytes).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn folders_and_what_is_within() {
        let path = RelPath::try_from("a/b/c").unwrap();
        let ancestors: Vec<_> = path.ancestors().map(|path| path.to_string()).collect();
        assert_eq!(ancestors, ["a", "a/b"]);
        assert_eq!(path.split().1, b"c");
        assert!(path.is_within(&RelPath::try_from("a").unwrap()));
        assert!(path.is_within(&path));
        assert!(!RelPath::try_from("ab").unwrap().is_within(&RelPath::try_from("a").unwrap()));
    }
}
