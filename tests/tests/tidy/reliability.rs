//! `docs/reliability.md` is true: each line names a test that is there.

use std::fs;

use suites::sources::root;

#[test]
fn every_promise_has_its_test() {
    let text = fs::read_to_string(root().join("docs/reliability.md")).expect("readable");
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let lines: Vec<&str> = lines.filter(|line| !line.ends_with("| test |")).collect();
    assert!(lines.len() >= 50, "failures and promises are lines of tables");
    let breaches: Vec<String> = lines.into_iter().filter_map(breach).collect();
    super::none("Every line of docs/reliability.md names the test that proves it", &breaches);
}

fn breach(line: &str) -> Option<String> {
    let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
    let [_, _, test] = cells.as_slice() else { return Some(format!("not three cells: {line}")) };
    let Some((file, function)) = test.trim_matches('`').split_once("::") else {
        return Some(format!("not file::function: {test}"));
    };
    let source = fs::read_to_string(root().join(file)).unwrap_or_default();
    let Some(at) = source.find(&format!("fn {function}(")) else {
        return Some(format!("there is no {file}::{function}"));
    };
    let before = source.get(..at).unwrap_or_default();
    let attribute = before.rsplit("\n\n").next().unwrap_or_default();
    let is_test = attribute.contains("#[test]") || attribute.contains("#[tokio::test");
    (!is_test).then(|| format!("no test: {file}::{function}"))
}
