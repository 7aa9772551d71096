//! One run with every trouble that can come to it, one at a time.

use std::sync::Arc;

use sync::{Fault, FaultyFileSystem, FileSystem, Request};

use super::{Mishap, Pair};

/// Kills either side before each of its effects, of which there are more than `least`. Pairs are prepared for a change of the studio's
/// (`true`) or of the server's; each ends well, as the caller says.
pub fn killed_before_any_effect(
    least: u64,
    prepare: impl Fn(bool) -> Pair,
    assert_ends_well: impl Fn(Pair, &str),
) {
    for changed_in_studio in [true, false] {
        for studio in [true, false] {
            for effects in 0.. {
                let mut pair = prepare(changed_in_studio);
                let fs: Arc<dyn FileSystem> =
                    Arc::new(FaultyFileSystem::new(Fault::Killed, effects));
                *(if studio { &mut pair.studio_fs } else { &mut pair.server_fs }) = Some(fs);
                let (server, served) = pair.try_sync(&Request::default());
                let survived = server.is_ok() && served.is_ok();
                assert_ends_well(pair, &format!("{studio}, killed after {effects} effects"));
                if survived {
                    assert!(effects > least, "the faults came to nothing");
                    break;
                }
            }
        }
    }
}

/// Loses, doubles, cuts off and delays each message of either side.
pub fn any_message_in_trouble(
    prepare: impl Fn(bool) -> Pair,
    assert_ends_well: impl Fn(Pair, &str),
) {
    for studio in [false, true] {
        for number in 0..6 {
            for mishap in [
                Mishap { lose: Some(number), ..Mishap::default() },
                Mishap { repeat: Some(number), ..Mishap::default() },
                Mishap { swap: Some(number), ..Mishap::default() },
                Mishap { cut_after: Some(number), ..Mishap::default() },
            ] {
                let mut pair = prepare(number % 2 == 0);
                *(if studio { &mut pair.studio_mishap } else { &mut pair.server_mishap }) = mishap;
                pair.try_sync(&Request::default()).0.ok();
                assert_ends_well(pair, &format!("studio: {studio}, {mishap:?}"));
            }
        }
    }
}
