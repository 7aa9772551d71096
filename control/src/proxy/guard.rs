//! Requests with two lengths (`Content-Length` and `Transfer-Encoding`) are refused.
//!
//! hyper takes the chunks and forgets the other length, which is safe for what lies behind us, but not for a proxy in front of us that
//! believed the other one: to it, the end of this request may be the start of somebody else's. By the time a handler sees the headers the second
//! length is gone, so the bytes are watched as they come in. This watcher only ever raises a flag; what a request *is* stays hyper's to
//! say.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest head that is looked at; hyper refuses longer ones.
const MAX_HEAD: usize = 256 * 1024;

const WATCHING: u8 = 0;
const TWO_LENGTHS: u8 = 1;
const LOOKING_AWAY: u8 = 2;

/// What the watcher and the handler of one connection tell each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<AtomicU8>);

impl Verdict {
    /// A request with two lengths has come in.
    pub(super) fn two_lengths(&self) -> bool {
        self.0.load(Relaxed) == TWO_LENGTHS
    }

    /// From here on the bytes are not HTTP/1.
    pub(super) fn look_away(&self) {
        self.0.store(LOOKING_AWAY, Relaxed);
    }
}

/// Where in the stream of requests the next byte is.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// In a head; what came of it before this read.
    Head(Vec<u8>),
    Sized(u64),
    ChunkSize {
        size: u64,
        extension: bool,
    },
    /// Data and the line end after it.
    ChunkData(u64),
    /// In the trailers; whether the line has anything on it so far.
    Trailers {
        empty: bool,
    },
    /// Not followed any more.
    Lost,
}

impl Framing {
    /// Follows some bytes. True: two lengths.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(&byte) = bytes.first() {
            match self {
                Self::Lost => return false,
                Self::Head(before) => {
                    let start = before.len().saturating_sub(3);
                    before.extend_from_slice(bytes);
                    let Some(end) = head_end(before, start) else {
                        if before.len() > MAX_HEAD || before.starts_with(b"PRI * HTTP/2.0\r\n") {
                            *self = Self::Lost;
                        }
                        return false;
                    };
                    let after = before.len() - end;
                    bytes = &bytes[bytes.len() - after..];
                    before.truncate(end);
                    let lengths = Lengths::of(before);
                    if lengths.two() {
                        return true;
                    }
                    *self = lengths.framing();
                }
                Self::Sized(left) | Self::ChunkData(left) => {
                    let skipped =
                        usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if *left == 0 {
                        *self = match self {
                            Self::Sized(_) => Self::Head(Vec::new()),
                            _ => Self::ChunkSize { size: 0, extension: false },
                        };
                    }
                }
                Self::ChunkSize { size, extension } => {
                    bytes = &bytes[1..];
                    match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if *size == 0 => *self = Self::Trailers { empty: true },
                        (b'\n', _) => *self = Self::ChunkData(size.saturating_add(2)),
                        (b'\r', _) => {}
                        _ if *extension => {}
                        (_, Some(digit)) => {
                            *size = size.saturating_mul(16).saturating_add(u64::from(digit));
                        }
                        (b';' | b' ' | b'\t', None) => *extension = true,
                        (_, None) => *self = Self::Lost,
                    }
                }
                Self::Trailers { empty } => {
                    bytes = &bytes[1..];
                    match byte {
                        b'\n' if *empty => *self = Self::Head(Vec::new()),
                        b'\n' => *empty = true,
                        b'\r' => {}
                        _ => *empty = false,
                    }
                }
            }
        }
        false
    }
}

/// Index after the empty line that ends a head, looked for from `start` on.
fn head_end(head: &[u8], start: usize) -> Option<usize> {
    // Empty lines before a request line are allowed, and no end.
    let first = head.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let mut at = start.max(first);
    while let Some(found) = head.get(at..)?.iter().position(|&b| b == b'\n') {
        let next = at + found + 1;
        match head.get(next..)? {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

#[derive(Default)]
struct Lengths {
    sized: Option<u64>,
    encoded: bool,
    any_sized: bool,
}

impl Lengths {
    fn of(head: &[u8]) -> Self {
        let mut lengths = Self::default();
        for line in head.split(|&b| b == b'\n').skip(1) {
            let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                lengths.encoded = true;
            } else if name.eq_ignore_ascii_case(b"content-length") {
                lengths.any_sized = true;
                lengths.sized = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            }
        }
        lengths
    }

    fn two(&self) -> bool {
        self.encoded && self.any_sized
    }

    fn framing(&self) -> Framing {
        match (self.encoded, self.any_sized, self.sized) {
            (true, ..) => Framing::ChunkSize { size: 0, extension: false },
            (false, true, None) => Framing::Lost,
            (false, _, None | Some(0)) => Framing::Head(Vec::new()),
            (false, _, Some(size)) => Framing::Sized(size),
        }
    }
}

/// A client's connection with the watcher on it.
#[derive(Debug)]
pub(super) struct Guarded<T> {
    io: T,
    framing: Framing,
    verdict: Verdict,
}

impl<T> Guarded<T> {
    pub(super) fn new(io: T) -> (Self, Verdict) {
        let verdict = Verdict::default();
        (Self { io, framing: Framing::Head(Vec::new()), verdict: verdict.clone() }, verdict)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if this.verdict.0.load(Relaxed) == WATCHING && this.framing.follow(read) {
            this.verdict.0.store(TWO_LENGTHS, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two lengths are seen, whatever the reads' sizes.
    fn seen(stream: &str) -> bool {
        let whole = Framing::Head(Vec::new()).follow(stream.as_bytes());
        for size in [1, 2, 3, 7] {
            let mut framing = Framing::Head(Vec::new());
            let parts = stream.as_bytes().chunks(size).any(|part| framing.follow(part));
            assert_eq!(parts, whole, "reads of {size}: {stream:?}");
        }
        whole
    }

    #[test]
    fn two_lengths_are_seen_wherever_they_stand() {
        let bad =
            "POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        let reversed = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n";
        for before in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\na\r\n\r\nbcd",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0A\r\n0\r\n\r\n\r\n0\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
        ] {
            assert!(seen(&format!("{before}{bad}")), "{before:?}");
            assert!(seen(&format!("{before}{reversed}")), "{before:?}");
        }
    }

    #[test]
    fn bodies_are_not_taken_for_heads() {
        let bad = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        let size = bad.len();
        assert!(!seen(&format!("POST / HTTP/1.1\r\nContent-Length: {size}\r\n\r\n{bad}")));
        assert!(!seen(&format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{bad}\r\n0\r\n\r\n"
        )));
        assert!(!seen("GET / HTTP/1.1\r\nX: Content-Length: 1\r\nY: transfer-encoding\r\n\r\n"));
        assert!(!seen("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    }
}
