//! How cost grows: `growth <entries|file> <folder> <number|MiB> <first|again|changed>`, a line of JSON. Both ends of the engine in one
//! process, one process a case, so that none has the memory of another; the cases go one after the other over the same folder.
//! `make bench-growth` draws it.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch that prints")]

mod support;

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Instant,
};

use support::{source, synchronise};

/// Files of one folder.
const FOLDER_FILES: usize = 10;
const MIB: usize = 1 << 20;

/// Most memory that the process had so far, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("told");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

fn measure(kind: &str, size: usize, case: &str, folder: &Path) {
    rustix::fs::sync();
    let began = Instant::now();
    let outcome = synchronise(folder);
    let bytes = outcome.stats.bytes_received + outcome.stats.bytes_sent;
    println!(
        "{{\"kind\": \"{kind}\", \"size\": {size}, \"case\": \"{case}\", \"wall_s\": {:.4}, \"bytes\": {bytes}, \"peak_mib\": {}}}",
        began.elapsed().as_secs_f64(),
        peak_mib(),
    );
}

fn path(number: usize) -> String {
    let parent = number / FOLDER_FILES;
    format!("m{}/p{}/file_{number}.rs", parent / 100, parent)
}

fn make_entries(studio: &Path, files: usize) {
    for number in 0..files {
        let path = studio.join(path(number));
        if number % FOLDER_FILES == 0 {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        }
        fs::write(path, source(number)).expect("written");
    }
}

/// One of a hundred.
fn edit_entries(studio: &Path, files: usize) {
    for number in (0..files).step_by(100) {
        let mut file = File::options().append(true).open(studio.join(path(number))).expect("there");
        file.write_all(b"// edited\n").expect("written");
    }
}

fn make_file(studio: &Path, mib: usize) {
    fs::create_dir_all(studio).expect("made");
    let file = File::create(studio.join("large")).expect("made");
    let mut state = 1_u64;
    let mut piece = vec![0; MIB];
    for at in 0..mib {
        for word in piece.as_chunks_mut::<8>().0 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word = state.to_le_bytes();
        }
        file.write_all_at(&piece, (at * MIB) as u64).expect("written");
    }
}

/// One byte.
fn edit_file(studio: &Path, mib: usize) {
    let file = File::options().write(true).open(studio.join("large")).expect("there");
    file.write_all_at(b"!", (mib * MIB / 2) as u64).expect("written");
}

/// Of a size, below a folder.
type Act = fn(&Path, usize);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, folder, size, case] = arguments.as_slice() else {
        panic!("growth entries|file <folder> <number|MiB> first|again|changed");
    };
    let (folder, size) = (Path::new(folder), size.parse().expect("a number"));
    let studio = folder.join("studio");
    let (make, edit, edited): (Act, Act, _) = match kind.as_str() {
        "entries" => (make_entries, edit_entries, "one of a hundred edited"),
        "file" => (make_file, edit_file, "one byte changed"),
        other => panic!("{other}?"),
    };
    match case.as_str() {
        "first" => {
            make(&studio, size);
            measure(kind, size, "first copy", folder);
            // What was written in the last moment is read once more.
            synchronise(folder);
        }
        "again" => measure(kind, size, "nothing changed", folder),
        "changed" => {
            edit(&studio, size);
            measure(kind, size, edited, folder);
        }
        other => panic!("{other}?"),
    }
}
