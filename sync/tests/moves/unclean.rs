//! Whatever speaks against it: then it is dealt with path by path, and comes to the same.

use std::{fs, path::Path};

use sync::{ChangeKind, Direction, OnConflict, Outcome, Request};

use crate::{
    agreed, bytes,
    common::{Pair, link, noise, read, tree, write},
    fill,
};

fn is_moved(outcome: &Outcome) -> bool {
    let changes = outcome.server_changes.iter().chain(&outcome.studio_changes);
    changes.into_iter().any(|change| change.kind == ChangeKind::Moved)
}

/// After one side renamed `a` to `b` and `also` was done to both roots, the renaming one first.
fn renamed(also: impl Fn(&Path, &Path), then: impl Fn(&Pair, Outcome)) {
    for studio in [true, false] {
        let pair = agreed(100);
        let (mine, theirs) = if studio {
            (pair.studio(""), pair.server(""))
        } else {
            (pair.server(""), pair.studio(""))
        };
        fs::rename(mine.join("a"), mine.join("b")).unwrap();
        also(&mine, &theirs);
        let outcome = pair.sync();
        assert!(!is_moved(&outcome), "{:?} {:?}", outcome.server_changes, outcome.studio_changes);
        then(&pair, outcome);
    }
}

#[test]
fn something_within_changed() {
    renamed(
        |mine, _| write(mine.join("b/3/file-3"), "edited"),
        |pair, outcome| {
            // Contents that are on both sides did not travel.
            assert!(bytes(&outcome) < 30_000, "{} bytes", bytes(&outcome));
            pair.assert_settled();
            assert_eq!(read(pair.server("b/3/file-3")), "edited");
            assert!(!pair.studio("a").exists());
        },
    );
}

#[test]
fn something_within_is_new_or_gone_or_a_link_or_nobody_s_business() {
    renamed(|mine, _| write(mine.join("b/3/new"), "new"), |pair, _| pair.assert_settled());
    renamed(
        |mine, _| fs::remove_file(mine.join("b/3/file-3")).unwrap(),
        |pair, _| pair.assert_settled(),
    );
    renamed(|mine, _| link("x", mine.join("b/link")), |pair, _| pair.assert_settled());
    renamed(
        |mine, _| {
            std::os::unix::net::UnixListener::bind(mine.join("b/socket")).unwrap();
        },
        |pair, outcome| {
            assert!(outcome.skipped.iter().all(|skipped| skipped.special));
            assert_eq!(tree(&pair.server("b")), tree(&pair.studio("b")));
        },
    );
}

#[test]
fn the_other_side_changed_something_within() {
    renamed(
        |_, theirs| write(theirs.join("a/3/file-3"), "edited there"),
        |pair, _| {
            pair.assert_has("edited there");
            pair.sync_with(&Request { on_conflict: OnConflict::KeepBoth, ..Request::default() });
            pair.assert_settled();
            pair.assert_has("edited there");
        },
    );
    renamed(
        |_, theirs| write(theirs.join("a/3/new"), "new there"),
        |pair, _| {
            pair.assert_settled();
            assert_eq!(read(pair.server("a/3/new")), "new there");
            assert_eq!(tree(&pair.studio("b")).len(), 110);
        },
    );
}

#[test]
fn the_other_side_has_something_there() {
    renamed(
        |_, theirs| write(theirs.join("b/own"), "own"),
        |pair, _| {
            pair.assert_settled();
            assert_eq!(read(pair.studio("b/own")), "own");
            assert_eq!(tree(&pair.server("b")).len(), 111);
        },
    );
    renamed(
        |_, theirs| write(theirs.join("b"), "a file"),
        |pair, outcome| {
            assert_eq!(outcome.conflicts.len(), 1);
            pair.sync_with(&Request { on_conflict: OnConflict::KeepBoth, ..Request::default() });
            pair.assert_settled();
            pair.assert_has("a file");
        },
    );
}

#[test]
fn the_other_side_moved_it_elsewhere_or_deleted_it_or_moved_something_into_it() {
    renamed(
        |_, theirs| fs::rename(theirs.join("a"), theirs.join("c")).unwrap(),
        |pair, _| {
            pair.assert_settled();
            assert_eq!(tree(&pair.server("b")), tree(&pair.studio("c")));
        },
    );
    renamed(
        |_, theirs| fs::remove_dir_all(theirs.join("a")).unwrap(),
        |pair, _| {
            pair.assert_settled();
            assert_eq!(tree(&pair.server("b")).len(), 110);
        },
    );
    renamed(
        |_, theirs| fs::rename(theirs.join("x"), theirs.join("a/x")).unwrap(),
        |pair, _| {
            pair.assert_settled();
            assert_eq!(read(pair.server("a/x/y")), "x/y");
        },
    );
}

#[test]
fn chains_swaps_and_moves_within_moves() {
    let chain = |mine: &Path, _: &Path| {
        // c is what b is, which was a; d is what x was, and x what other was.
        fs::rename(mine.join("b"), mine.join("c")).unwrap();
        fs::rename(mine.join("x"), mine.join("d")).unwrap();
        fs::rename(mine.join("other"), mine.join("x")).unwrap();
        fs::rename(mine.join("c"), mine.join("other")).unwrap();
    };
    renamed(chain, |pair, outcome| {
        assert!(bytes(&outcome) < 30_000, "{} bytes", bytes(&outcome));
        pair.assert_settled();
        assert_eq!(read(pair.server("d/y")), "x/y");
        assert_eq!(read(pair.studio("x/z")), "other/z");
        assert_eq!(tree(&pair.studio("other")).len(), 110);
    });
    let swap = |mine: &Path, _: &Path| {
        fs::rename(mine.join("b"), mine.join("between")).unwrap();
        fs::rename(mine.join("x"), mine.join("a")).unwrap();
        fs::rename(mine.join("between"), mine.join("x")).unwrap();
    };
    renamed(swap, |pair, outcome| {
        assert!(bytes(&outcome) < 30_000, "{} bytes", bytes(&outcome));
        pair.assert_settled();
        assert_eq!(read(pair.server("a/y")), "x/y");
        assert_eq!(tree(&pair.studio("x")).len(), 110);
    });
    let nested = |mine: &Path, _: &Path| {
        fs::rename(mine.join("b/3"), mine.join("b/third")).unwrap();
        fs::rename(mine.join("x"), mine.join("b/x")).unwrap();
    };
    renamed(nested, |pair, outcome| {
        assert!(bytes(&outcome) < 30_000, "{} bytes", bytes(&outcome));
        pair.assert_settled();
        assert_eq!(tree(&pair.server("b/third")).len(), 10);
        assert_eq!(read(pair.server("b/x/y")), "x/y");
    });
}

#[test]
fn what_would_be_excluded_on_one_path_only_is_neither_moved_nor_told() {
    for studio in [true, false] {
        for exclusion in ["/a/3/cache", "/b/3/cache"] {
            let mut pair = Pair::new();
            pair.exclusions = vec![exclusion.to_owned()];
            fill(&pair, 100);
            let (mine, theirs) = if studio {
                (pair.studio(""), pair.server(""))
            } else {
                (pair.server(""), pair.studio(""))
            };
            if exclusion.starts_with("/a") {
                write(theirs.join("a/3/cache"), "their own");
            } else {
                write(mine.join("a/3/cache"), "agreed");
                pair.sync();
            }
            fs::rename(mine.join("a"), mine.join("b")).unwrap();
            let outcome = pair.sync();
            assert!(!is_moved(&outcome), "{exclusion}");
            if exclusion.starts_with("/a") {
                assert_eq!(read(theirs.join("a/3/cache")), "their own");
                assert!(!theirs.join("b/3/cache").exists() && !mine.join("b/3/cache").exists());
            } else {
                assert_eq!(read(mine.join("b/3/cache")), "agreed");
                assert!(!theirs.join("b/3/cache").exists());
            }
            let strip = |root: &Path| {
                let mut tree = tree(&root.join("b"));
                tree.remove(Path::new("3/cache"));
                tree
            };
            assert_eq!(strip(&mine), strip(&theirs), "{exclusion}");
            assert_eq!(tree(&theirs.join("b/4")).len(), 10);
            let again = pair.sync();
            assert!(bytes(&again) < 1_000, "{} bytes", bytes(&again));
        }
    }
}

/// A run in one direction has seen the folder, and told nobody.
#[test]
fn what_was_seen_and_never_agreed_is_new_wherever_it_is() {
    for (studio, direction) in [(true, Direction::ToStudio), (false, Direction::ToServer)] {
        let pair = agreed(10);
        let mine = if studio { pair.studio("") } else { pair.server("") };
        fs::create_dir(mine.join("new")).unwrap();
        pair.sync_with(&Request { direction, ..Request::default() });
        fs::rename(mine.join("new"), mine.join("newer")).unwrap();
        assert!(!is_moved(&pair.sync()));
        pair.assert_settled();
        assert!(pair.server("newer").is_dir() && pair.studio("newer").is_dir());
    }
}

#[test]
fn a_folder_made_anew_with_the_same_names_is_no_move() {
    let pair = agreed(50);
    let files = tree(&pair.studio("a")).into_iter().filter_map(|(path, thing)| match thing {
        crate::common::Thing::File { content, .. } => Some((path, content)),
        crate::common::Thing::Folder | crate::common::Thing::Link(_) => None,
    });
    let files: Vec<_> = files.collect();
    fs::remove_dir_all(pair.studio("a")).unwrap();
    for (path, mut content) in files {
        content[7] ^= 1;
        write(pair.studio("b").join(path), content);
    }
    let outcome = pair.sync();
    assert!(!is_moved(&outcome));
    pair.assert_settled();
    assert_ne!(fs::read(pair.server("b/3/file-3")).unwrap(), noise(3_000, 3));
}
