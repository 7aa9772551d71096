//! The verbs against a real server on a real store.

use std::{fs, io::Cursor, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use clap::Parser as _;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Cli, execute, output::Output};
use crate::{
    app::{
        AppError,
        services::Services,
        studios::{StarterFiles, StudioRemains},
    },
    builder::{external::ExternalBlocks, prefix::PrefixBuilder},
    clock::SystemClock,
    domain::{studio::Studio, user::Scope},
    store::sqlite::Sqlite,
    wiring,
};

/// There are no zones in these tests.
struct NoZones;

#[async_trait::async_trait]
impl StarterFiles for NoZones {
    async fn copy(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl StudioRemains for NoZones {
    async fn remove(&self, _: &Studio) -> Result<(), AppError> {
        Ok(())
    }
}

mod starts;
mod zones;

struct World {
    folder: tempfile::TempDir,
    server: String,
    key: String,
    link: String,
    services: Arc<Services>,
    _serving: JoinSet<()>,
}

/// What a call came to: its exit code, and what it wrote or why it failed.
#[derive(Debug, PartialEq, Eq)]
struct Ended(u8, String);

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("db")).await.unwrap());
        let images = folder.path().join("images");
        let builder = Arc::new(PrefixBuilder::open(&images, [].into()).unwrap());
        let context = images::compose::CompileContext {
            base: "m".into(),
            platform: "p".into(),
            build_env: [].into(),
        };
        let (clock, zones) = (Arc::new(SystemClock), Arc::new(NoZones));
        let (agents, _) = crate::agents::AgentHub::new(
            crate::agents::ca::Ca::open(folder.path()).unwrap(),
            String::new(),
            Arc::clone(&store) as Arc<dyn crate::store::Store>,
            tokio_util::task::TaskTracker::new(),
            tokio_util::sync::CancellationToken::new(),
        );
        let services = wiring::services(wiring::Parts {
            store,
            clock: clock.clone(),
            builder,
            external: ExternalBlocks::new("/nowhere".into(), [].into()),
            context,
            starter_files: zones.clone(),
            remains: zones,
            agents,
            zones: Arc::new(crate::zones::local::LocalZones::new(
                folder.path().join("zones"),
                clock,
            )),
            app_urls: crate::domain::app_url::AppUrls {
                scheme: "http".into(),
                domain: "localhost".into(),
            },
            logs: folder.path().join("logs"),
            tracker: tokio_util::task::TaskTracker::new(),
            shutdown: tokio_util::sync::CancellationToken::new(),
        });
        let admin: crate::domain::ids::Login = "admin".parse().unwrap();
        services.users.ensure_first_administrator(&admin).await.unwrap();
        let token = services.login.create_link(&admin).await.unwrap();
        let (_, key) = services.api_keys.issue(admin, "test", Scope::Admin, None).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        let router = crate::api::router(Arc::clone(&services));
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        serving.spawn(Arc::clone(&services.builds).run(CancellationToken::new()));
        let link = format!("{server}/login/link/{token}");
        Self { folder, server, key, link, services, _serving: serving }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("kept/config.json")
    }

    async fn typed(&self, words: &[&str], input: &[u8]) -> Ended {
        self.whole(words, input).await.0
    }

    /// As [`Self::typed`], with what was written to standard error.
    async fn whole(&self, words: &[&str], input: &[u8]) -> (Ended, String) {
        let config = self.config();
        let all = [&["atelier", "--config", config.to_str().unwrap()], words].concat();
        let cli = match Cli::try_parse_from(all) {
            Ok(cli) => cli,
            Err(error) => return (Ended(2, error.to_string()), String::new()),
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let json = cli.global.json;
        let output = &mut Output { json, out: &mut out, err: &mut err, screen: false };
        let done = execute(cli, Box::new(Cursor::new(input.to_vec())), output).await;
        let ended = match done {
            Ok(()) => Ended(0, String::from_utf8(out).unwrap()),
            Err(error) => Ended(error.code(), error.to_string()),
        };
        (ended, String::from_utf8(err).unwrap())
    }

    /// With the administrator's key.
    async fn call(&self, words: &[&str]) -> Ended {
        let who = ["--server", &self.server, "--api-key", &self.key];
        self.typed(&[&who, words].concat(), b"").await
    }

    /// The same, with what was written to standard error.
    async fn calls(&self, words: &[&str]) -> (Ended, String) {
        let who = ["--server", &self.server, "--api-key", &self.key];
        self.whole(&[&who, words].concat(), b"").await
    }

    async fn piped(&self, words: &[&str], input: &[u8]) -> Ended {
        let who = ["--server", &self.server, "--api-key", &self.key];
        self.typed(&[&who, words].concat(), input).await
    }

    async fn json(&self, words: &[&str]) -> Value {
        let Ended(code, text) = self.call(&[words, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{words:?}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A template of this label, from a file.
    async fn template(&self, label: &str) -> Value {
        let file = self.folder.path().join("template.yaml");
        fs::write(&file, format!("label: {label}\nblocks: []\n")).unwrap();
        self.json(&["template", "apply", "-f", file.to_str().unwrap()]).await
    }
}

#[tokio::test]
async fn a_one_time_link_becomes_a_kept_key_once() {
    let world = World::new().await;
    let Ended(code, said) = world.typed(&["login", "--link", &world.link], b"").await;
    assert_eq!(code, 0, "{said}");
    let mode = fs::metadata(world.config()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the key is its owner's alone");
    assert_eq!(world.typed(&["project", "list", "--json"], b"").await, Ended(0, "[]\n".into()));
    assert_ne!(world.typed(&["login", "--link", &world.link], b"").await.0, 0);
}

#[tokio::test]
async fn a_wrong_key_is_not_kept_and_a_kept_one_is_shown_to_its_server_only() {
    let world = World::new().await;
    let login = ["--server", &world.server, "login"];
    assert_eq!(world.typed(&login, b"atl_aaaaaaaa_nonsense\n").await.0, 4);
    assert!(!world.config().exists());
    assert_eq!(world.typed(&login, b"").await.0, 2, "nothing was typed");
    let key = format!("{}\n", world.key);
    assert_eq!(world.typed(&login, key.as_bytes()).await.0, 0);
    let other = ["--server", "http://127.0.0.1:1/", "project", "list"];
    let Ended(code, why) = world.typed(&other, b"").await;
    assert_eq!((code, why.contains("--api-key")), (2, true), "{why}");
}

#[tokio::test]
async fn the_way_to_a_studio_and_back() {
    let world = World::new().await;
    world.json(&["project", "create", "SALES", "Sales"]).await;
    let template = world.template("Notebook").await;
    assert_eq!(template["version"], 1);
    assert_eq!(world.template("Notebook").await["id"], template["id"], "updated by its label");
    let create = ["studio", "create", "mine", "-t", "Notebook", "-p", "SALES"];
    let studio = world.json(&create).await;
    assert_eq!(studio["state"], "STOPPED");
    let id = studio["id"].as_str().unwrap();
    assert_eq!(
        world.json(&["studio", "get", id]).await,
        world.json(&["studio", "get", "mine"]).await
    );
    let Ended(code, table) = world.call(&["studio", "list"]).await;
    assert_eq!(code, 0);
    assert!(table.starts_with("ID") && table.contains("mine") && table.lines().count() == 2);
    let Ended(code, why) = world.call(&["studio", "start", "mine"]).await;
    assert_eq!((code, why.contains("image")), (5, true), "no image was built: {why}");
    assert_eq!(world.call(&["studio", "delete", "mine"]).await, Ended(0, String::new()));
    assert_eq!(world.call(&["studio", "get", "mine"]).await.0, 3);
}

#[tokio::test]
async fn two_studios_of_one_name_are_not_guessed_between() {
    let world = World::new().await;
    world.template("T").await;
    for project in ["A", "B"] {
        world.json(&["project", "create", project, "P"]).await;
        world.json(&["studio", "create", "same", "-t", "T", "-p", project]).await;
    }
    let Ended(code, why) = world.call(&["studio", "delete", "same"]).await;
    assert_eq!((code, why.contains("several")), (2, true), "{why}");
    assert_eq!(world.call(&["studio", "-p", "A", "delete", "same"]).await.0, 0);
    assert_eq!(world.json(&["studio", "get", "same"]).await["project"], "B");
}

#[tokio::test]
async fn refusals_have_their_codes_and_say_what_is_wrong() {
    let world = World::new().await;
    assert_eq!(world.call(&["project", "get", "NONE"]).await.0, 3);
    assert_eq!(world.call(&["project", "create", "not a key", "x"]).await.0, 2);
    assert_eq!(world.call(&["studio", "frobnicate"]).await.0, 2);
    let file = world.folder.path().join("bad.yaml");
    fs::write(&file, "label: T\nblocks:\n- type: jupyterlab\n  port: 1\n").unwrap();
    let Ended(code, why) = world.call(&["template", "apply", "-f", file.to_str().unwrap()]).await;
    assert_eq!((code, why.contains("block 0, port:")), (2, true), "{why}");
    let validate = ["template", "validate", "-f", file.to_str().unwrap()];
    let Ended(code, why) = world.call(&validate).await;
    assert_eq!((code, why.contains("problems: 1")), (2, true), "{why}");
    fs::write(&file, "label: T\nblocks: []\n").unwrap();
    assert_eq!(world.json(&validate).await["problems"], serde_json::json!([]));
    fs::write(&file, "label: [").unwrap();
    assert_eq!(world.call(&validate).await.0, 2);
    let nobody = ["--server", "http://127.0.0.1:1", "--api-key", "x", "project", "list"];
    assert_eq!(world.typed(&nobody, b"").await.0, 1);
    let path = ["--server", &world.server, "--api-key", &world.key, "project", "get", "../users"];
    assert_ne!(world.typed(&path, b"").await.0, 0, "a name is one segment of the path");
}

#[tokio::test]
async fn what_users_wrote_moves_no_cursor() {
    let world = World::new().await;
    let name = "\u{1b}[2Jevil";
    world.json(&["user", "create", "eve", "--name", "Eve"]).await;
    let made = world.call(&["project", "create", "P", name]).await;
    let Ended(_, table) = world.call(&["project", "list"]).await;
    assert!(!table.contains('\u{1b}') && !made.1.contains('\u{1b}'), "{made:?} {table:?}");
}

#[tokio::test]
async fn a_template_travels_as_a_zip() {
    let world = World::new().await;
    world.template("Travels").await;
    let zip = world.folder.path().join("t.zip");
    let zip = zip.to_str().unwrap();
    let export = ["template", "export", "Travels", "-o", zip];
    assert_eq!(world.call(&export).await, Ended(0, String::new()));
    world.call(&["template", "delete", "Travels"]).await;
    assert_eq!(world.json(&["template", "import", zip]).await["label"], "Travels");
}

#[tokio::test]
async fn keys_come_and_go() {
    let world = World::new().await;
    let made = world.json(&["apikey", "create", "ci", "--scope", "read"]).await;
    let key = made["key"].as_str().unwrap();
    let read = ["--server", &world.server, "--api-key", key];
    assert_eq!(world.typed(&[&read[..], &["project", "list"]].concat(), b"").await.0, 0);
    let write = [&read[..], &["project", "create", "P", "P"]].concat();
    assert_eq!(world.typed(&write, b"").await.0, 4, "it may only read");
    world.call(&["apikey", "delete", made["id"].as_str().unwrap()]).await;
    assert_eq!(world.typed(&[&read[..], &["project", "list"]].concat(), b"").await.0, 4);
}

#[test]
fn the_tree_of_verbs_is_sound() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}
