//! Paths that go no further: what two programs could read in two ways.
//!
//! A dot segment, plain or encoded, means one thing to who routes by the raw path and another to who decodes first. So none is
//! ever routed. Double encodings (`%252e`) stay: decoded once, as everybody does, they are ordinary characters.

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    #[error("the path has a \".\" or \"..\" segment")]
    DotSegment,
    #[error("the path has an encoded zero byte")]
    Zero,
    #[error("the path has a \"%\" that two hexadecimal digits do not follow")]
    Escape,
}

/// Checks the raw path (no query).
pub fn check_path(path: &str) -> Result<(), PathRefusal> {
    let bytes = path.as_bytes();
    let mut segment = Segment::default();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        let byte = if byte == b'%' {
            let byte = escaped(bytes, at).ok_or(PathRefusal::Escape)?;
            at += 2;
            byte
        } else {
            byte
        };
        match byte {
            0 => return Err(PathRefusal::Zero),
            b'/' | b'\\' => segment.end()?,
            byte => segment.push(byte),
        }
    }
    segment.end()
}

/// The byte that the two digits at `at` stand for.
pub(super) fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let value = digit(*bytes.get(at)?)? * 16 + digit(*bytes.get(at + 1)?)?;
    u8::try_from(value).ok()
}

/// What is known of the segment so far: only dots, then perhaps parameters (`..;x`, which some servers cut off).
#[derive(Default)]
struct Segment {
    dots: usize,
    other: bool,
    parameters: bool,
}

impl Segment {
    fn push(&mut self, byte: u8) {
        match byte {
            _ if self.parameters => {}
            b'.' => self.dots += 1,
            b';' => self.parameters = true,
            _ => self.other = true,
        }
    }

    fn end(&mut self) -> Result<(), PathRefusal> {
        let seen = std::mem::take(self);
        if !seen.other && matches!(seen.dots, 1 | 2) {
            return Err(PathRefusal::DotSegment);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_in_every_disguise() {
        for path in [
            "/..",
            "/../",
            "/a/../b",
            "/./",
            "/.",
            "/a/.",
            "/%2e",
            "/%2E%2e/",
            "/.%2e/x",
            "/a..%2f/../x",
            "/..%2fx",
            "/x%2f..%2fy",
            "/..\\x",
            "/x%5c..%5Cy",
            "/..;a=b/x",
            "/.;/x",
            "/%2e%2e%3bx/y",
        ] {
            assert_eq!(check_path(path), Err(PathRefusal::DotSegment), "{path}");
        }
    }

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "/",
            "",
            "//",
            "/a//b",
            "/...",
            "/.../x",
            "/.hidden",
            "/a.b",
            "/..a",
            "/a..",
            "/%252e%252e/x",
            "/a%2Fb",
            "/;x",
            "/a;../b",
            "/é",
            "/%ff",
            "/%0a",
            "/..a;b",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn broken_escapes_and_zeroes() {
        for path in ["/%", "/%2", "/%zz", "/%2g", "/a%"] {
            assert_eq!(check_path(path), Err(PathRefusal::Escape), "{path}");
        }
        assert_eq!(check_path("/a%00"), Err(PathRefusal::Zero));
    }
}
