//! Who may name whom: between the crates, and between the layers of the control plane.

use std::fs;

use suites::sources::{Source, code_only, crate_paths, files, root};

/// What each crate may depend on within the workspace.
const CRATES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("sync", &["proto"]),
    ("images", &["proto"]),
    ("agent", &["proto", "sync"]),
    ("control", &["proto", "sync", "images"]),
    ("tests", &["proto", "sync", "images", "agent", "control"]),
];

/// Modules of the control plane that each layer may not name. `app` may name what a driver module says in domain words
/// (its traits); the drivers themselves are in [`DRIVERS`].
const LAYERS: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "agents",
            "api",
            "app",
            "auth",
            "builder",
            "cli",
            "proxy",
            "reconcile",
            "runtime",
            "store",
            "wiring",
            "zones",
        ],
    ),
    ("app", &["agents", "api", "cli", "proxy", "reconcile", "wiring"]),
    ("agents", &["api", "cli", "proxy", "reconcile", "wiring"]),
    ("api", &["agents", "cli", "proxy", "reconcile", "wiring"]),
    ("proxy", &["agents", "api", "cli", "reconcile", "wiring"]),
    ("reconcile", &["agents", "api", "cli", "proxy", "wiring"]),
    ("auth", &["agents", "api", "app", "cli", "proxy", "reconcile", "wiring"]),
    ("builder", &["agents", "api", "app", "cli", "proxy", "reconcile", "store", "wiring"]),
    ("runtime", &["agents", "api", "app", "cli", "proxy", "reconcile", "store", "wiring"]),
    ("store", &["agents", "api", "app", "cli", "proxy", "reconcile", "runtime", "wiring"]),
    ("zones", &["agents", "api", "cli", "proxy", "reconcile", "runtime", "wiring"]),
];

/// Drivers, named in `wiring` and within themselves alone.
const DRIVERS: &[&str] = &[
    "store::sqlite",
    "store::postgres",
    "runtime::process",
    "runtime::docker",
    "runtime::kubernetes",
    "builder::prefix",
    "builder::ready",
    "builder::native",
    "builder::buildah",
    "builder::buildkit",
    "builder::docker",
    "zones::local",
];

/// Where a driver is named for another reason than to be used as one.
const NAMED: &[(&str, &str, &str)] = &[(
    "control/src/cli/mod.rs",
    "runtime::process",
    "the program confines itself before it becomes a studio's agent",
)];

#[test]
fn crates_depend_as_agreed() {
    let mut breaches = Vec::new();
    let members: Vec<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    for (member, allowed) in CRATES {
        let manifest =
            fs::read_to_string(root().join(member).join("Cargo.toml")).expect("readable");
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines().skip_while(|line| *line != "[dependencies]") {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if members.contains(&name) && !allowed.contains(&name) {
                breaches.push(format!("{member} depends on {name}"));
            }
        }
    }
    super::none("Crates depend on each other as in the table", &breaches);
}

#[test]
fn layers_of_the_control_plane_name_only_those_below() {
    let mut breaches = Vec::new();
    let mut seen = 0;
    for source in control_sources() {
        let Some(layer) = layer(&source.path) else { continue };
        let Some((_, forbidden)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        seen += 1;
        for path in crate_paths(&production_code(&source)) {
            let named = path.split("::").next().unwrap_or_default();
            if forbidden.contains(&named) {
                breaches.push(format!("{} names crate::{path}", source.path));
            }
        }
    }
    assert!(seen > 20, "the layers are where this test looks for them");
    super::none("A layer of the control plane names only those below it", &breaches);
}

#[test]
fn drivers_are_named_in_wiring_only() {
    let mut breaches = Vec::new();
    for source in control_sources() {
        if source.path.starts_with("control/src/wiring") {
            continue;
        }
        for path in crate_paths(&production_code(&source)) {
            for driver in DRIVERS {
                let names = path == *driver || path.starts_with(&format!("{driver}::"));
                let home = format!("control/src/{}", driver.replace("::", "/"));
                let within = source.path.starts_with(&home);
                let known =
                    NAMED.iter().any(|(file, what, _)| *file == source.path && what == driver);
                if names && !within && !known {
                    breaches.push(format!("{} names crate::{path}", source.path));
                }
            }
        }
    }
    super::none("Drivers are named in wiring only", &breaches);
}

fn control_sources() -> Vec<Source> {
    let sources = files(&[".rs"]).expect("readable");
    sources.into_iter().filter(|source| source.path.starts_with("control/src/")).collect()
}

/// `control/src/app/users.rs` and `control/src/app.rs` are of the layer `app`.
fn layer(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("control/src/")?;
    inside.split('/').next()?.split('.').next()
}

/// Code without its tests, which may set up what they like. By the house's habit tests are in `tests.rs` or at the end.
fn production_code(source: &Source) -> String {
    if source.path.ends_with("tests.rs") || source.path.contains("/tests/") {
        return String::new();
    }
    let code = code_only(&source.text);
    code.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}
