//! Many changes at once in live mounts: afterwards both sides are the same, and there were few runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::live::Live;

const OWN: &str = "code_studio-versioned";
const PATIENCE: Duration = Duration::from_mins(4);

fn is_long() -> bool {
    std::env::var_os("ATELIER_LONG").is_some()
}

/// Contents of all files below a folder, and its folders.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    fn walk(folder: &Path, below: &Path, all: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        for item in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (item.path(), below.join(item.file_name()));
            if below == Path::new("") && item.file_name() == ".atelier" {
                continue;
            }
            if item.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path, &name, all);
                all.insert(name, None);
            } else {
                all.insert(name, Some(fs::read(&path).unwrap_or_default()));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(folder, Path::new(""), &mut all);
    all
}

impl Live {
    async fn runs(&self) -> u64 {
        let all = self.instance.get(&self.instance.at("/mounts")).await;
        let own = all["items"].as_array().unwrap().iter().find(|it| it["id"] == OWN).unwrap();
        own["totals"]["runs"].as_u64().unwrap()
    }

    /// Waits until both sides are what they should be.
    async fn settles_as(&self, wanted: &BTreeMap<PathBuf, Option<Vec<u8>>>) {
        let deadline = Instant::now() + PATIENCE;
        for side in [&self.studio, &self.zone] {
            loop {
                let now = tree(side);
                if now == *wanted {
                    break;
                }
                if Instant::now() > deadline {
                    let lacks: Vec<_> = wanted.keys().filter(|it| !now.contains_key(*it)).collect();
                    let more: Vec<_> = now.keys().filter(|it| !wanted.contains_key(*it)).collect();
                    panic!("{}: lacks {lacks:?}, has {more:?}", side.display());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// A storm, and how many runs carried it: a few for its beginning and end, and one for each second of it at most.
    async fn weathers(&self, storm: impl FnOnce(&Path)) {
        let (before, began) = (self.runs().await, Instant::now());
        tokio::task::block_in_place(|| storm(&self.studio));
        self.settles_as(&tree(&self.studio)).await;
        let (runs, took) = (self.runs().await - before, began.elapsed());
        println!("{runs} runs in {took:?}");
        assert!(runs <= 12 + took.as_secs(), "{runs} runs in {took:?}");
        let open = self.instance.get(&self.instance.at("/conflicts")).await;
        assert_eq!(open, json!({"conflicts": [], "questions": []}));
    }
}

/// As git does it: what is there is unlinked, then made anew.
fn checkout(folder: &Path, files: usize, branch: &str) {
    for number in 0..files {
        let file = folder.join(format!("src/module{}/file{number}.rs", number / 50));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        drop(fs::remove_file(&file));
        fs::write(&file, format!("fn of_{branch}() {{}} // {number}\n")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkouts_and_installations_arrive_whole_in_few_runs() {
    let live = Live::new().await;
    let files = if is_long() { 20_000 } else { 2_000 };
    live.weathers(|studio| checkout(studio, files, "main")).await;
    live.weathers(|studio| checkout(studio, files, "feature")).await;
    // There and back, before anybody may have looked.
    live.weathers(|studio| {
        checkout(studio, files, "main");
        checkout(studio, files, "feature");
    })
    .await;
    live.weathers(|studio| {
        let modules = studio.join("app/node_modules");
        for package in 0..files / 20 {
            let scratch = modules.join(format!(".package{package}-x7Gh"));
            let deep = scratch.join("dist/esm/internal/util/node_modules/inner/lib");
            fs::create_dir_all(&deep).unwrap();
            for number in 0..15 {
                fs::write(deep.join(format!("{number}.js")), format!("// {package} {number}"))
                    .unwrap();
            }
            fs::write(scratch.join("package.json"), format!("{{\"name\": \"p{package}\"}}"))
                .unwrap();
            fs::rename(&scratch, modules.join(format!("package{package}"))).unwrap();
            // The same again over it, as an upgrade does.
            fs::write(modules.join(".lock.tmp"), package.to_string()).unwrap();
            fs::rename(modules.join(".lock.tmp"), modules.join(".package-lock.json")).unwrap();
        }
    })
    .await;
}

/// People go on editing while a storm rages on the other side.
#[tokio::test(flavor = "multi_thread")]
async fn saves_of_people_survive_a_storm_from_the_other_side() {
    let live = Live::new().await;
    let (studio, zone) = (live.studio.clone(), live.zone.clone());
    let saving = std::thread::spawn(move || {
        for number in 0..400 {
            let text = format!("save {number}");
            match number % 3 {
                0 => fs::write(zone.join("notes"), &text).unwrap(),
                1 => {
                    fs::write(zone.join(".notes.swp"), &text).unwrap();
                    fs::rename(zone.join(".notes.swp"), zone.join("notes")).unwrap();
                }
                _ => {
                    fs::File::create(zone.join("notes")).unwrap();
                    fs::write(zone.join("notes"), &text).unwrap();
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    tokio::task::block_in_place(|| {
        checkout(&studio, 1_000, "main");
        saving.join().unwrap();
    });
    let mut wanted = tree(&live.studio);
    wanted.insert("notes".into(), Some(b"save 399".to_vec()));
    wanted.remove(Path::new(".notes.swp"));
    live.settles_as(&wanted).await;
}

/// The agent stands still while more changes than the kernel keeps; then it goes on, haltingly, and a large file comes too.
#[tokio::test(flavor = "multi_thread")]
async fn an_overflow_and_a_slow_agent_lose_nothing() {
    let live = Live::new().await;
    let agent = Pid::from_raw(live.instance.agent_pid());
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: usize = queue.trim().parse().unwrap();
    kill(agent, Signal::SIGSTOP).unwrap();
    // Each is written and closed, and the first ones are made: at least two events, none like the one before.
    for number in 0..queue / 2 + 200 {
        fs::write(live.studio.join(format!("f{}", number % 3_000)), number.to_string()).unwrap();
    }
    fs::write(live.studio.join("large"), vec![7; 32 << 20]).unwrap();
    for _ in 0..40 {
        kill(agent, Signal::SIGCONT).unwrap();
        tokio::time::sleep(Duration::from_millis(40)).await;
        kill(agent, Signal::SIGSTOP).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    kill(agent, Signal::SIGCONT).unwrap();
    live.settles_as(&tree(&live.studio)).await;
    let log = live.instance.path("data/studios").join(&live.instance.studio).join("agent.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("more changed at once than the kernel keeps"), "no overflow: {log}");
    fs::write(live.studio.join("after"), "it").unwrap();
    live.seen(&live.zone, "after", "it").await;
}

const DATA: usize = 300;

fn data(number: usize) -> String {
    format!("data/{number}")
}

fn questions(open: &Value) -> Vec<Value> {
    open["questions"].as_array().unwrap().clone()
}

impl Live {
    async fn fill(&self) {
        fs::create_dir(self.studio.join("data")).unwrap();
        for number in 0..DATA {
            fs::write(self.studio.join(data(number)), number.to_string()).unwrap();
        }
        self.settles_as(&tree(&self.studio)).await;
    }

    /// One file after another, each as soon as the one before is gone from the other side too, until somebody asks; the question.
    async fn delete_slowly(&self, on_server: bool) -> Value {
        let conflicts = self.instance.at("/conflicts");
        let far = if on_server { &self.studio } else { &self.zone };
        for number in 0..DATA {
            if on_server {
                let file = self.instance.zone(&format!("/content?path={}", data(number)));
                self.instance.call(Method::DELETE, &file, None).await;
            } else {
                fs::remove_file(self.studio.join(data(number))).unwrap();
            }
            let deadline = Instant::now() + PATIENCE;
            while far.join(data(number)).exists() {
                let open = self.instance.get(&conflicts).await;
                if let Some(asked) = questions(&open).first() {
                    return asked.clone();
                }
                assert!(Instant::now() < deadline, "{number}: {open}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        panic!("all of them went, one by one");
    }
}

/// Each run sees a few deletions; together they are most of what there was.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_deletion_of_most_files_asks_too_and_goes_on_asking() {
    let mut live = Live::new().await;
    live.fill().await;
    let conflicts = live.instance.at("/conflicts");
    let asked = live.delete_slowly(false).await;
    let left = |live: &Live| fs::read_dir(live.zone.join("data")).unwrap().count();
    assert!((130..=200).contains(&left(&live)), "{} are left: {asked}", left(&live));
    assert!(asked["already"].as_u64().unwrap() > 90, "{asked}");
    // What else goes is not deleted any more, not even by a program that begins anew.
    let stayed = left(&live);
    live.instance.kill();
    live.instance.start().await;
    for number in 200..250 {
        drop(fs::remove_file(live.studio.join(data(number))));
    }
    fs::write(live.studio.join("afterwards"), "it").unwrap();
    live.seen(&live.zone, "afterwards", "it").await;
    let open = live.instance.until(&conflicts, |open| !questions(open).is_empty()).await;
    assert_eq!(left(&live), stayed, "{open}");
    // Synchronising is no answer.
    live.instance.synchronise(json!({"mounts": [OWN]})).await;
    assert_eq!(left(&live), stayed);
    live.instance.synchronise(json!({"mounts": [OWN], "allow_mass_deletion": [OWN]})).await;
    live.settles_as(&tree(&live.studio)).await;
    live.instance.call(Method::POST, &live.instance.at("/stop"), None).await;
}

/// What went before anybody was asked comes back with the rest, also from a program that begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_deletion_that_was_not_meant_comes_back_whole() {
    for on_server in [false, true] {
        let mut live = Live::new().await;
        live.fill().await;
        let wanted = tree(&live.studio);
        let asked = live.delete_slowly(on_server).await;
        let already = asked["already"].as_u64().unwrap();
        assert!(already > 90, "{asked}");
        live.instance.kill();
        live.instance.start().await;
        live.instance
            .until(&live.instance.at(""), |it| it["entrypoints"][0]["readiness"] == "ready")
            .await;
        let undo = json!({"mounts": [OWN], "undo_mass_deletion": [OWN]});
        let result = live.instance.synchronise(undo).await;
        let back = result["mounts"][0]["brought_back"].as_u64().unwrap();
        assert!((already - 1..=already + 1).contains(&back), "{back} of {already}");
        live.settles_as(&wanted).await;
        let open = live.instance.get(&live.instance.at("/conflicts")).await;
        assert!(questions(&open).is_empty(), "{open}");
        live.instance.call(Method::POST, &live.instance.at("/stop"), None).await;
    }
}
