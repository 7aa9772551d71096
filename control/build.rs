//! Makes sure that there is a web UI to embed, so that the crate builds without Node: one page that says what is missing.

use std::{fs, path::Path};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Atelier</title>\
<h1>The web UI was not built</h1><p>Run <code>make web</code>, then build the control plane again.</p></html>\n";

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist");
    println!("cargo:rerun-if-changed={}", dist.display());
    let index = dist.join("index.html");
    if !index.exists() {
        fs::create_dir_all(&dist).expect("web/dist can be made");
        fs::write(&index, NOT_BUILT).expect("web/dist can be written");
    }
}
