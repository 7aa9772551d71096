//! The power goes at any moment of a run.

use std::{fs, sync::Arc};

use sync::Request;

use crate::common::{Pair, Thing, noise, power::PowerLoss, tree, write};

/// Both sides have changed, none of it at the same path.
fn prepare() -> Pair {
    let pair = Pair::new();
    for name in ["edited-here", "edited-there", "kept"] {
        write(pair.server(name), format!("{name} before"));
    }
    write(pair.server("large"), noise(120_000, 1));
    pair.sync();
    write(pair.server("edited-here"), "edited on the server");
    write(pair.studio("edited-there"), "edited in the studio");
    let mut large = noise(120_000, 1);
    large[60_000] ^= 1;
    write(pair.studio("large"), large);
    write(pair.server("new/here"), "new on the server");
    write(pair.studio("new/there"), "new in the studio");
    pair
}

fn empty_files(pair: &Pair) -> Vec<std::path::PathBuf> {
    [pair.server(""), pair.studio("")]
        .iter()
        .flat_map(|root| tree(root))
        .filter(|(_, thing)| matches!(thing, Thing::File { content, .. } if content.is_empty()))
        .map(|(path, _)| path)
        .collect()
}

/// Loses the power of one side before each of its effects in turn.
fn every_loss(check: impl Fn(&Pair, &str)) {
    for studio in [false, true] {
        for effects in 0.. {
            let mut pair = prepare();
            let power = Arc::new(PowerLoss::after(effects));
            if studio {
                pair.studio_fs = Some(power);
            } else {
                pair.server_fs = Some(power);
            }
            let (server, served) = pair.try_sync(&Request::default());
            (pair.server_fs, pair.studio_fs) = (None, None);
            check(&pair, &format!("studio: {studio}, after {effects} effects"));
            if server.is_ok() && served.is_ok() {
                assert!(effects > 20, "the power never went");
                break;
            }
        }
    }
}

#[test]
fn nextcloud_desktop_10547_no_file_is_empty_after_a_power_cut() {
    every_loss(|pair, when| assert!(empty_files(pair).is_empty(), "{when}"));
}

/// If what is remembered ran ahead of what is on the disk, the next run would take the loss for an edit and pass it on.
#[test]
fn syncthing_3711_nothing_is_remembered_that_is_not_on_the_disk() {
    every_loss(|pair, when| {
        pair.sync();
        // What was replaced by then can be had back: so its note was on the disk before.
        let mut kept = pair.contents();
        kept.extend(pair.trash());
        kept.extend(pair.studio_trash());
        for content in ["edited-here before", "edited-there before"] {
            assert!(kept.contains(content.as_bytes()), "{when}: {content}");
        }
        assert!(empty_files(pair).is_empty(), "{when}");
        for content in [
            "edited on the server",
            "edited in the studio",
            "new on the server",
            "new in the studio",
            "kept before",
        ] {
            let on_both = [pair.server(""), pair.studio("")].iter().all(|root| {
                tree(root).into_values().any(|thing| {
                    matches!(thing, Thing::File { content: found, .. } if found == content.as_bytes())
                })
            });
            assert!(on_both, "{when}: {content}");
        }
        pair.assert_settled();
    });
}

/// A user's own program may leave an empty file behind: it flows, and what was there before can be had back.
#[test]
fn nextcloud_desktop_10547_what_an_empty_file_replaced_is_in_the_trash() {
    let pair = Pair::new();
    write(pair.server("thesis"), "four hundred pages");
    write(pair.server("other"), "x");
    pair.sync();
    fs::write(pair.studio("thesis"), "").unwrap();
    pair.sync();
    assert!(pair.trash().contains(&b"four hundred pages".to_vec()));
}
