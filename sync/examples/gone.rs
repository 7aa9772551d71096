//! Times folders of very many files that are deleted, and then made again the same: `gone <folder> [files] [rounds]`. Both ends of
//! the engine in one process, watched as in production. For profiles; `make bench-sync` measures the product.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch that prints")]

mod support;

use std::{fs, path::Path, sync::Arc};

use support::{Watches, source, timed};
use sync::Watch;

/// Folders in the root; a fifth of them goes.
const MODULES: usize = 10;

fn fill(zone: &Path, files: usize) {
    for number in 0..files {
        let module = number * MODULES / files;
        let parent = zone.join(format!("m{module}/p{:05}", number / 10));
        if number % 10 == 0 {
            fs::create_dir_all(&parent).expect("made");
        }
        fs::write(parent.join(format!("file_{number:06}.rs")), source(number)).expect("written");
    }
}

/// New folders and files; times of modification are kept, as by `cp -a`.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for item in fs::read_dir(from).expect("there") {
        let item = item.expect("there");
        let (from, to) = (item.path(), to.join(item.file_name()));
        if item.file_type().expect("known").is_dir() {
            copy(&from, &to);
            continue;
        }
        fs::copy(&from, &to).expect("copied");
        let modified = fs::metadata(&from).and_then(|about| about.modified()).expect("there");
        let file = fs::File::options().write(true).open(&to).expect("there");
        file.set_modified(modified).expect("set");
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("gone <folder> [files] [rounds]");
    let folder = Path::new(&folder);
    let mut number =
        |otherwise| arguments.next().map_or(otherwise, |it| it.parse().expect("a number"));
    let (files, rounds) = (number(100_000), number(3));
    let (studio, aside) = (folder.join("studio"), folder.join("aside"));
    fill(&folder.join("zone"), files);
    let watch = || Some(Arc::new(Watch::new(|| {})));
    let watches = Watches { server: watch(), studio: watch() };
    for case in ["first", "settle", "nothing", "nothing"] {
        timed(case, folder, &watches);
    }
    let modules = ["m5", "m6"];
    for module in modules {
        copy(&studio.join(module), &aside.join(module));
    }
    for _ in 0..rounds {
        for module in modules {
            fs::remove_dir_all(studio.join(module)).expect("removed");
        }
        timed("delete", folder, &watches);
        timed("nothing", folder, &watches);
        for module in modules {
            copy(&aside.join(module), &studio.join(module));
        }
        timed("recreate", folder, &watches);
        timed("nothing", folder, &watches);
    }
}
