//! Exclusions mean what git means: `git check-ignore` is the judge, on generated patterns and trees.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use proptest::prelude::*;
use sync::{Exclusions, RelPath};

#[expect(clippy::disallowed_methods, reason = "the judge is a program")]
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "core.excludesFile=/dev/null"]);
    git
}

/// Which of these paths git ignores.
fn ignored(folder: &Path, paths: &[String]) -> Vec<String> {
    let mut child = git(folder)
        .args(["check-ignore", "--stdin", "-z", "--no-index"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for path in paths {
        input.write_all(path.as_bytes()).unwrap();
        input.write_all(b"\0").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code().is_some_and(|code| code <= 1), "{:?}", output.status);
    let mut ignored: Vec<String> = output
        .stdout
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8(path.to_vec()).unwrap())
        .collect();
    ignored.sort();
    ignored
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("ab".to_owned()),
        Just("a.py".to_owned()),
        Just("b.txt".to_owned()),
        Just("#x".to_owned()),
        Just("!y".to_owned()),
        Just("sp ace".to_owned()),
        Just("[z]".to_owned()),
        Just("back\\slash".to_owned()),
        Just(".hidden".to_owned()),
        Just("é".to_owned()),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => name(),
        2 => Just("*".to_owned()), 2 => Just("**".to_owned()), 1 => Just("?".to_owned()),
        1 => Just("*.py".to_owned()), 1 => Just("a*".to_owned()), 1 => Just("[ab]".to_owned()),
        1 => Just("[!a]".to_owned()), 1 => Just("\\#x".to_owned()), 1 => Just("\\!y".to_owned()),
        1 => Just("\\[z\\]".to_owned()), 1 => Just("a\\ ".to_owned()), 1 => Just("[a-b].txt".to_owned()),
    ];
    (any::<bool>(), prop::collection::vec(part, 1..4), any::<bool>(), 0usize..3).prop_map(
        |(rooted, parts, folder, spaces)| {
            let mut text = parts.join("/");
            if rooted {
                text.insert(0, '/');
            }
            if folder {
                text.push('/');
            }
            text.push_str(&" ".repeat(spaces / 2));
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patterns_mean_what_git_means(
        patterns in prop::collection::vec(pattern(), 1..6),
        files in prop::collection::vec(prop::collection::vec(name(), 1..5), 1..25),
    ) {
        prop_assume!(patterns.iter().all(|pattern| !pattern.starts_with('!')));
        let folder = tempfile::tempdir().unwrap();
        prop_assert!(git(folder.path()).args(["init", "-q"]).status().unwrap().success());
        fs::write(folder.path().join(".git/info/exclude"), patterns.join("\n") + "\n").unwrap();
        let mut paths = Vec::new();
        for parts in &files {
            let path = parts.join("/");
            let full = folder.path().join(&path);
            if fs::create_dir_all(full.parent().unwrap()).is_ok() && !full.exists() && fs::write(&full, "").is_ok() {
                paths.push(path);
            }
        }
        paths.sort();
        paths.dedup();
        let exclusions = Exclusions::parse(patterns.iter().map(String::as_str)).unwrap();
        let ours: Vec<String> = paths
            .iter()
            .filter(|path| exclusions.excludes(&RelPath::try_from(path.as_str()).unwrap(), false))
            .cloned()
            .collect();
        prop_assert_eq!(ours, ignored(folder.path(), &paths), "{:?}", patterns);
    }
}
