//! `ARCHITECTURE.md` is true: each invariant has its test, and each place it names exists.

use std::fs;

use suites::sources::root;

#[test]
fn every_invariant_has_its_test() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let section = text.split("\n## Invariants").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut breaches = Vec::new();
    let items: Vec<&str> = section.split("\n- ").skip(1).collect();
    assert!(items.len() >= 8, "the invariants are a list");
    for item in items {
        let Some((_, test)) = item.rsplit_once("Test: `") else {
            breaches.push(format!("no test named: {item}"));
            continue;
        };
        let test = test.split('`').next().unwrap_or_default();
        let Some((file, function)) = test.split_once("::") else {
            breaches.push(format!("not file::function: {test}"));
            continue;
        };
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        if !source.contains(&format!("fn {function}(")) {
            breaches.push(format!("there is no {test}"));
        }
    }
    super::none("Every invariant names the test that holds it", &breaches);
}

#[test]
fn every_place_of_the_code_map_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("readable");
    let section = text.split("\n## Code map").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    let places: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .collect();
    assert!(places.len() >= 10, "the code map is a table");
    let breaches: Vec<_> = places
        .into_iter()
        .filter(|place| !root().join(place).exists())
        .map(|place| format!("there is no {place}"))
        .collect();
    super::none("The code map names what exists", &breaches);
}
