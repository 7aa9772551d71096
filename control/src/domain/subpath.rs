//! *Proxied subpath* of an entrypoint: what the application sees of a request's path, in nginx's `proxy_pass` terms.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How a port's prefix (`/code-studios/<project>/<id>/<port>/`) is shown to the application behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subpath {
    /// The prefix is replaced by this path (`/`, `/sub/`); the rest is decoded, normalised and encoded again.
    Replace(ReplacePath),
    /// `$request_uri`, or nothing: the URI goes on unchanged, byte for byte.
    RequestUri,
}

impl utoipa::PartialSchema for Subpath {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        String::schema()
    }
}
impl utoipa::ToSchema for Subpath {}

/// A checked path to put in a prefix's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReplacePath(String);

impl ReplacePath {
    /// The path; begins with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no proxied subpath.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a proxied subpath: {rule}")]
pub struct InvalidSubpath {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What is expected.
    pub rule: &'static str,
}

const REQUEST_URI: &str = "$request_uri";

impl Subpath {
    /// `/`: the application believes to be at the root.
    pub fn root() -> Self {
        Self::Replace(ReplacePath("/".to_owned()))
    }

    fn rule_broken(text: &str) -> Option<&'static str> {
        if !text.starts_with('/') {
            return Some("expected \"/\", a path that begins with \"/\", or \"$request_uri\"");
        }
        if text.len() > 255 {
            return Some("at most 255 bytes");
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!&'()*+,;=:@".contains(&b);
        if !text.bytes().all(allowed) {
            return Some("only letters, digits and /-._~!&'()*+,;=:@, nothing encoded");
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) || text.contains("//") {
            return Some("no \".\", \"..\" or empty segments");
        }
        None
    }
}

impl FromStr for Subpath {
    type Err = InvalidSubpath;

    fn from_str(text: &str) -> Result<Self, InvalidSubpath> {
        if text.is_empty() || text == REQUEST_URI {
            return Ok(Self::RequestUri);
        }
        match Self::rule_broken(text) {
            None => Ok(Self::Replace(ReplacePath(text.to_owned()))),
            Some(rule) => Err(InvalidSubpath { text: text.chars().take(64).collect(), rule }),
        }
    }
}

impl TryFrom<String> for Subpath {
    type Error = InvalidSubpath;
    fn try_from(text: String) -> Result<Self, InvalidSubpath> {
        text.parse()
    }
}

impl From<Subpath> for String {
    fn from(subpath: Subpath) -> String {
        subpath.to_string()
    }
}

impl fmt::Display for Subpath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replace(path) => f.write_str(path.as_str()),
            Self::RequestUri => f.write_str(REQUEST_URI),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_written_back() {
        for (text, back) in
            [("/", "/"), ("/sub/", "/sub/"), ("$request_uri", "$request_uri"), ("", "$request_uri")]
        {
            assert_eq!(text.parse::<Subpath>().unwrap().to_string(), back);
        }
        assert_eq!("/".parse(), Ok(Subpath::root()));
    }

    #[test]
    fn hostile_forms_are_refused_with_the_rule() {
        for text in [
            "sub",
            "/..",
            "/a/../b",
            "/a//b",
            "/a?b",
            "/a#b",
            "/a b",
            "/%2e",
            "/$request_uri",
            "/a\r\nX: y",
            "/é",
        ] {
            assert!(text.parse::<Subpath>().is_err(), "{text:?}");
        }
        assert!("/".parse::<Subpath>().is_ok());
        assert!(format!("/{}", "a".repeat(255)).parse::<Subpath>().is_err());
    }
}
