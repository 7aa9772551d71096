//! Standard input as a stream: read on a thread of its own, so that what the server says is never kept waiting by a
//! person who types nothing.

use std::io::Read;

use bytes::Bytes;
use tokio::sync::mpsc;

/// Where a verb reads what it is given.
pub(super) type Input = Box<dyn Read + Send>;

/// Most of one piece. Small enough for a keystroke's way, large enough for a file's.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces until the end or the first error. The thread stays in its read when nobody wants more: it ends with the program.
pub(super) fn pieces(mut input: Input) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (send, pieces) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default())),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let last = piece.is_err();
            if send.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
    pieces
}
