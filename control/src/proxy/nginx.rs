//! nginx's `proxy_pass`, exactly: how the request target for the upstream is made.
//!
//! Without a URI part, or with `$request_uri`, the raw target goes on. With a URI part (`/`, `/sub/`) the path is decoded once, `//`
//! merged, dot segments resolved, the location's prefix replaced, and the result encoded again if anything was encoded before;
//! `%2F` has become `/` then. The integration tests hold this against a real nginx on a table and on generated requests. Dot segments do
//! not get this far in the product (see `policy`), but are here so that the comparison needs no exceptions.

use std::borrow::Cow;

use super::policy::escaped;
use crate::domain::subpath::Subpath;

/// A path that nginx answers with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("the path has a broken escape or an encoded zero byte")]
    Escape,
    #[error("the path leads above the root")]
    AboveRoot,
    #[error("the path does not lie below its prefix")]
    OutsidePrefix,
}

/// The request target for the upstream. `prefix` is the location: begins and ends with `/`, has nothing encoded in it.
pub fn target<'a>(
    path: &'a str,
    query: Option<&'a str>,
    prefix: &str,
    subpath: &Subpath,
) -> Result<Cow<'a, str>, BadPath> {
    let Subpath::Replace(replacement) = subpath else {
        return Ok(match query {
            None => Cow::Borrowed(path),
            Some(query) => Cow::Owned(format!("{path}?{query}")),
        });
    };
    let rest = normalise(path)?;
    let rest = rest.strip_prefix(prefix.as_bytes()).ok_or(BadPath::OutsidePrefix)?;
    let mut target = String::with_capacity(replacement.as_str().len() + path.len() + 16);
    target.push_str(replacement.as_str());
    if path.contains('%') {
        encode(rest, &mut target);
    } else {
        // Nothing was encoded, so nothing was decoded: this is still the text that came in.
        target.push_str(std::str::from_utf8(rest).map_err(|_| BadPath::Escape)?);
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        target.push('?');
        target.push_str(query);
    }
    Ok(Cow::Owned(target))
}

/// Decodes once, merges slashes, resolves dot segments.
pub fn normalise(path: &str) -> Result<Vec<u8>, BadPath> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let byte = if byte == b'%' {
            let byte = escaped(bytes, at).filter(|&b| b != 0).ok_or(BadPath::Escape)?;
            at += 2;
            byte
        } else {
            byte
        };
        if byte == b'/' {
            end_segment(&mut out)?;
            if out.last() != Some(&b'/') {
                out.push(b'/');
            }
        } else {
            out.push(byte);
        }
    }
    end_segment(&mut out)?;
    Ok(out)
}

/// Removes a dot segment at the end of `out`, and what a double one takes back with it.
fn end_segment(out: &mut Vec<u8>) -> Result<(), BadPath> {
    if out.ends_with(b"/.") {
        out.pop();
    } else if out.ends_with(b"/..") {
        out.truncate(out.len() - 3);
        let parent = out.iter().rposition(|&b| b == b'/').ok_or(BadPath::AboveRoot)?;
        out.truncate(parent + 1);
    }
    Ok(())
}

/// Encodes what nginx encodes in a path; all but `/` of it is what no path may contain.
fn encode(bytes: &[u8], out: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for &byte in bytes {
        if matches!(byte, 0..=b' ' | 0x7f..) || b"\"#%<>?\\^`{|}".contains(&byte) {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.push(char::from(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/code-studios/DEMO/abcdefgh/8888/";

    fn through(rest: &str, subpath: &str) -> Result<String, BadPath> {
        let whole = format!("{PREFIX}{rest}");
        let (path, query) = match whole.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (whole.as_str(), None),
        };
        target(path, query, PREFIX, &subpath.parse().unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn raw_bytes_go_on() {
        let odd = "a%2Fb//c%2e?x=%2F&&y=/../?";
        assert_eq!(through(odd, "$request_uri"), Ok(format!("{PREFIX}{odd}")));
        assert_eq!(through("x?", "$request_uri"), Ok(format!("{PREFIX}x?")));
    }

    #[test]
    fn the_prefix_is_replaced_and_the_rest_normalised() {
        for (rest, seen) in [
            ("", "/sub/"),
            ("a/b", "/sub/a/b"),
            ("a%2Fb", "/sub/a/b"),
            ("/a///b/", "/sub/a/b/"),
            ("a%20b%22", "/sub/a%20b%22"),
            ("%61%25%3f%23", "/sub/a%25%3F%23"),
            ("x?", "/sub/x"),
            ("x?a=%2F?#", "/sub/x?a=%2F?#"),
            ("a/./b/../c", "/sub/a/c"),
            ("a/..", "/sub/"),
        ] {
            assert_eq!(through(rest, "/sub/").as_deref(), Ok(seen), "{rest}");
        }
        assert_eq!(through("..", "/"), Err(BadPath::OutsidePrefix));
        assert_eq!(through("../../../../../..", "/"), Err(BadPath::AboveRoot));
    }
}
