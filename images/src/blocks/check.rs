//! Checks that several blocks share.

use crate::{compose::Composition, launch::Readiness};

/// Longest command line or script that a field holds.
const COMMAND_LIMIT: usize = 16 << 10;

/// A relative path of plain components; empty only where `may_be_empty`.
pub(super) fn relative_path(at: &mut Composition<'_>, field: &str, path: &str, may_be_empty: bool) {
    let plain = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && part != "."
            && part != ".."
            && !part.contains(char::is_control)
    };
    let good = if path.is_empty() {
        may_be_empty
    } else {
        path.len() <= 1024 && path.split('/').all(plain)
    };
    if !good {
        at.problem(field, format!("{path:?} is not a relative path without \"..\""));
    }
}

/// As [`relative_path`], or an absolute one of plain components.
pub(super) fn target_path(at: &mut Composition<'_>, field: &str, path: &str) {
    relative_path(at, field, path.strip_prefix('/').unwrap_or(path), false);
}

pub(super) fn port(at: &mut Composition<'_>, field: &str, port: u16) {
    if port < 1024 {
        at.problem(field, "a port from 1024 to 65535: lower ones need root");
    }
}

pub(super) fn label(at: &mut Composition<'_>, field: &str, text: &str) {
    if text.trim().is_empty() || text.chars().count() > 100 || text.contains(char::is_control) {
        at.problem(field, "1 to 100 characters, none of them a control character");
    }
}

pub(super) fn command(at: &mut Composition<'_>, field: &str, text: &str) {
    if text.trim().is_empty() || text.len() > COMMAND_LIMIT || text.contains('\0') {
        at.problem(field, "a command line of 1 to 16,384 bytes, without NUL");
    }
}

/// A name that may be part of a file's name and of a variable's.
pub(super) fn simple_name(at: &mut Composition<'_>, field: &str, text: &str) {
    let good = (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !good {
        at.problem(
            field,
            "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        );
    }
}

/// Text that makes an id: lower-case letters, digits and single dashes.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "unnamed".to_owned() } else { slug.chars().take(48).collect() }
}

/// gitignore patterns, of which `!` is refused.
pub(super) fn exclusions(at: &mut Composition<'_>, field: &str, lines: &[String]) {
    if lines.len() > 1000 {
        at.problem(field, "at most 1,000 patterns");
    }
    for (line, pattern) in lines.iter().enumerate() {
        let at_line = format!("{field}[{line}]");
        if pattern.starts_with('!') {
            at.problem(
                at_line,
                format!("line {}: patterns that begin with ! are not possible here", line + 1),
            );
        } else if pattern.len() > 4096 || pattern.contains(['\0', '\n']) {
            at.problem(at_line, format!("line {}: one pattern, of at most 4,096 bytes", line + 1));
        }
    }
}

/// nginx's three forms: `/`, `$request_uri`, `/sub/`.
pub(super) fn subpath(at: &mut Composition<'_>, field: &str, text: &str) {
    let folder = text.starts_with('/')
        && text.ends_with('/')
        && text.len() <= 255
        && !text.contains("//")
        && !text.split('/').any(|part| part == ".." || part == ".")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b));
    if text != "$request_uri" && !folder {
        at.problem(field, "\"/\", \"$request_uri\", or a path that begins and ends with /");
    }
}

/// Path and query of a probe.
pub(super) fn probe_url(at: &mut Composition<'_>, field: &str, url: &str) -> Readiness {
    if !(url.starts_with('/') || url.starts_with("${baseUrl}"))
        || url.len() > 1024
        || url.contains(char::is_whitespace)
    {
        at.problem(field, "a path that begins with / or ${baseUrl}, without blanks");
    }
    Readiness::Http(url.to_owned())
}
