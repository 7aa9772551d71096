#![expect(clippy::disallowed_methods, reason = "tests start git, the judge, and a process to kill")]

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use futures_util::TryStreamExt as _;
use proptest::prelude::*;

use super::*;
use crate::clock::SystemClock;

fn zone(kind: &str) -> ZoneRef {
    match kind {
        "notebooks" => "project:DEMO:notebooks".parse().unwrap(),
        _ => "studio:abcdefgh:code_studio-resources".parse().unwrap(),
    }
}

fn path(text: &str) -> ZonePath {
    ZonePath::try_from(text.as_bytes()).unwrap()
}

fn zones(dir: &Path) -> LocalZones {
    LocalZones::new(dir.to_owned(), Arc::new(SystemClock))
}

fn new(content: &[u8]) -> NewContent {
    let pieces = vec![Ok(Bytes::copy_from_slice(content))];
    NewContent {
        bytes: futures_util::stream::iter(pieces).boxed(),
        executable: None,
        if_match: None,
        only_new: false,
    }
}

fn alice() -> Author {
    let studio = Some("abcdefgh".parse().unwrap());
    Author::user(&"alice".parse().unwrap(), "Alice <A>\n", "alice@example.org", studio)
}

async fn content(zones: &LocalZones, zone: &ZoneRef, at: &str) -> Vec<u8> {
    let content = zones.read(zone, &path(at), None).await.unwrap();
    content.bytes.try_collect::<Vec<_>>().await.unwrap().concat()
}

fn git(repo: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .arg("--git-dir")
        .arg(repo)
        .args(["-c", "core.quotePath=false", "-c", "safe.directory=*"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Git itself must find the repository sound, and its newest tree the same as the folder's.
fn judge(dir: &Path) {
    let owner = dir.join("project/DEMO");
    let repo = owner.join("notebooks.git");
    git(&repo, &["fsck", "--strict", "--no-dangling"]);
    let tree = git(&repo, &["rev-parse", "HEAD^{tree}"]);
    // Without filters, as the promise is.
    let index = dir.join("judge.index");
    drop(fs::remove_file(&index));
    let out = Command::new("git")
        .env("GIT_INDEX_FILE", &index)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .arg("--git-dir")
        .arg(&repo)
        .arg("--work-tree")
        .arg(owner.join("notebooks"))
        .args(["-c", "core.autocrlf=false", "-c", "safe.directory=*", "add", "-A", "-f", "."])
        .current_dir(owner.join("notebooks"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let out = Command::new("git")
        .env("GIT_INDEX_FILE", &index)
        .arg("--git-dir")
        .arg(&repo)
        .args(["-c", "safe.directory=*", "write-tree"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), tree);
}

#[tokio::test]
async fn a_change_is_a_commit_of_its_author() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("notebooks"));
    let written = zones.write(&zone, &path("a/b.ipynb"), new(b"one\n"), &alice()).await.unwrap();
    let first = written.commit.unwrap();
    assert_eq!(written.etag, blake3::hash(b"one\n").to_hex().to_string());
    zones.write(&zone, &path("a/b.ipynb"), new(b"two\n"), &alice()).await.unwrap();
    zones.write(&zone, &path("c"), new(b"c"), &alice()).await.unwrap();
    judge(dir.path());
    let repo = dir.path().join("project/DEMO/notebooks.git");
    let log = git(&repo, &["log", "--format=%an|%ae|%(trailers:key=Studio,valueonly)|%s"]);
    assert_eq!(log.lines().next(), Some("Alice A|alice@example.org|abcdefgh"));

    let history = zones.history(&zone, &path("a"), 10, None).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history.first().unwrap().studio.as_deref(), Some("abcdefgh"));
    let second = &history.first().unwrap().id;
    let (info, changes) = zones.commit_changes(&zone, second).await.unwrap();
    assert_eq!((info.files, changes.len()), (1, 1));
    let diff = changes.first().unwrap().diff.as_ref().unwrap();
    assert!(diff.contains("-one") && diff.contains("+two"), "{diff}");
    let old = zones.content_at(&zone, &first.id, &path("a/b.ipynb")).await.unwrap();
    assert_eq!(old, "one\n");

    zones.restore(&zone, &path("a"), &first.id, &alice()).await.unwrap().unwrap();
    assert_eq!(content(&zones, &zone, "a/b.ipynb").await, b"one\n");
    assert_eq!(content(&zones, &zone, "c").await, b"c");
    // Nothing to restore is no commit.
    assert_eq!(zones.restore(&zone, &path("a"), &first.id, &alice()).await.unwrap(), None);
    zones.restore(&zone, &ZonePath::default(), &first.id, &alice()).await.unwrap().unwrap();
    assert!(matches!(zones.stat(&zone, &path("c")).await, Err(ZoneError::NotFound { .. })));
    judge(dir.path());
    let missing = zones.content_at(&zone, &"0".repeat(40), &path("c")).await;
    assert!(matches!(missing, Err(ZoneError::NotFound { .. })));
}

#[tokio::test]
async fn what_is_replaced_or_deleted_comes_back_from_the_trash() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("resources"));
    zones.write(&zone, &path("d/f"), new(b"old"), &alice()).await.unwrap();
    zones.write(&zone, &path("d/f"), new(b"new"), &alice()).await.unwrap();
    let trash = zones.trash(&zone).await.unwrap();
    assert_eq!((trash.len(), trash.first().unwrap().size), (1, 3));
    let id = trash.first().unwrap().id.clone();
    let occupied = zones.restore_trash(&zone, &id, &alice()).await;
    assert!(matches!(occupied, Err(ZoneError::Exists { .. })), "{occupied:?}");
    zones.delete(&zone, &path("d"), None, &alice()).await.unwrap();
    assert_eq!(zones.restore_trash(&zone, &id, &alice()).await.unwrap(), path("d/f"));
    assert_eq!(content(&zones, &zone, "d/f").await, b"old");
    for hostile in ["../../x", "", "..", "no-such"] {
        let refused = zones.restore_trash(&zone, hostile, &alice()).await;
        assert!(matches!(refused, Err(ZoneError::NotFound { .. })), "{hostile}: {refused:?}");
    }
    assert!(matches!(
        zones.history(&zone, &ZonePath::default(), 1, None).await,
        Err(ZoneError::NotVersioned)
    ));
    let later = OffsetDateTime::now_utc() + time::Duration::days(1);
    zones.expire_trash(later).await.unwrap();
    assert!(zones.trash(&zone).await.unwrap().is_empty());
}

/// As a synchronisation leaves it.
#[tokio::test]
async fn a_folder_that_went_as_a_whole_comes_back_in_parts_or_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("resources"));
    let trash = zones.folders(&zone).await.unwrap().trash;
    let batch = trash.join("1700000000-run-0");
    fs::create_dir_all(batch.join("run-1/in/ä~~b")).unwrap();
    fs::write(batch.join("run-1/in/ä~~b/f"), "one").unwrap();
    fs::write(batch.join("run-1/in/g"), "other").unwrap();
    let note = r#"{"thing":"run-1","path":"d2VudA==","deleted_at_s":1700000000,"reason":"test"}"#;
    fs::write(batch.join("notes"), format!("{note}\n")).unwrap();
    let items = zones.trash(&zone).await.unwrap();
    let [item] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((&item.path, item.size), (&path("went"), 8));
    for hostile in ["", "..", "in/../../..", "/in", "in/none", "in/g/x"] {
        let id = format!("{}~~{hostile}", item.id);
        let refused = zones.restore_trash(&zone, &id, &alice()).await;
        assert!(refused.is_err(), "{hostile}: {refused:?}");
    }
    assert_eq!(item.kind, FileKind::Folder);
    let inside = zones.trash_in(&zone, &item.id).await.unwrap();
    let [inner] = inside.as_slice() else { panic!("{inside:?}") };
    assert_eq!((&inner.path, inner.kind, inner.size), (&path("went/in"), FileKind::Folder, 8));
    let inside = zones.trash_in(&zone, &inner.id).await.unwrap();
    let told: Vec<_> = inside.iter().map(|it| (&it.path, it.kind, it.size)).collect();
    assert_eq!(
        told,
        [(&path("went/in/g"), FileKind::File, 5), (&path("went/in/ä~~b"), FileKind::Folder, 3)]
    );
    let one = format!("{}~~in/ä~~b/f", item.id);
    let no_folder = zones.trash_in(&zone, &one).await;
    assert!(matches!(no_folder, Err(ZoneError::WrongKind { .. })), "{no_folder:?}");
    let gone = zones.trash_in(&zone, "1-none").await;
    assert!(matches!(gone, Err(ZoneError::NotFound { .. })), "{gone:?}");
    let back = zones.restore_trash(&zone, &one, &alice()).await.unwrap();
    assert_eq!(back, path("went/in/ä~~b/f"));
    assert_eq!(content(&zones, &zone, "went/in/ä~~b/f").await, b"one");
    let whole = zones.restore_trash(&zone, &item.id, &alice()).await;
    assert!(matches!(whole, Err(ZoneError::Exists { .. })), "{whole:?}");
    zones.delete(&zone, &path("went"), None, &alice()).await.unwrap();
    zones.restore_trash(&zone, &item.id, &alice()).await.unwrap();
    assert_eq!(content(&zones, &zone, "went/in/g").await, b"other");
}

/// Somebody's own deletion, with a name that is no text in it.
#[tokio::test]
async fn what_is_in_a_deleted_folder_is_listed_and_comes_back_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("resources"));
    let odd = ZonePath::try_from(&b"d/\xff"[..]).unwrap();
    for (file, content) in [(&path("d/f"), "one"), (&odd, "odd"), (&path("d/g"), "other")] {
        zones.write(&zone, file, new(content.as_bytes()), &alice()).await.unwrap();
    }
    zones.delete(&zone, &path("d"), None, &alice()).await.unwrap();
    let item = zones.trash(&zone).await.unwrap().remove(0);
    for file in [path("d/f"), odd] {
        let inside = zones.trash_in(&zone, &item.id).await.unwrap();
        let found = inside.iter().find(|it| it.path == file).unwrap();
        assert_eq!(zones.restore_trash(&zone, &found.id, &alice()).await.unwrap(), file);
    }
    assert_eq!(content(&zones, &zone, "d/f").await, b"one");
    let left = zones.trash_in(&zone, &item.id).await.unwrap();
    assert_eq!(left.iter().map(|it| &it.path).collect::<Vec<_>>(), [&path("d/g")]);
}

/// As a synchronisation leaves it.
fn displaced(trash: &Path, batch: &str, at_s: i64, reason: &str, files: &[(&str, &str)]) {
    let batch = trash.join(batch);
    fs::create_dir_all(&batch).unwrap();
    let notes = files.iter().enumerate().map(|(number, (path, content))| {
        let thing = format!("t-{number}");
        fs::write(batch.join(&thing), content).unwrap();
        let path = data_encoding::BASE64.encode(path.as_bytes());
        format!("{{\"thing\":\"{thing}\",\"path\":\"{path}\",\"deleted_at_s\":{at_s},\"reason\":\"{reason}\"}}\n")
    });
    fs::write(batch.join("notes"), notes.collect::<String>()).unwrap();
}

#[tokio::test]
async fn deletions_of_a_time_come_back_where_nothing_has_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("resources"));
    let trash = zones.folders(&zone).await.unwrap().trash;
    let deleted = "deleted on the other side";
    displaced(&trash, "100-a", 100, deleted, &[("m/before", "x")]);
    displaced(
        &trash,
        "200-a",
        200,
        deleted,
        &[("m/f", "old"), ("m/d/e", "e"), ("other", "x"), ("m/taken", "x")],
    );
    displaced(&trash, "201-a", 201, "replaced by the other side's version", &[("m/replaced", "x")]);
    displaced(&trash, "202-a", 202, deleted, &[("m/f", "new")]);
    displaced(&trash, "203-a", 203, deleted, &[("m/after", "x")]);
    let batch = trash.join("201-b");
    fs::create_dir_all(batch.join("t-0/in")).unwrap();
    fs::write(batch.join("t-0/in/g"), "g").unwrap();
    fs::write(batch.join("t-0/taken"), "x").unwrap();
    let note = r#"{"thing":"t-0","path":"bS90cmVl","deleted_at_s":201,"reason":"deleted on the other side"}"#;
    fs::write(batch.join("notes"), format!("{note}\n")).unwrap();
    for there in ["m/taken", "m/tree/taken"] {
        zones.write(&zone, &path(there), new(b"kept"), &alice()).await.unwrap();
    }
    let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
    let deletions =
        Deletions { below: path("m"), since: at(200), until: at(202), by_people: false };
    let guard = zones.lock(&zone).await.unwrap();
    let back = zones.bring_back(&guard, &zone, deletions.clone()).await.unwrap();
    drop(guard);
    assert_eq!(back, 3, "m/f, m/d/e and m/tree/in/g");
    for (file, wanted) in [
        ("m/f", "new"),
        ("m/d/e", "e"),
        ("m/tree/in/g", "g"),
        ("m/taken", "kept"),
        ("m/tree/taken", "kept"),
    ] {
        assert_eq!(content(&zones, &zone, file).await, wanted.as_bytes(), "{file}");
    }
    for absent in ["m/before", "m/after", "m/replaced", "other"] {
        let found = zones.stat(&zone, &path(absent)).await;
        assert!(matches!(found, Err(ZoneError::NotFound { .. })), "{absent}: {found:?}");
    }
    // What people deleted on the server comes back where that was asked for.
    zones.delete(&zone, &path("m/f"), None, &alice()).await.unwrap();
    let now = OffsetDateTime::now_utc();
    for (by_people, wanted) in [(false, 0), (true, 1)] {
        let since = now - time::Duration::minutes(1);
        let until = now + time::Duration::minutes(1);
        let guard = zones.lock(&zone).await.unwrap();
        let deletions = Deletions { since, until, by_people, ..deletions.clone() };
        assert_eq!(zones.bring_back(&guard, &zone, deletions).await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn a_version_that_the_caller_did_not_see_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (zones, zone) = (zones(dir.path()), zone("notebooks"));
    let first = zones.write(&zone, &path("f"), new(b"1"), &alice()).await.unwrap().etag;
    zones.write(&zone, &path("f"), new(b"2"), &alice()).await.unwrap();
    let stale = NewContent { if_match: Some(first.clone()), ..new(b"3") };
    let refused = zones.write(&zone, &path("f"), stale, &alice()).await;
    assert!(matches!(refused, Err(ZoneError::Changed { .. })), "{refused:?}");
    let refused = zones.delete(&zone, &path("f"), Some(&first), &alice()).await;
    assert!(matches!(refused, Err(ZoneError::Changed { .. })), "{refused:?}");
    let only_new = NewContent { only_new: true, ..new(b"3") };
    let refused = zones.write(&zone, &path("f"), only_new, &alice()).await;
    assert!(matches!(refused, Err(ZoneError::Exists { .. })), "{refused:?}");
    assert_eq!(content(&zones, &zone, "f").await, b"2");
    let range = zones.read(&zone, &path("f"), Some(Range { from: 1, length: 0 })).await.unwrap();
    assert!(range.bytes.try_collect::<Vec<_>>().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_link_is_no_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let (zones, zone) = (zones(dir.path()), zone("notebooks"));
    let root = zones.folders(&zone).await.unwrap().root;
    symlink(outside.path(), root.join("way")).unwrap();
    symlink(outside.path().join("secret"), root.join("file")).unwrap();
    assert!(zones.read(&zone, &path("way/secret"), None).await.is_err());
    assert!(zones.read(&zone, &path("file"), None).await.is_err());
    assert!(zones.write(&zone, &path("way/new"), new(b"x"), &alice()).await.is_err());
    assert!(zones.delete(&zone, &path("way/secret"), None, &alice()).await.is_err());
    assert!(zones.list(&zone, &path("way")).await.is_err());
    assert!(zones.create_folder(&zone, &path("way/sub")).await.is_err());
    // Replacing the link itself is fine, and leaves its target alone.
    zones.write(&zone, &path("file"), new(b"mine"), &alice()).await.unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    judge(dir.path());
}

#[tokio::test]
async fn what_a_crash_or_a_hand_left_is_committed_by_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let zone = zone("notebooks");
    let folders = zones(dir.path()).folders(&zone).await.unwrap();
    fs::write(folders.root.join("by-hand"), "x").unwrap();
    fs::create_dir_all(folders.root.join("nested/.git")).unwrap();
    fs::write(folders.root.join("nested/.git/HEAD"), "not ours").unwrap();
    fs::create_dir(folders.root.join("empty")).unwrap();
    let stage = dir.path().join("project/DEMO/notebooks.stage");
    fs::write(stage.join("displaced"), "the only copy").unwrap();
    let zones = zones(dir.path());
    drop(zones.lock(&zone).await.unwrap());
    let history = zones.history(&zone, &ZonePath::default(), 10, None).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history.first().unwrap().author, "Atelier server");
    let repo = dir.path().join("project/DEMO/notebooks.git");
    assert_eq!(git(&repo, &["ls-tree", "-r", "--name-only", "HEAD"]), "by-hand\n");
    assert_eq!(zones.trash(&zone).await.unwrap().len(), 1);
    drop(zones.lock(&zone).await.unwrap());
    assert_eq!(zones.history(&zone, &ZonePath::default(), 10, None).await.unwrap().len(), 1);
}

const CHILD: &str = "ATELIER_TEST_ZONES";

/// Writes for ever where it is told to; does nothing as a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let (zones, zone) = (zones(Path::new(&dir)), zone("notebooks"));
    for round in 0_u32.. {
        let content = format!("{round}\n").repeat(1 + round as usize % 5_000);
        let at = format!("f{}/{}", round % 3, round % 7);
        zones.write(&zone, &path(&at), new(content.as_bytes()), &alice()).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_a_sound_zone() {
    let dir = tempfile::tempdir().unwrap();
    let zone = zone("notebooks");
    let rounds = if std::env::var_os("ATELIER_LONG").is_some() { 100 } else { 4 };
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "zones::local::tests::child_that_writes"])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut last, mut seen) = (newest(dir.path()), 0);
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while seen < 3 + round % 3 {
            assert!(std::time::Instant::now() < deadline, "the child does not write");
            let now = newest(dir.path());
            seen += u32::from(now != last);
            last = now;
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let zones = zones(dir.path());
        drop(zones.lock(&zone).await.unwrap());
        judge(dir.path());
        for folder in zones.list(&zone, &ZonePath::default()).await.unwrap() {
            for file in zones.list(&zone, &folder.path).await.unwrap() {
                let text = content(&zones, &zone, &file.path.to_string()).await;
                let text = String::from_utf8(text).unwrap();
                let mut lines = text.lines();
                let number = lines.next().unwrap();
                assert!(lines.all(|line| line == number), "{} is torn", file.path);
                let times = 1 + number.parse::<usize>().unwrap() % 5_000;
                assert_eq!(text.len(), (number.len() + 1) * times, "{} is cut", file.path);
            }
        }
    }
}

/// The newest commit, if there is one.
fn newest(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join("project/DEMO/notebooks.git/refs/heads/main")).ok()
}

#[derive(Debug, Clone)]
enum Edit {
    Write(Vec<u8>, Vec<u8>, bool),
    Link(Vec<u8>),
    Remove(Vec<u8>),
    Commit,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"a.b".to_vec()),
        Just(b"a-b".to_vec()),
        Just(b"dir".to_vec()),
        Just(b"\xff\xfe".to_vec()),
        Just(b"new\nline \"quote\"".to_vec()),
    ];
    prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(&b'/'))
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (name(), prop::collection::vec(any::<u8>(), 0..40), any::<bool>())
            .prop_map(|(name, content, executable)| Edit::Write(name, content, executable)),
        1 => name().prop_map(Edit::Link),
        2 => name().prop_map(Edit::Remove),
        2 => Just(Edit::Commit),
    ]
}

fn apply(root: &Path, edit: &Edit) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let at = |name: &[u8]| root.join(std::ffi::OsStr::from_bytes(name));
    match edit {
        Edit::Write(name, content, executable) => {
            let at = at(name);
            fs::create_dir_all(at.parent().unwrap())?;
            fs::write(&at, content)?;
            let mode = if *executable { 0o755 } else { 0o644 };
            fs::set_permissions(&at, fs::Permissions::from_mode(mode))
        }
        Edit::Link(name) => symlink("../any where", at(name)),
        Edit::Remove(name) if at(name).is_dir() => fs::remove_dir_all(at(name)),
        Edit::Remove(name) => fs::remove_file(at(name)),
        Edit::Commit => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_tree_is_what_git_would_make(edits in prop::collection::vec(edit(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (zones, zone) = (zones(dir.path()), zone("notebooks"));
        runtime.block_on(async {
            let root = zones.folders(&zone).await.unwrap().root;
            zones.write(&zone, &path("first"), new(b"x"), &alice()).await.unwrap();
            for edit in &edits {
                // What can't be done, such as a file below a file, is no edit.
                drop(apply(&root, edit));
                if matches!(edit, Edit::Commit) {
                    let guard = zones.lock(&zone).await.unwrap();
                    zones.commit(&guard, &zone, &alice(), "By hand").await.unwrap();
                }
            }
            drop(zones.lock(&zone).await.unwrap());
            judge(dir.path());
        });
    }
}
