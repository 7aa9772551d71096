//! Debian's registry for one test.

use std::{fs, path::Path, process::Stdio, time::Duration};

use control::spawn;
use serde_json::json;
use tokio::{process::Child, time::Instant};

const START: Duration = Duration::from_secs(20);

/// It ends with this.
pub(crate) struct Registry {
    pub(crate) host: String,
    _child: Child,
}

impl Registry {
    pub(crate) async fn open(folder: &Path) -> Self {
        let config = json!({
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": folder.join("blobs")},
                "delete": {"enabled": true},
            },
            "http": {"addr": "127.0.0.1:0", "secret": "of this test"},
        });
        let (file, said) = (folder.join("registry.yml"), folder.join("registry.log"));
        // JSON is YAML.
        fs::write(&file, config.to_string()).unwrap();
        let child = spawn::command("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said).unwrap())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is installed: `make setup` does that");
        let deadline = Instant::now() + START;
        loop {
            let text = fs::read_to_string(&said).unwrap();
            if let Some((_, rest)) = text.split_once("listening on ")
                && let Some((address, _)) = rest.split_once([',', '"'])
            {
                return Self { host: address.to_owned(), _child: child };
            }
            assert!(Instant::now() < deadline, "the registry does not start: {text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
