//! Debian's registry, served for one test: a real one, on a port that the system chose.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{process::Child, time::Instant};

use super::{Registry, RegistrySettings, Repository};
use crate::spawn;

/// `user` with the password `pass`.
const HTPASSWD: &str = "user:$2y$05$0N.Q0kG3BJWGVLp3p8ZyOeZLZqlQ6FHVIzTAd24dLlJjiOf.93TN2\n";
const START: Duration = Duration::from_secs(20);

/// A running registry; it ends with this.
pub(crate) struct Served {
    pub(crate) host: String,
    pub(crate) folder: TempDir,
    _child: Child,
}

/// What it wants to see.
pub(crate) enum Guard<'a> {
    Nothing,
    Password,
    /// A token from `realm`, signed by the certificate in `root`.
    Token {
        realm: &'a str,
        root: &'a Path,
    },
}

impl Served {
    pub(crate) async fn open() -> Self {
        Self::start(&Guard::Nothing, None).await
    }

    /// `tls`: certificate and key in PEM.
    pub(crate) async fn start(guard: &Guard<'_>, tls: Option<(&Path, &Path)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": folder.path().join("blobs")},
                "delete": {"enabled": true},
            },
            "http": {"addr": "127.0.0.1:0", "secret": "of this test"},
        });
        if let Some((certificate, key)) = tls {
            config["http"]["tls"] = json!({"certificate": certificate, "key": key});
        }
        match guard {
            Guard::Nothing => (),
            Guard::Password => {
                let file = folder.path().join("htpasswd");
                fs::write(&file, HTPASSWD).unwrap();
                config["auth"] = json!({"htpasswd": {"realm": "test", "path": file}});
            }
            Guard::Token { realm, root } => {
                config["auth"] = json!({"token": {
                    "realm": realm, "service": "registry", "issuer": "issuer", "rootcertbundle": root,
                }});
            }
        }
        let file = folder.path().join("config.yml");
        fs::write(&file, serde_norway::to_string::<Value>(&config).unwrap()).unwrap();
        let said = folder.path().join("log");
        let child = spawn::command("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is installed: `make setup` does that");
        let deadline = Instant::now() + START;
        let host = loop {
            let text = fs::read_to_string(&said).unwrap();
            if let Some((_, rest)) = text.split_once("listening on ")
                && let Some((address, _)) = rest.split_once([',', '"'])
            {
                break address.to_owned();
            }
            assert!(Instant::now() < deadline, "the registry does not start: {text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { host, folder, _child: child }
    }

    pub(crate) fn settings(&self) -> RegistrySettings {
        RegistrySettings { plain_http: [self.host.clone()].into(), ..RegistrySettings::default() }
    }

    pub(crate) fn client(&self) -> Registry {
        Registry::open(self.settings()).unwrap()
    }

    pub(crate) fn repository(&self, name: &str) -> Repository {
        Repository { registry: self.host.clone(), name: name.to_owned() }
    }

    /// Writes Docker's `config.json` with the password of `user` for `host`.
    pub(crate) fn login(&self, host: &str, password: &str) -> std::path::PathBuf {
        let file = self.folder.path().join(format!("{password}.json"));
        let config = json!({"auths": {host: {"username": "user", "password": password}}});
        fs::write(&file, config.to_string()).unwrap();
        file
    }
}
