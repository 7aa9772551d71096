//! Many files at once.

use std::fs;

use sync::{OnMassDeletion, Request};

use crate::common::{Pair, read, tree, write};

const MANY: usize = 240;

fn fill(pair: &Pair) {
    for number in 0..MANY {
        write(pair.studio(&format!("d{}/{number}", number % 9)), format!("content {number}"));
    }
}

fn empty(pair: &Pair) {
    for folder in 0..9 {
        fs::remove_dir_all(pair.studio(&format!("d{folder}"))).unwrap();
    }
}

/// A build folder that is wiped and written anew: the same names, the same contents.
#[test]
fn devspace_1296_nothing_is_skipped_after_a_mass_deletion_and_recreation() {
    let pair = Pair::new();
    write(pair.studio("stays"), "x");
    fill(&pair);
    pair.sync();
    let whole = tree(&pair.server(""));
    let allow = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
    for _ in 0..3 {
        empty(&pair);
        pair.sync_with(&allow);
        assert_eq!(tree(&pair.server("")).len(), 1);
        fill(&pair);
        pair.sync();
        assert_eq!(tree(&pair.server("")), whole);
        pair.assert_settled();
    }
    // Within one run, and with a question open in between.
    empty(&pair);
    fill(&pair);
    pair.assert_settled();
    empty(&pair);
    assert_eq!(pair.sync().questions.len(), 1);
    fill(&pair);
    assert!(pair.sync().questions.is_empty());
    assert_eq!(tree(&pair.server("")), whole);
    pair.assert_settled();
}

/// Excluded files stay where they are whatever happens around them.
#[test]
fn devspace_1630_excluded_files_are_not_deleted() {
    let mut pair = Pair::new();
    pair.exclusions = vec!["node_modules/".to_owned(), "*.log".to_owned()];
    write(pair.server("app/main.js"), "main");
    write(pair.server("other"), "x");
    pair.sync();
    write(pair.studio("app/node_modules/left-pad/index.js"), "installed in the studio");
    write(pair.studio("app/run.log"), "logged in the studio");
    write(pair.server("app/node_modules/right-pad/index.js"), "installed on the server");
    let kept = |pair: &Pair| {
        assert_eq!(
            read(pair.studio("app/node_modules/left-pad/index.js")),
            "installed in the studio"
        );
        assert_eq!(read(pair.studio("app/run.log")), "logged in the studio");
        assert_eq!(
            read(pair.server("app/node_modules/right-pad/index.js")),
            "installed on the server"
        );
    };
    pair.sync();
    kept(&pair);
    // The other side's folder goes; then another pod comes; then the exclusion is asked for later than the files came.
    fs::remove_file(pair.server("app/main.js")).unwrap();
    pair.sync();
    kept(&pair);
    write(pair.server("app/main.js"), "main");
    pair.identity = "pod-2".to_owned();
    pair.sync();
    kept(&pair);
    pair.exclusions.push("other".to_owned());
    pair.sync();
    fs::remove_file(pair.server("other")).unwrap();
    pair.sync();
    assert_eq!(read(pair.studio("other")), "x");
    kept(&pair);
}
