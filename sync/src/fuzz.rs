//! What fuzz targets within the crate need; see `tests/fuzz`.

#[path = "../tests/fuzz/dice.rs"]
mod dice;
#[path = "../tests/fuzz/runner.rs"]
mod runner;
#[path = "../tests/fuzz/wire.rs"]
mod wire;

pub(crate) use dice::Dice;
pub(crate) use runner::fuzz;
pub(crate) use wire::falsify;

use crate::MESSAGE_LIMIT_BYTES;

/// Bytes of which some are others, are missing, or are there twice.
pub(crate) fn spoil(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        let until = at + dice.below((bytes.len() - at).min(40) + 1);
        match dice.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..until, dice.bytes(20))),
            2 => bytes.extend_from_within(at..until),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
}
