//! What is never synchronised: gitignore patterns, without negation.

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use thiserror::Error;

use crate::{RelPath, entry::Digest};

/// Most patterns of a mount.
pub const MOST_PATTERNS: usize = 10_000;

/// A pattern that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ExclusionError {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
}

/// Patterns of a mount, rooted at the mount. An excluded path, and all below it, is never sent, overwritten or deleted.
#[derive(Debug, Clone)]
pub struct Exclusions(Gitignore, Digest);

impl Exclusions {
    /// One pattern a line, as in a `.gitignore`: comments and empty lines are allowed, `!` is not.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, ExclusionError> {
        let mut builder = GitignoreBuilder::new("");
        let mut hasher = blake3::Hasher::new();
        for (line, text) in (1..).zip(lines) {
            let refuse = |reason: String| Err(ExclusionError { line, reason });
            if line > MOST_PATTERNS {
                return refuse(format!("there are more than {MOST_PATTERNS} patterns"));
            }
            if text.starts_with('!') {
                return refuse("a pattern can't begin with \"!\": exclusions only exclude".into());
            }
            if text.contains(['\0', '\n']) {
                return refuse("a pattern is one line, without NUL".into());
            }
            hasher.update(text.as_bytes()).update(b"\n");
            if let Err(error) = builder.add_line(None, &as_git_reads(text)) {
                return refuse(error.to_string());
            }
        }
        let built = builder
            .build()
            .map_err(|error| ExclusionError { line: 0, reason: error.to_string() })?;
        Ok(Self(built, Digest(hasher.finalize().into())))
    }

    pub fn none() -> Self {
        Self(Gitignore::empty(), Digest(blake3::hash(b"").into()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the patterns: two that are the same exclude the same.
    pub(crate) const fn digest(&self) -> Digest {
        self.1
    }

    /// Whether the path itself matches; its folders are the caller's business, who does not descend into excluded ones.
    pub fn matches(&self, path: &RelPath, is_folder: bool) -> bool {
        self.matches_bytes(path.as_bytes(), is_folder)
    }

    pub(crate) fn matches_bytes(&self, path: &[u8], is_folder: bool) -> bool {
        !self.0.is_empty() && self.0.matched(OsStr::from_bytes(path), is_folder).is_ignore()
    }

    /// Whether the path or a folder above it is excluded.
    pub fn excludes(&self, path: &RelPath, is_folder: bool) -> bool {
        !self.0.is_empty()
            && (path.ancestors().any(|folder| self.matches(&folder, true))
                || self.matches(path, is_folder))
    }
}

/// The end of a line in git's way, which the library trims too eagerly: spaces go unless escaped, other blanks stay.
fn as_git_reads(line: &str) -> Cow<'_, str> {
    let trimmed = line.trim_end_matches(' ');
    let escapes = trimmed.bytes().rev().take_while(|&byte| byte == b'\\').count();
    if escapes % 2 == 1 && trimmed.len() < line.len() {
        return Cow::Owned(format!("{trimmed} "));
    }
    match trimmed.chars().next_back() {
        Some(last) if last.is_whitespace() => {
            let rest = trimmed.strip_suffix(last).unwrap_or_default();
            Cow::Owned(format!("{rest}[{last}]"))
        }
        Some(_) | None => Cow::Borrowed(trimmed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negation_is_refused_with_its_line() {
        let error = Exclusions::parse(["# comment", "*.pyc", "!keep.pyc"]).unwrap_err();
        assert_eq!(error.line, 3);
        assert!(Exclusions::parse(["\\!literal"]).is_ok());
    }

    #[test]
    fn everything_below_an_excluded_folder_is_excluded() {
        let exclusions = Exclusions::parse(["__pycache__/", "/only-here"]).unwrap();
        let excluded = |text: &str| exclusions.excludes(&RelPath::try_from(text).unwrap(), false);
        assert!(excluded("a/__pycache__/b/c.pyc"));
        assert!(!excluded("a/__pycache__"), "a file of that name is none");
        assert!(excluded("only-here") && !excluded("a/only-here"));
    }
}
