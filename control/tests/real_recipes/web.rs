//! nginx before zones' folders and other servers, and `RStudio`'s block with a package that stands in for the real one.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use control::spawn;
use images::launch::LaunchSpec;
use serde_json::Value;

use super::{
    entrypoint,
    rig::{Studio, ready, stop},
};

pub(crate) async fn nginx_serves_folders_and_no_link_out_of_them(
    studio: &Studio,
    client: &reqwest::Client,
    launch: &LaunchSpec,
) {
    let folder = studio.workspace().join("code_studio-resources/public");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(folder.join("page.html"), "<p>hello</p>").unwrap();
    fs::write(folder.parent().unwrap().join("private.txt"), "private").unwrap();
    std::os::unix::fs::symlink("../private.txt", folder.join("out.txt")).unwrap();
    let mut nginx = studio.start(entrypoint(launch, "nginx"));
    let address = studio.address(8090);
    assert_eq!(ready(client, &mut nginx, &format!("{address}/files/page.html")).await, 200);
    let get = async |path: &str| {
        let answer = client.get(format!("{address}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/files/page.html").await, (200, "<p>hello</p>".to_owned()));
    assert!(get("/files/").await.1.contains("inner/"));
    for refused in ["/files/out.txt", "/files/../private.txt", "/files/%2e%2e/private.txt", "/"] {
        let (status, text) = get(refused).await;
        assert!(status >= 400 && !text.contains("private"), "{refused}: {status} {text}");
    }
    // Another server of the studio, under the same port.
    let mut rstudio = studio.start(entrypoint(launch, "rstudio"));
    let direct = studio.address(8787);
    assert_eq!(ready(client, &mut rstudio, &format!("{direct}/")).await, 200);
    let (status, said) = get("/r/there?a=b").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, said["path"].as_str().unwrap()), (200, "/there?a=b"));
    let prefix = "--www-root-path=/code-studios/DEMO/abcdefgh/8787";
    let arguments = said["arguments"].as_array().unwrap();
    assert!(arguments.iter().any(|argument| argument == prefix), "{arguments:?}");
    let settings = studio.workspace().join("user-versioned/rstudio");
    assert_eq!(said["settings"].as_str().unwrap(), settings.to_str().unwrap());
    stop(rstudio).await;
    stop(nginx).await;
}

/// A package with a server in the place of `RStudio`'s, which says what it was started with.
pub(crate) async fn package(folder: &Path) -> Vec<u8> {
    let server = "usr/lib/rstudio-server/bin/rserver";
    let program = r#"#!/usr/bin/env python3
import http.server, json, os, sys
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {"path": self.path, "arguments": sys.argv[1:], "settings": os.environ["RSTUDIO_CONFIG_HOME"]}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((options["www-address"], int(options["www-port"])), Handler).serve_forever()
"#;
    let root = folder.join("package");
    let control = "Package: rstudio-server\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: stands in\n";
    for (path, text, mode) in [("DEBIAN/control", control, 0o644), (server, program, 0o755)] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let package = folder.join("stand-in.deb");
    let mut build = spawn::command("dpkg-deb");
    // Without times of its own, it is the same each time, and not installed anew.
    build.args(["--root-owner-group", "--build"]).env("SOURCE_DATE_EPOCH", "1");
    let built = build.arg(&root).arg(&package).output().await.unwrap();
    assert!(built.status.success(), "{built:?}");
    fs::read(package).unwrap()
}
