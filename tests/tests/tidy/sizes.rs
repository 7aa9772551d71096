//! One idea a file.

use suites::sources::files;

const LINES: usize = 1_000;
/// The agent's also sets up its allocator and its log: process 1 has nobody else to do it.
const MAINS: &[(&str, usize)] = &[("agent/src/main.rs", 50), ("control/src/main.rs", 30)];

#[test]
fn no_file_is_over_a_thousand_lines() {
    let sources =
        files(&[".rs", ".ts", ".tsx", ".css", ".md", ".proto", ".sql"]).expect("readable");
    let breaches: Vec<_> = sources
        .iter()
        .filter(|source| !source.path.starts_with("web/src/api/"))
        .filter(|source| source.text.lines().count() > LINES)
        .map(|source| format!("{} has {}", source.path, source.text.lines().count()))
        .collect();
    super::none("A file has at most 1,000 lines", &breaches);
}

#[test]
fn a_main_only_calls_its_library() {
    let sources = files(&["main.rs"]).expect("readable");
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with("src/main.rs")) {
        let lines = source.text.lines().count();
        match MAINS.iter().find(|(path, _)| *path == source.path) {
            None => breaches.push(format!("{} is not in the table", source.path)),
            Some((_, limit)) if lines > *limit => {
                breaches.push(format!("{} has {lines}, its limit is {limit}", source.path));
            }
            Some(_) => {}
        }
    }
    super::none("A main.rs only calls its library", &breaches);
}
