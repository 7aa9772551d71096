//! What a user may rely on.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt, net::UnixListener},
    path::Path,
};

use common::{Pair, link, noise, read, set_executable, tree, write};
use sync::{
    ChangeKind, ConflictKind, Direction, Keep, OnConflict, OnMassDeletion, RelPath, Request,
    Resolution, Side,
};

fn path(text: &str) -> RelPath {
    RelPath::try_from(text).unwrap()
}

fn keep(at: &str, keep: Keep) -> Request {
    let resolution = Resolution { path: path(at), keep, expect: None };
    Request { resolutions: vec![resolution], ..Request::default() }
}

#[test]
fn everything_a_folder_can_hold_survives_the_round_trip() {
    let pair = Pair::new();
    write(pair.server("a/b/file"), "text");
    write(pair.server("run.sh"), "#!/bin/sh\n");
    set_executable(pair.server("run.sh"), true);
    fs::create_dir_all(pair.server("empty/inner")).unwrap();
    link("a/b", pair.server("inside"));
    link("/etc/passwd", pair.server("outside"));
    write(pair.server("nested/.git/HEAD"), "ref: refs/heads/main\n");
    let odd = OsStr::from_bytes(b"odd \xff\n\\ name");
    fs::write(pair.server("").join(odd), "bytes").unwrap();
    write(pair.server("x".repeat(255).as_str()), "long");
    write(pair.server("nothing"), "");
    write(pair.server("large"), noise(3_000_000, 1));
    pair.sync();
    assert_eq!(tree(&pair.server("")), tree(&pair.studio("")));
    assert_eq!(fs::read_link(pair.studio("outside")).unwrap(), Path::new("/etc/passwd"));
    pair.assert_settled();
    // And back.
    write(pair.studio("a/b/file"), "changed");
    set_executable(pair.studio("run.sh"), false);
    fs::remove_dir_all(pair.studio("empty")).unwrap();
    fs::remove_file(pair.studio("inside")).unwrap();
    link("elsewhere", pair.studio("inside"));
    let outcome = pair.sync();
    assert_eq!(outcome.studio_changes, []);
    assert_eq!(tree(&pair.server("")), tree(&pair.studio("")));
    assert_eq!(read(pair.server("a/b/file")), "changed");
    pair.assert_settled();
}

#[test]
fn nothing_changed_costs_one_exchange_of_a_few_bytes() {
    let pair = Pair::new();
    for number in 0..200 {
        write(pair.server(&format!("folder-{}/file-{number}", number % 7)), number.to_string());
    }
    pair.sync();
    let outcome = pair.sync();
    let bytes = outcome.stats.bytes_sent + outcome.stats.bytes_received;
    assert!(bytes < 200, "{bytes} bytes");
}

#[test]
fn holes_stay_holes() {
    let pair = Pair::new();
    let file = fs::File::create(pair.server("sparse")).unwrap();
    file.set_len(512 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 200 << 20).unwrap();
    drop(file);
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_sent < 1 << 20, "{}", outcome.stats.bytes_sent);
    let metadata = fs::metadata(pair.studio("sparse")).unwrap();
    assert_eq!(metadata.len(), 512 << 20);
    assert!(metadata.blocks() * 512 < 4 << 20, "{} blocks", metadata.blocks());
    pair.assert_settled();
}

#[test]
fn a_small_edit_of_a_large_file_travels_as_a_small_delta() {
    let pair = Pair::new();
    let mut content = noise(8 << 20, 7);
    write(pair.server("large"), &content);
    pair.sync();
    content.splice(100..100, *b"a few bytes at the front");
    write(pair.studio("large"), &content);
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received < 20_000, "{}", outcome.stats.bytes_received);
    assert!(fs::read(pair.server("large")).unwrap() == content);
    content[5_000_000] ^= 1;
    write(pair.server("large"), &content);
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_sent < 20_000, "{}", outcome.stats.bytes_sent);
    assert!(fs::read(pair.studio("large")).unwrap() == content);
}

#[test]
fn what_is_made_again_comes_out_of_the_trash() {
    let pair = Pair::new();
    let names: Vec<String> = (0..200).map(|number| format!("folder/{number}")).collect();
    let make = || {
        for (seed, name) in (1..).zip(&names) {
            write(pair.studio(name), noise(3_000, seed));
        }
        write(pair.studio("folder/large"), noise(300_000, 0));
    };
    make();
    pair.sync();
    fs::remove_dir_all(pair.studio("folder")).unwrap();
    let allow = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
    pair.sync_with(&allow);
    assert!(!pair.server("folder").exists());
    // Of what was changed in the trash nothing comes back but as it was.
    let trash = pair.folder.path().join("zone.trash");
    let batch = fs::read_dir(&trash).unwrap().next().unwrap().unwrap().path();
    let things = fs::read_dir(batch).unwrap().map(|thing| thing.unwrap().path());
    let folder = things.filter(|thing| thing.file_name().unwrap() != "notes").min().unwrap();
    write(folder.join("0"), "spoilt");
    make();
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received < 350_000, "{}", outcome.stats.bytes_received);
    pair.assert_settled();
    assert_eq!(tree(&pair.server("folder")).len(), 201);
}

#[test]
fn a_file_with_other_names_is_changed_and_deleted_like_any() {
    let pair = Pair::new();
    for name in ["one", "two", "three", "four"] {
        write(pair.server(name), format!("first {name}"));
    }
    pair.sync();
    fs::create_dir(pair.studio("links")).unwrap();
    for name in ["one", "two", "three"] {
        fs::hard_link(pair.studio(name), pair.studio("links").join(name)).unwrap();
    }
    pair.sync();
    // Nothing changes before the next look, which goes by what it knows.
    pair.sync();
    fs::remove_file(pair.server("one")).unwrap();
    write(pair.server("two"), "second");
    set_executable(pair.server("three"), true);
    let outcome = pair.sync();
    assert!(outcome.skipped.is_empty(), "{:?}", outcome.skipped);
    assert!(!pair.studio("one").exists());
    assert_eq!(read(pair.studio("two")), "second");
    assert_eq!(read(pair.studio("links/one")), "first one");
    assert_eq!(read(pair.studio("links/two")), "first two");
}

#[test]
fn renamed_files_do_not_travel() {
    let pair = Pair::new();
    for number in 0..20 {
        write(pair.server(&format!("old/{number}")), noise(100_000, number));
    }
    pair.sync();
    fs::rename(pair.studio("old"), pair.studio("new")).unwrap();
    let outcome = pair.sync();
    let bytes = outcome.stats.bytes_sent + outcome.stats.bytes_received;
    assert!(bytes < 20_000, "{bytes}");
    assert!(outcome.questions.is_empty(), "what moved is not lost");
    assert!(!pair.server("old").exists());
    pair.assert_settled();
    fs::rename(pair.server("new"), pair.server("newer")).unwrap();
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_sent < 20_000, "{}", outcome.stats.bytes_sent);
    pair.assert_settled();
}

#[test]
fn edits_on_both_sides_are_a_conflict_that_touches_neither() {
    let pair = Pair::new();
    write(pair.server("a"), "before");
    pair.sync();
    write(pair.server("a"), "server's");
    write(pair.studio("a"), "studio's");
    let outcome = pair.sync();
    let conflict = &outcome.conflicts[0];
    assert_eq!((conflict.kind, &conflict.path), (ConflictKind::EditEdit, &path("a")));
    assert!(conflict.base.is_some());
    assert_eq!(
        (read(pair.server("a")), read(pair.studio("a"))),
        ("server's".into(), "studio's".into())
    );
    // Seen, but changed since: reported anew.
    let token = conflict.token;
    write(pair.studio("a"), "studio's second");
    let mut request = keep("a", Keep::Server);
    request.resolutions[0].expect = Some(token);
    assert_eq!(pair.sync_with(&request).conflicts.len(), 1);
    assert_eq!(read(pair.studio("a")), "studio's second");
}

#[test]
fn a_conflict_ends_each_way() {
    for (choice, server, extra) in [
        (Keep::Server, "server's", None),
        (Keep::Studio, "studio's", None),
        (Keep::Both, "server's", Some("studio's")),
        (Keep::Content(b"merged".to_vec()), "merged", None),
    ] {
        let pair = Pair::new();
        write(pair.server("a"), "before");
        pair.sync();
        write(pair.server("a"), "server's");
        write(pair.studio("a"), "studio's");
        assert_eq!(pair.sync().conflicts.len(), 1);
        let outcome = pair.sync_with(&keep("a", choice.clone()));
        assert!(outcome.conflicts.is_empty(), "{choice:?}");
        assert_eq!(read(pair.server("a")), server, "{choice:?}");
        let copy: Vec<_> = tree(&pair.server(""))
            .into_keys()
            .filter(|path| path.to_str().unwrap().starts_with("a.conflict-lab-"))
            .collect();
        assert_eq!(copy.len(), usize::from(extra.is_some()));
        if let Some(extra) = extra {
            assert_eq!(read(pair.server("").join(&copy[0])), extra);
            assert_eq!(outcome.kept_both.len(), 1);
        }
        pair.assert_settled();
        if choice == Keep::Studio {
            assert!(pair.trash().contains(&b"server's".to_vec()), "what lost is in the trash");
        }
    }
}

#[test]
fn a_delete_against_an_edit_is_a_conflict_and_the_edit_stays_where_nobody_answers() {
    let pair = Pair::new();
    for name in ["d/a", "d/b"] {
        write(pair.server(name), "before");
    }
    pair.sync();
    fs::remove_file(pair.server("d/a")).unwrap();
    write(pair.studio("d/a"), "edited");
    fs::remove_dir_all(pair.studio("d")).unwrap();
    write(pair.studio("d/a"), "edited");
    write(pair.server("d/b"), "edited too");
    let outcome = pair.sync();
    let kinds: Vec<_> = outcome.conflicts.iter().map(|conflict| conflict.kind).collect();
    assert_eq!(kinds, [ConflictKind::DeletedOnServer, ConflictKind::DeletedInStudio]);
    pair.sync_with(&Request { on_conflict: OnConflict::KeepBoth, ..Request::default() });
    assert_eq!(read(pair.server("d/a")), "edited");
    assert_eq!(read(pair.studio("d/b")), "edited too");
    pair.assert_settled();
}

#[test]
fn a_folder_deleted_around_an_edit_comes_back_with_it() {
    let pair = Pair::new();
    write(pair.server("d/e/a"), "a");
    write(pair.server("d/e/b"), "b");
    pair.sync();
    fs::remove_dir_all(pair.server("d")).unwrap();
    write(pair.studio("d/e/a"), "edited");
    let outcome = pair.sync_with(&keep("d/e/a", Keep::Studio));
    assert!(outcome.conflicts.is_empty());
    assert_eq!(read(pair.server("d/e/a")), "edited");
    assert!(!pair.studio("d/e/b").exists());
    pair.assert_settled();
}

#[test]
fn a_file_that_became_a_folder_flows_and_clashes_are_reported() {
    let pair = Pair::new();
    write(pair.server("x"), "file");
    write(pair.server("y/inner"), "file");
    pair.sync();
    fs::remove_file(pair.studio("x")).unwrap();
    write(pair.studio("x/now/a"), "folder");
    fs::remove_dir_all(pair.server("y")).unwrap();
    write(pair.server("y"), "a file");
    pair.sync();
    assert_eq!(read(pair.server("x/now/a")), "folder");
    assert_eq!(read(pair.studio("y")), "a file");
    pair.assert_settled();
    write(pair.server("z"), "file");
    write(pair.studio("z/a"), "folder");
    let outcome = pair.sync();
    assert_eq!(outcome.conflicts[0].kind, ConflictKind::Kind);
    pair.sync_with(&keep("z", Keep::Both));
    assert_eq!(read(pair.server("z/a")), "folder");
    pair.assert_settled();
}

#[test]
fn the_executable_bit_and_the_content_may_change_apart() {
    let pair = Pair::new();
    write(pair.server("a"), "before");
    pair.sync();
    set_executable(pair.server("a"), true);
    write(pair.studio("a"), "after");
    let outcome = pair.sync();
    assert!(outcome.conflicts.is_empty());
    assert_eq!(read(pair.server("a")), "after");
    assert_eq!(fs::metadata(pair.studio("a")).unwrap().mode() & 0o100, 0o100);
    assert_eq!(fs::metadata(pair.server("a")).unwrap().mode() & 0o100, 0o100);
    pair.assert_settled();
}

#[test]
fn without_an_agreed_state_nothing_is_deleted() {
    let mut pair = Pair::new();
    write(pair.server("a"), "a");
    write(pair.server("b"), "b");
    pair.sync();
    // Another pod, whose folder is not filled yet.
    fs::remove_dir_all(pair.studio("")).unwrap();
    write(pair.studio("c"), "c");
    pair.identity = "pod-2".to_owned();
    let outcome = pair.sync();
    assert!(outcome.questions.is_empty());
    assert_eq!(tree(&pair.server("")).len(), 3);
    pair.assert_settled();
    // The same pod, but its folder was made anew.
    fs::rename(pair.studio(""), pair.folder.path().join("aside")).unwrap();
    fs::create_dir(pair.studio("")).unwrap();
    pair.sync();
    assert_eq!(tree(&pair.studio("")).len(), 3);
    // The studio forgot everything.
    fs::remove_dir_all(pair.folder.path().join("studio.state")).unwrap();
    fs::remove_file(pair.studio("a")).unwrap();
    pair.sync();
    assert_eq!(read(pair.studio("a")), "a");
}

#[test]
fn mass_deletions_ask_and_both_answers_work() {
    let fill = |pair: &Pair| {
        for number in 0..150 {
            write(pair.server(&format!("{number}")), format!("content {number}"));
        }
        pair.sync();
        for number in 0..130 {
            fs::remove_file(pair.studio(&format!("{number}"))).unwrap();
        }
        write(pair.studio("new"), "new");
    };
    let pair = Pair::new();
    fill(&pair);
    let outcome = pair.sync();
    let question = &outcome.questions[0];
    assert_eq!((question.lost_by, question.deletions, question.of), (Side::Studio, 130, 150));
    assert_eq!(tree(&pair.server("")).len(), 151, "nothing is deleted, the rest flows");
    let allow = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
    assert!(pair.sync_with(&allow).questions.is_empty());
    assert_eq!(tree(&pair.server("")).len(), 21);
    assert_eq!(pair.trash().len(), 130);
    pair.assert_settled();

    let pair = Pair::new();
    fill(&pair);
    let restore = Request { on_mass_deletion: OnMassDeletion::Restore, ..Request::default() };
    pair.sync_with(&restore);
    assert_eq!(tree(&pair.studio("")).len(), 151);
    pair.assert_settled();

    let pair = Pair::new();
    for name in ["a", "b", "c"] {
        write(pair.server(name), name);
    }
    pair.sync();
    for name in ["a", "b", "c"] {
        fs::remove_file(pair.server(name)).unwrap();
    }
    assert_eq!(pair.sync().questions[0].lost_by, Side::Server, "an emptied mount asks");
    assert_eq!(tree(&pair.studio("")).len(), 3);
}

#[test]
fn one_direction_moves_only_its_changes() {
    let pair = Pair::new();
    write(pair.server("a"), "a");
    write(pair.server("b"), "b");
    pair.sync();
    write(pair.server("a"), "a on the server");
    write(pair.studio("b"), "b in the studio");
    let only = |direction| Request { direction, ..Request::default() };
    let check = pair.sync_with(&only(Direction::Check));
    assert_eq!((check.server_changes.len(), check.studio_changes.len()), (1, 1));
    assert_eq!(check.server_changes[0].kind, ChangeKind::Modified);
    assert_eq!(read(pair.studio("a")), "a", "a check moves nothing");
    pair.sync_with(&only(Direction::ToServer));
    assert_eq!(
        (read(pair.server("b")), read(pair.studio("a"))),
        ("b in the studio".into(), "a".into())
    );
    write(pair.studio("b"), "b once more");
    pair.sync_with(&only(Direction::ToStudio));
    assert_eq!(read(pair.studio("a")), "a on the server");
    assert_eq!(read(pair.server("b")), "b in the studio");
    pair.sync();
    pair.assert_settled();
}

#[test]
fn stopping_keeps_both_and_stopping_again_adds_no_copies() {
    let pair = Pair::new();
    write(pair.server("a"), "before");
    pair.sync();
    write(pair.server("a"), "server's");
    write(pair.studio("a"), "studio's");
    let stop = Request {
        direction: Direction::ToServer,
        on_conflict: OnConflict::KeepBoth,
        ..Request::default()
    };
    assert_eq!(pair.sync_with(&stop).kept_both.len(), 1);
    pair.sync_with(&stop);
    let contents: Vec<_> = tree(&pair.server("")).into_keys().collect();
    assert_eq!(contents.len(), 2, "{contents:?}");
    assert_eq!(read(pair.server("a")), "server's");
    assert_eq!(read(pair.studio("a")), "studio's");
}

#[test]
fn one_way_never_comes_back() {
    let mut pair = Pair::new();
    pair.one_way = true;
    write(pair.server("a"), "a");
    write(pair.server("b"), "b");
    pair.sync();
    write(pair.studio("a"), "mine");
    write(pair.studio("new"), "mine too");
    fs::remove_file(pair.studio("b")).unwrap();
    let before = tree(&pair.server(""));
    pair.sync();
    pair.sync_with(&keep("a", Keep::Studio));
    assert_eq!(tree(&pair.server("")), before);
    assert_eq!(read(pair.studio("a")), "mine");
    write(pair.server("a"), "newer");
    assert_eq!(pair.sync().conflicts.len(), 1);
    pair.sync_with(&keep("a", Keep::Both));
    assert_eq!(read(pair.studio("a")), "newer");
    assert_eq!(tree(&pair.server("")).len(), 2);
    assert!(tree(&pair.studio("")).len() >= 3, "the user's version is kept beside it");
}

#[test]
fn excluded_is_never_sent_overwritten_nor_deleted() {
    let mut pair = Pair::new();
    write(pair.server("kept/data.tmp"), "server's own");
    write(pair.server("file"), "x");
    pair.exclusions = vec!["*.tmp".to_owned(), "cache/".to_owned()];
    write(pair.studio("kept/data.tmp"), "studio's own");
    write(pair.studio("cache/deep/x"), "cached");
    pair.sync();
    assert_eq!(read(pair.server("kept/data.tmp")), "server's own");
    assert_eq!(read(pair.studio("kept/data.tmp")), "studio's own");
    assert!(!pair.server("cache").exists());
    // The folder goes on the server; what is excluded in the studio's stays.
    fs::remove_dir_all(pair.server("kept")).unwrap();
    pair.sync();
    assert_eq!(read(pair.studio("kept/data.tmp")), "studio's own");
    // A file that is excluded later stays on both sides.
    pair.exclusions.push("file".to_owned());
    fs::remove_file(pair.studio("file")).unwrap();
    pair.sync();
    assert_eq!(read(pair.server("file")), "x");
}

#[test]
fn sockets_are_skipped_and_reported() {
    let pair = Pair::new();
    let _socket = UnixListener::bind(pair.studio("socket")).unwrap();
    write(pair.studio("file"), "x");
    let outcome = pair.sync();
    assert_eq!(outcome.skipped[0].path, path("socket"));
    assert!(outcome.skipped[0].reason.contains("socket"));
    assert_eq!(read(pair.server("file")), "x");
}

#[test]
fn the_users_content_can_be_fetched_for_a_diff() {
    let pair = Pair::new();
    write(pair.studio("a"), "studio's");
    let request =
        Request { direction: Direction::Check, fetch: vec![path("a")], ..Request::default() };
    let outcome = pair.sync_with(&request);
    assert_eq!(outcome.fetched, [(path("a"), b"studio's".to_vec())]);
    assert!(!pair.server("a").exists());
}

/// A slow `rm -rf` under live synchronisations, each of which sees little of it.
#[test]
fn deletions_of_many_runs_are_counted_together() {
    let pair = Pair::new();
    for number in 0..200 {
        write(pair.server(&format!("{number}")), format!("{number}"));
    }
    pair.sync();
    let mut request = Request::default();
    for number in 0..200 {
        // What has only moved is not lost.
        let (from, to) = (pair.studio(&format!("{number}")), pair.studio(&format!("x{number}")));
        if number % 2 == 0 {
            fs::rename(from, to).unwrap();
        } else {
            fs::remove_file(from).unwrap();
        }
        let outcome = pair.sync_with(&request);
        assert!(outcome.questions.is_empty(), "{number}: {:?}", outcome.questions);
        request.lost_before.by_studio += outcome.losses.by_studio;
    }
    assert_eq!(request.lost_before.by_studio, 100);
    fs::remove_file(pair.studio("x0")).unwrap();
    let outcome = pair.sync_with(&request);
    let question = &outcome.questions[0];
    assert_eq!((question.deletions, question.before, question.of), (101, 100, 200));
    assert_eq!(outcome.losses.by_studio, 0, "nothing was deleted");
    assert!(pair.server("x0").exists());
    assert!(pair.sync().questions.is_empty(), "nobody said that anything went before");
    assert!(!pair.server("x0").exists());
}

/// Where nothing may be changed in the studio, such as at a stop, the server gets the merge, and the studio has what it had.
#[test]
fn a_content_that_somebody_made_of_both_reaches_the_side_that_may_be_changed() {
    let pair = Pair::new();
    write(pair.server("a"), "base");
    pair.sync();
    write(pair.server("a"), "the server's");
    write(pair.studio("a"), "the studio's");
    let token = pair.sync().conflicts[0].token;
    let resolution = Resolution {
        path: path("a"),
        keep: Keep::Content(b"of both".to_vec()),
        expect: Some(token),
    };
    let outcome = pair.sync_with(&Request {
        direction: Direction::ToServer,
        resolutions: vec![resolution],
        ..Request::default()
    });
    assert!(outcome.conflicts.is_empty());
    assert_eq!(read(pair.server("a")), "of both");
    assert_eq!(read(pair.studio("a")), "the studio's");
    // Nothing is agreed: the next run sees two versions, and loses neither.
    assert_eq!(pair.sync().conflicts.len(), 1);
    assert_eq!(read(pair.server("a")), "of both");
    assert_eq!(read(pair.studio("a")), "the studio's");
}
