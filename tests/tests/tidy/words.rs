//! Words that belong in one place, or in none.

use suites::sources::{code_only, files};

/// What it names, where alone it may stand, and the rule.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("kube::", &["control/src/runtime/kubernetes"], "Kubernetes is spoken in its driver"),
    ("sqlx::", &["control/src/store/"], "SQL is spoken in the store"),
    ("gix::", &["control/src/zones/"], "git is spoken in the zones"),
];

/// Where errors are only told to a person and end the program, so that a type for each would serve nobody.
const EDGES: &[&str] = &["agent/src/cli/"];

#[test]
fn a_driver_s_words_stay_in_the_driver() {
    let mut breaches = Vec::new();
    for source in files(&[".rs"]).expect("readable") {
        let code = code_only(&source.text);
        for (word, places, rule) in PLACES {
            let allowed = places.iter().any(|place| source.path.starts_with(place));
            // Suites may look at the outcome with the real thing.
            let suite = source.path.contains("/tests/");
            if !allowed && !suite && names(&code, word) {
                breaches.push(format!("{} has {word} ({rule})", source.path));
            }
        }
    }
    super::none("A driver's words stay in the driver", &breaches);
}

#[test]
fn generated_types_stay_at_the_edge_of_the_control_plane() {
    let mut breaches = Vec::new();
    for source in files(&[".rs"]).expect("readable") {
        let inside = source.path.starts_with("control/src/")
            && !source.path.starts_with("control/src/agents/")
            && !source.path.ends_with("tests.rs");
        if inside && names(&code_only(&source.text), "proto::agent") {
            breaches.push(source.path);
        }
    }
    super::none("Generated agent types are named in control/src/agents only", &breaches);
}

#[test]
fn unsafe_code_is_in_the_agent_s_sys_only() {
    let mut breaches = Vec::new();
    for source in files(&[".rs"]).expect("readable") {
        let code = code_only(&source.text);
        let says =
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        if says && !source.path.starts_with("agent/src/sys") {
            breaches.push(source.path);
        }
    }
    super::none("unsafe is written in agent/src/sys only", &breaches);
}

#[test]
fn libraries_have_errors_of_their_own() {
    let mut breaches = Vec::new();
    for source in files(&[".rs"]).expect("readable") {
        let edge = source.path.ends_with("main.rs")
            || source.path.starts_with("tests/")
            || source.path.contains("/tests/")
            || source.path.contains("/examples/")
            || EDGES.iter().any(|edge| source.path.starts_with(edge));
        if !edge && names(&code_only(&source.text), "anyhow::") {
            breaches.push(source.path);
        }
    }
    super::none("Libraries have typed errors", &breaches);
}

#[test]
fn no_file_names_a_machine() {
    // Put together here, so that this file does not name them either.
    let home = ["/ro", "ot/"].concat();
    let work = ["/wo", "rk/"].concat();
    let mut breaches = Vec::new();
    for source in
        files(&[".rs", ".toml", ".md", ".sh", "Makefile", ".ts", ".tsx", ".sql"]).expect("readable")
    {
        for (number, line) in source.text.lines().enumerate() {
            for needle in [&home, &work] {
                // `…/network/…` is a word; a path starts at a quote, a blank or the like.
                let starts = line.match_indices(needle.as_str()).any(|(at, _)| {
                    let before = line.get(..at).and_then(|before| before.chars().last());
                    before.is_none_or(|c| !c.is_alphanumeric() && !"./_-}".contains(c))
                });
                if starts {
                    breaches.push(format!("{}:{} has {needle}", source.path, number + 1));
                }
            }
        }
    }
    super::none("No file names a folder of somebody's machine", &breaches);
}

/// Whether code names it: not as the end of a longer word.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().last());
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}
