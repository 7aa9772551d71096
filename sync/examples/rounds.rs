//! Times both ends of the engine in one process, without a network: `rounds <folder> [files]`. For profiles; `make bench-sync`
//! measures the product.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a stopwatch that prints"
)]

mod support;

use std::{fs, path::Path};

use support::{Watches, source};

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("written");
}

fn main() {
    let timed = |case: &str, folder: &Path| support::timed(case, folder, &Watches::default());
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("rounds <folder> [files]");
    let folder = Path::new(&folder);
    let files: usize = arguments.next().map_or(100_000, |count| count.parse().expect("a number"));
    let zone = folder.join("zone");
    let studio = folder.join("studio");
    if !zone.exists() {
        for number in 0..files {
            let parent =
                zone.join(format!("m{:02}/p{:04}", number / (files / 40 + 1), number / 10));
            fs::create_dir_all(&parent).expect("made");
            write(&parent.join(format!("file_{number}.rs")), source(number).as_bytes());
        }
    }
    if !studio.exists() {
        timed("first", folder);
    }
    if std::env::var_os("ONLY_FIRST").is_some() {
        return;
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    timed("settle", folder);
    timed("nothing", folder);
    timed("nothing", folder);
    for number in (0..files).step_by((files / 1_000).max(1)) {
        let path = studio.join(format!(
            "m{:02}/p{:04}/file_{number}.rs",
            number / (files / 40 + 1),
            number / 10
        ));
        let mut text = fs::read(&path).expect("there");
        text.extend_from_slice(b"// edited\n");
        write(&path, &text);
    }
    timed("1000 edits", folder);
    timed("nothing", folder);
    fs::rename(studio.join("m01"), studio.join("renamed")).expect("renamed");
    timed("rename", folder);
    fs::rename(studio.join("renamed"), studio.join("m01")).expect("renamed");
    timed("and back", folder);
    let away = folder.join("away");
    fs::create_dir_all(&away).expect("made");
    for module in 2..10 {
        fs::rename(studio.join(format!("m{module:02}")), away.join(format!("{module}")))
            .expect("moved");
    }
    timed("delete", folder);
    for module in 2..10 {
        fs::rename(away.join(format!("{module}")), studio.join(format!("m{module:02}")))
            .expect("moved");
    }
    timed("recreate", folder);
    let big = studio.join("big.bin");
    if !big.exists() {
        let mut state = 1_u64;
        let mut content = Vec::with_capacity(1 << 28);
        while content.len() < 1 << 28 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        write(&big, &content);
        timed("256 MiB", folder);
    }
    let mut content = fs::read(&big).expect("there");
    if let Some(byte) = content.get_mut(100_000_000) {
        *byte ^= 1;
    }
    write(&big, &content);
    timed("1 byte", folder);
    content.splice(0..0, [7; 1_024]);
    write(&big, &content);
    timed("1 KB front", folder);
    timed("nothing", folder);
}
