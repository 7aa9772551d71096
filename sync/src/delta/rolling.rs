//! Finding blocks anywhere, by `fast_rsync`, whose answer is in librsync's delta format.
//!
//! The format: a magic number of four bytes, then commands of one byte with big-endian numbers behind them: 0 ends; 1 to 64 are
//! so many literal bytes; 65 to 68 a literal with a length of 1, 2, 4 or 8 bytes; 69 to 84 a copy, the width of whose offset
//! and length is in the command's number.

use fast_rsync::{IndexedSignature, diff};

const MAGIC_BYTES: usize = 4;

/// A piece of what was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes that were found nowhere.
    Literal(usize),
    Copy {
        offset: u64,
        length: u64,
    },
}

/// Pieces in order; `None` when the library could not do it.
pub(super) fn find(signature: &IndexedSignature<'_>, bytes: &[u8]) -> Option<Vec<Piece>> {
    let mut delta = Vec::new();
    diff(signature, bytes, &mut delta).ok()?;
    parse(&delta)
}

fn parse(delta: &[u8]) -> Option<Vec<Piece>> {
    let mut rest = delta.get(MAGIC_BYTES..)?;
    let mut pieces = Vec::new();
    loop {
        let (&command, after) = rest.split_first()?;
        rest = after;
        let piece = match command {
            0 => return Some(pieces),
            1..=64 => Piece::Literal(command.into()),
            65..=68 => Piece::Literal(usize::try_from(number(&mut rest, command - 65)?).ok()?),
            69..=84 => Piece::Copy {
                offset: number(&mut rest, (command - 69) / 4)?,
                length: number(&mut rest, (command - 69) % 4)?,
            },
            _ => return None,
        };
        if let Piece::Literal(length) = piece {
            rest = rest.get(length..)?;
        }
        pieces.push(piece);
    }
}

/// A big-endian number of 1, 2, 4 or 8 bytes.
fn number(rest: &mut &[u8], width: u8) -> Option<u64> {
    let (bytes, after) = rest.split_at_checked(1 << width)?;
    *rest = after;
    Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}
