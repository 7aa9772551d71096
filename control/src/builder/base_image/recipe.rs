//! What goes into a base image.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::builder::layer::Packing;

/// Raised when the same recipe comes to mean something else.
const SCHEMA: u32 = 1;
/// What blocks take for granted.
const ALWAYS: [&str; 4] = ["ca-certificates", "git", "python3", "python3-venv"];
const MIRROR: &str = "http://deb.debian.org/debian";

/// A release of Debian (or of what is built like it), and packages of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub(super) suite: String,
    pub(super) mirror: String,
    packages: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}")]
pub struct RecipeError {
    what: &'static str,
    text: String,
}

impl Recipe {
    /// `packages` beside those that blocks take for granted.
    pub fn new(
        suite: &str,
        mirror: Option<&str>,
        packages: &[String],
    ) -> Result<Self, RecipeError> {
        let wrong = |what, text: &str| RecipeError { what, text: text.to_owned() };
        let word = |text: &str, more: &str| {
            let mut letters = text.chars();
            letters.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
        };
        if !word(suite, "-.") {
            return Err(wrong("release", suite));
        }
        let mirror = mirror.unwrap_or(MIRROR);
        if !mirror.starts_with("http://") && !mirror.starts_with("https://") {
            return Err(wrong("address of a mirror", mirror));
        }
        if let Some(odd) = packages.iter().find(|package| !word(package, "+-.")) {
            return Err(wrong("name of a package", odd));
        }
        let packages = ALWAYS.iter().map(|name| (*name).to_owned()).chain(packages.iter().cloned());
        Ok(Self {
            suite: suite.to_owned(),
            mirror: mirror.to_owned(),
            packages: packages.collect(),
        })
    }

    /// Separated by commas.
    pub(super) fn packages(&self) -> String {
        self.packages.iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// The mirror does not count: all have the same.
    pub(super) fn key(&self, packing: Packing) -> String {
        let text = format!("{SCHEMA} {packing:?} {} {}", self.suite, self.packages());
        data_encoding::HEXLOWER.encode(&Sha256::digest(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Packing, Recipe};

    #[test]
    fn only_names_get_onto_a_command_line() {
        let made = |suite: &str, mirror: Option<&str>, package: &str| {
            Recipe::new(suite, mirror, &[package.to_owned()])
        };
        let good = made("bookworm", None, "g++").unwrap();
        assert_eq!(good.packages(), "ca-certificates,g++,git,python3,python3-venv");
        for (suite, mirror, package) in [
            ("--help", None, "git"),
            ("", None, "git"),
            ("bookworm", Some("file:///etc"), "git"),
            ("bookworm", None, "git,--foo"),
            ("bookworm", None, "-o"),
            ("bookworm", None, ""),
        ] {
            assert!(made(suite, mirror, package).is_err(), "{suite} {mirror:?} {package}");
        }
        let key = |recipe: &Recipe| recipe.key(Packing::Zstd);
        assert_eq!(key(&good), key(&made("bookworm", Some("https://mirror"), "g++").unwrap()));
        assert_ne!(key(&good), key(&made("bookworm", None, "gcc").unwrap()));
        assert_ne!(key(&good), good.key(Packing::Gzip));
    }
}
