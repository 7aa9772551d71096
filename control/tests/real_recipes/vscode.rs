//! VS Code: who gets in, what it knows of the template, where its settings are.

use std::{
    fs,
    io::{Cursor, Write as _},
};

use images::launch::LaunchSpec;
use serde_json::Value;

use super::{
    entrypoint,
    rig::{SECRET, Studio, ready, stop},
};

/// An extension that does nothing, always the same to the byte.
pub(crate) fn extension() -> Vec<u8> {
    let about = serde_json::json!({
        "name": "hello", "publisher": "atelier", "version": "1.0.0", "engines": {"vscode": "^1.80.0"},
    });
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("extension/package.json", options).unwrap();
    archive.write_all(about.to_string().as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

pub(crate) async fn opens_for_the_cookie_of_the_studio_alone(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let mut vscode = studio.start(entrypoint(launch, "vscode"));
    let address = studio.address(8181);
    assert_eq!(ready(client, &mut vscode, &format!("{address}/healthz")).await, 200);
    let open = async |cookie: &str| {
        let asked = client.get(format!("{address}/")).header("cookie", cookie);
        asked.send().await.unwrap().text().await.unwrap()
    };
    let page = open(&format!("code-server-session={SECRET}")).await;
    assert!(page.contains("vscode-workbench"), "{page}");
    for other in ["code-server-session=of-another-studio", "a=b"] {
        let page = open(other).await;
        assert!(!page.contains("vscode-workbench") && page.contains("password"), "{page}");
    }

    let data = studio.home().join(".local/share/code-server");
    let machine = fs::read(data.join("Machine/settings.json")).unwrap();
    let machine: Value = serde_json::from_slice(&machine).unwrap();
    let python = machine["python.defaultInterpreterPath"].as_str().unwrap();
    assert!(fs::canonicalize(python).unwrap().is_file() && python.contains("code_env-science"));
    assert_eq!(machine["launch"]["configurations"][0]["python"], python);
    assert!(data.join("extensions/atelier.hello-1.0.0/package.json").is_file());
    // The settings that it reads are those of the user's zone.
    let settings = data.join("User/settings.json");
    assert!(fs::read_to_string(&settings).unwrap().contains("17"));
    let zone = studio.workspace().join("user-versioned").canonicalize().unwrap();
    assert!(settings.canonicalize().unwrap().starts_with(zone));
    stop(vscode).await;
}
