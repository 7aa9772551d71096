//! The committed generated code is what the `.proto` files generate.

use std::{fs, path::Path};

const FILES: &[&str] = &[
    "agent/v1/actions.proto",
    "agent/v1/common.proto",
    "agent/v1/files.proto",
    "agent/v1/local.proto",
    "agent/v1/logs.proto",
    "agent/v1/process.proto",
    "agent/v1/session.proto",
    "agent/v1/sync.proto",
    "agent/v1/tunnel.proto",
    "sync/v1/sync.proto",
];

#[test]
fn committed_code_is_generated_from_the_proto_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [root]).unwrap();
    tonic_prost_build::configure().bytes(".").out_dir(out.path()).compile_fds(descriptors).unwrap();
    for name in ["atelier.agent.v1.rs", "atelier.sync.v1.rs"] {
        let fresh = fs::read_to_string(out.path().join(name)).unwrap();
        let committed = root.join("src/gen").join(name);
        if std::env::var_os("UPDATE_PROTO").is_some() {
            fs::write(&committed, &fresh).unwrap();
        }
        let committed = fs::read_to_string(&committed).unwrap_or_default();
        assert!(fresh == committed, "{name} is stale: run UPDATE_PROTO=1 cargo test -p proto");
    }
}
