//! Live mounts: what is saved on one side is soon on the other, and nothing is decided on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::instance::{Instance, blocks};

const PATIENCE: Duration = Duration::from_secs(30);

/// A started studio with a live mount, and where both sides of it lie.
pub struct Live {
    pub instance: Instance,
    pub studio: PathBuf,
    pub zone: PathBuf,
}

impl Live {
    pub async fn new() -> Self {
        let mut all = blocks();
        all.as_array_mut().unwrap().retain(|block| block["type"] != "file_sync");
        all.as_array_mut().unwrap().push(json!({"type": "file_sync", "mounts": [
            {"zone": "code_studio-versioned", "live": true},
        ]}));
        let instance = Instance::with(all, &[]).await;
        instance.bring("start").await;
        let studio =
            PathBuf::from(instance.exec("pwd").await.0.trim()).join("code_studio-versioned");
        // Without a word from anybody.
        fs::write(studio.join("marker-of-this-test"), "x").unwrap();
        let found = |folder: &Path| find(folder, "marker-of-this-test", &studio);
        let deadline = Instant::now() + PATIENCE;
        let zone = loop {
            if let Some(file) = found(&instance.path("data")) {
                break file.parent().unwrap().to_path_buf();
            }
            assert!(Instant::now() < deadline, "it does not become live");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Self { instance, studio, zone }
    }

    /// How long it takes until a file has a content.
    pub async fn seen(&self, folder: &Path, name: &str, content: &str) -> Duration {
        let began = Instant::now();
        while fs::read(folder.join(name)).ok().as_deref() != Some(content.as_bytes()) {
            let there = fs::read_to_string(folder.join(name));
            assert!(began.elapsed() < PATIENCE, "{name}: {there:?}, not {content:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }

    fn sides(&self) -> [(&Path, &Path); 2] {
        [(&self.studio, &self.zone), (&self.zone, &self.studio)]
    }
}

fn find(folder: &Path, name: &str, not_in: &Path) -> Option<PathBuf> {
    for item in fs::read_dir(folder).ok()?.flatten() {
        let path = item.path();
        if path.is_symlink() || path == not_in || item.file_name() == "trash" {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = find(&path, name, not_in) {
                return Some(found);
            }
        } else if item.file_name() == name {
            return Some(path);
        }
    }
    None
}

#[tokio::test]
async fn whatever_way_an_editor_saves_the_other_side_soon_has_it() {
    let live = Live::new().await;
    let mut waits = Vec::new();
    for (from, to) in live.sides() {
        for round in 0..5 {
            let text = |how: &str| format!("{how} {round} from {}", from.display());
            fs::write(from.join("new-file"), text("written")).unwrap();
            waits.push(live.seen(to, "new-file", &text("written")).await);
            fs::write(from.join(".new-file.swp"), text("renamed over")).unwrap();
            fs::rename(from.join(".new-file.swp"), from.join("new-file")).unwrap();
            waits.push(live.seen(to, "new-file", &text("renamed over")).await);
            fs::File::create(from.join("new-file")).unwrap();
            fs::write(from.join("new-file"), text("truncated")).unwrap();
            waits.push(live.seen(to, "new-file", &text("truncated")).await);
            let folder = format!("folder-{round}/in/it");
            fs::create_dir_all(from.join(&folder)).unwrap();
            fs::write(from.join(&folder).join("file"), text("deep")).unwrap();
            waits.push(live.seen(to, &format!("{folder}/file"), &text("deep")).await);
            fs::rename(from.join(format!("folder-{round}")), from.join("renamed")).unwrap();
            waits.push(live.seen(to, "renamed/in/it/file", &text("deep")).await);
            fs::remove_dir_all(from.join("renamed")).unwrap();
            while to.join("renamed").exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        for number in 0..200 {
            fs::write(from.join("often"), number.to_string()).unwrap();
        }
        live.seen(to, "often", "199").await;
    }
    waits.sort();
    println!(
        "save to visible: p50 {:?}, worst {:?}",
        waits[waits.len() / 2],
        waits.last().unwrap()
    );
    let open = live.instance.get(&live.instance.at("/conflicts")).await;
    assert_eq!(open["conflicts"], json!([]), "{open}");
    let history = live.instance.get(&live.instance.zone("/history?path=marker-of-this-test")).await;
    assert_eq!(history["items"][0]["author"], "Administrator", "it is a commit of the owner's");
}

#[tokio::test]
async fn a_storm_arrives_whole_and_a_conflict_waits_as_do_mass_deletions() {
    let live = Live::new().await;
    for number in 0..2_000 {
        let folder = live.studio.join(format!("modules/m{}", number / 20));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{number}")), number.to_string()).unwrap();
    }
    live.seen(&live.zone, "modules/m99/f1999", "1999").await;
    live.seen(&live.zone, "modules/m0/f0", "0").await;

    fs::write(live.studio.join("both"), "the studio's").unwrap();
    fs::write(live.zone.join("both"), "the server's").unwrap();
    let conflicts = live.instance.at("/conflicts");
    let found = |open: &Value| open["conflicts"].as_array().is_some_and(|all| all.len() == 1);
    let open = live.instance.until(&conflicts, found).await;
    assert_eq!(open["conflicts"][0]["path"], "both");
    assert_eq!(fs::read_to_string(live.studio.join("both")).unwrap(), "the studio's");
    assert_eq!(fs::read_to_string(live.zone.join("both")).unwrap(), "the server's");
    fs::write(live.studio.join("both"), "the server's").unwrap();
    let none = |open: &Value| open["conflicts"].as_array().is_some_and(Vec::is_empty);
    live.instance.until(&conflicts, none).await;

    fs::remove_dir_all(live.studio.join("modules")).unwrap();
    let asked = |open: &Value| open["questions"].as_array().is_some_and(|all| all.len() == 1);
    live.instance.until(&conflicts, asked).await;
    assert!(live.zone.join("modules/m0/f0").exists());
    let allowed = json!({"allow_mass_deletion": ["code_studio-versioned"]});
    live.instance.synchronise(allowed).await;
    assert!(!live.zone.join("modules").exists());
}

/// The program is killed and comes back; nobody asks for anything.
#[tokio::test]
async fn a_live_mount_goes_on_after_the_server_was_killed() {
    let mut live = Live::new().await;
    live.instance.kill();
    fs::write(live.studio.join("meanwhile"), "written while nobody listened").unwrap();
    fs::write(live.zone.join("there"), "written on the server").unwrap();
    live.instance.start().await;
    live.seen(&live.zone, "meanwhile", "written while nobody listened").await;
    live.seen(&live.studio, "there", "written on the server").await;
    fs::write(live.zone.join("there"), "and again").unwrap();
    live.seen(&live.studio, "there", "and again").await;
    live.instance.call(Method::POST, &live.instance.at("/stop"), None).await;
}
