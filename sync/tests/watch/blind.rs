//! Who can't see says so, and looks at everything.

#![expect(clippy::disallowed_methods, reason = "a process with a limit of its own")]

use std::{
    env, fs,
    process::Command,
    sync::{Arc, Mutex},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sync::{Sight, Watch};

use crate::{
    assert_nothing_was_missed,
    common::{Pair, read, write},
    full_looks, sights, watched,
};

const CHILD: &str = "ATELIER_TEST_WATCHES";

fn reason(pair: &Pair) -> String {
    match sights(pair) {
        [_, Sight::Blind { reason }] | [Sight::Blind { reason }, _] => reason,
        other => panic!("{other:?}"),
    }
}

/// Runs one test of this program again where the kernel grants so many of something.
fn with_limit(limit: &str, most: u32, test: &str) {
    let set = format!("echo {most} > /proc/sys/user/{limit} && exec \"$@\"");
    let done = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &set, "sh"])
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        done.status.success() && String::from_utf8_lossy(&done.stdout).contains("1 passed"),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn seafile_3042_watches_exhausted_yet_synchronised() {
    if env::var_os(CHILD).is_none() {
        return with_limit(
            "max_inotify_watches",
            30,
            "blind::seafile_3042_watches_exhausted_yet_synchronised",
        );
    }
    let mut pair = watched(Pair::new());
    for number in 0..10 {
        write(pair.server(&format!("{number}/file")), "before");
    }
    pair.sync();
    pair.sync();
    assert_eq!(sights(&pair), [Sight::Watching { folders: 11 }, Sight::Watching { folders: 11 }]);
    // Two sides with 31 folders each are too many for 30.
    for number in 10..30 {
        write(pair.studio(&format!("{number}/file")), "more");
    }
    pair.sync();
    pair.sync();
    assert!(reason(&pair).contains("max_user_watches"), "{}", reason(&pair));
    for number in 0..30 {
        write(pair.studio(&format!("{number}/file")), format!("after {number}"));
        pair.sync();
        assert_eq!(read(pair.server(&format!("{number}/file"))), format!("after {number}"));
    }
    assert_nothing_was_missed(&mut pair);
}

#[test]
fn without_a_watcher_everything_is_looked_at() {
    if env::var_os(CHILD).is_none() {
        return with_limit(
            "max_inotify_instances",
            1,
            "blind::without_a_watcher_everything_is_looked_at",
        );
    }
    let mut pair = watched(Pair::new());
    for number in 0..5 {
        write(pair.studio("d/file"), number.to_string());
        pair.sync();
        assert_eq!(read(pair.server("d/file")), number.to_string());
    }
    assert!(reason(&pair).contains("max_user_instances"), "{}", reason(&pair));
    assert_nothing_was_missed(&mut pair);
}

#[test]
fn an_overflow_is_a_reason_to_look_at_everything_once() {
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let mut pair = watched(Pair::in_memory());
    // As if the watcher never got its turn.
    let gate = Arc::new(Mutex::new(()));
    let behind = Arc::clone(&gate);
    pair.studio_watch = Some(Arc::new(Watch::new(move || drop(behind.lock().unwrap()))));
    write(pair.studio("one/file"), "x");
    write(pair.studio("other/file"), "x");
    pair.sync();
    pair.sync();
    let before = full_looks(&pair);
    let closed = gate.lock().unwrap();
    // In turn, since the same event twice is told once.
    for number in 0..limit {
        write(pair.studio("one/file"), number.to_string());
        write(pair.studio("other/file"), number.to_string());
    }
    write(pair.studio("new/file"), "in a folder that nobody told of");
    drop(closed);
    pair.sync();
    assert_eq!(read(pair.server("new/file")), "in a folder that nobody told of");
    assert_eq!(full_looks(&pair), before + 1);
    pair.sync();
    assert_eq!(full_looks(&pair), before + 1, "it sees again");
    assert!(matches!(sights(&pair), [Sight::Watching { .. }, Sight::Watching { .. }]));
    assert_nothing_was_missed(&mut pair);
}

#[test]
fn a_file_system_that_is_mounted_inside_is_not_missed() {
    let pair = watched(Pair::new());
    write(pair.server("file"), "x");
    fs::create_dir(pair.server("inside")).unwrap();
    pair.sync();
    pair.sync();
    let inside = pair.studio("inside");
    let mounted = mount("tmpfs", &inside, "tmpfs", MountFlags::empty(), None);
    if let Err(error) = mounted {
        // Without the right to mount there is nothing to be seen, and nobody in a studio can do it either.
        assert_eq!(error, rustix::io::Errno::PERM);
        return;
    }
    write(inside.join("new"), "in another file system");
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pair.sync();
        assert_eq!(read(pair.server("inside/new")), "in another file system");
        assert!(reason(&pair).contains("mounted inside"), "{}", reason(&pair));
    }));
    unmount(&inside, UnmountFlags::DETACH).unwrap();
    done.unwrap();
    pair.sync();
}
