//! What a run takes, and what it does when there is no more.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{
    fs,
    io::Write,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use common::{Pair, is_long, noise, read, write};

/// One test measures at a time.
static MEASURING: Mutex<()> = Mutex::new(());

/// The most memory that this process had since the last call of [`from_now_on`], or ever; in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn from_now_on() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Both sides in one process.
#[test]
fn a_first_copy_needs_the_memory_of_a_few_batches() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let peak = |files: u64| {
        let pair = Pair::in_memory();
        for number in 0..files {
            write(pair.server(&format!("{}/{number:0100}", number % 100)), number.to_string());
        }
        from_now_on();
        pair.sync();
        let peak = peak_mib();
        pair.assert_settled();
        peak
    };
    // Four batches, and eleven; of each file but those on their way only its name is kept.
    let (few, many) = (peak(30_000), peak(90_000));
    let a_file = many.saturating_sub(few) * (1 << 20) / 60_000;
    assert!(a_file < 1_200, "{few} MiB, {many} MiB: {a_file} bytes a file");
}

/// Both sides in one process: so each has less than the half. `ATELIER_LONG=1`: 5 GiB instead of 384 MiB.
#[test]
fn memory_is_flat_in_the_size_of_files() {
    let mib: u64 = if is_long() { 5 << 10 } else { 384 };
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    from_now_on();
    let pair = Pair::new();
    let mut file = fs::File::create(pair.studio("large")).unwrap();
    for number in 0..mib {
        file.write_all(&noise(1 << 20, number)).unwrap();
    }
    file.sync_all().unwrap();
    let before = peak_mib();
    pair.sync();
    assert_eq!(fs::metadata(pair.server("large")).unwrap().len(), mib << 20);
    file.write_all_at(b"x", (mib << 20) / 2).unwrap();
    let outcome = pair.sync();
    assert!(outcome.stats.bytes_received < 200_000, "{}", outcome.stats.bytes_received);
    let peak = peak_mib();
    assert!(peak < 160, "{before} MiB before, {peak} MiB after");
    pair.assert_settled();
}

/// A real full disk, where the machine lets us make a small one.
#[test]
fn a_really_full_disk_fails_one_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mount = rustix::mount::mount(
        "tmpfs",
        folder.path(),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"size=12m"),
    );
    if mount.is_err() {
        println!("skipped: only root can mount a small disk");
        return;
    }
    let at = folder.path().to_path_buf();
    let inner = tempfile::tempdir_in(&at).unwrap();
    let pair = Pair::within(inner);
    write(pair.studio("small"), "small");
    pair.sync();
    // Fills what is left; a file of 3 MiB in the studio finds no room in the zone.
    write(pair.studio("large"), noise(3 << 20, 1));
    let mut filler = fs::File::create(at.join("filler")).unwrap();
    let piece = vec![1; 64 << 10];
    while filler.write_all(&piece).is_ok() {}
    let freed = fs::metadata(at.join("filler")).unwrap().len() - (1 << 20);
    filler.set_len(freed).unwrap();
    let (outcome, _) = pair.try_sync(&sync::Request::default());
    if let Ok(outcome) = outcome {
        let skipped = outcome.skipped.iter().find(|skipped| skipped.path.to_string() == "large");
        assert!(skipped.is_some_and(|skipped| skipped.reason.contains("No space")), "{outcome:?}");
    }
    assert!(!pair.server("large").exists());
    assert_eq!(read(pair.server("small")), "small");
    drop(filler);
    fs::remove_file(at.join("filler")).unwrap();
    pair.sync();
    assert!(fs::read(pair.server("large")).unwrap() == noise(3 << 20, 1));
    pair.assert_settled();
    drop(pair);
    rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH).unwrap();
}
