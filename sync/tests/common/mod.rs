//! Two sides in two threads, joined by a link that can be cut and falsified.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each suite uses its part, and a test may fail anywhere"
)]

pub mod interpose;
pub mod link;
pub mod people;
pub mod power;
pub mod troubles;

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use link::{Mishap, TestLink, links};
use sync::{
    Clock, Context, Error, Exclusions, FileSystem, OnConflict, Outcome, Request, ServerSide,
    StudioSide, SystemClock, Watch, run, serve,
};
use tempfile::TempDir;

/// A zone and a studio.
pub struct Pair {
    pub folder: TempDir,
    pub exclusions: Vec<String>,
    pub one_way: bool,
    pub identity: String,
    pub server_mishap: Mishap,
    pub studio_mishap: Mishap,
    pub server_fs: Option<Arc<dyn FileSystem>>,
    pub studio_fs: Option<Arc<dyn FileSystem>>,
    pub server_clock: Arc<dyn Clock>,
    pub studio_clock: Arc<dyn Clock>,
    pub server_watch: Option<Arc<Watch>>,
    pub studio_watch: Option<Arc<Watch>>,
}

impl Pair {
    pub fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// In memory where there is such a folder: nothing waits for a disk.
    pub fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(folder.unwrap())
    }

    pub fn within(folder: TempDir) -> Self {
        let pair = Self {
            folder,
            exclusions: Vec::new(),
            one_way: false,
            identity: "pod-1".to_owned(),
            server_mishap: Mishap::default(),
            studio_mishap: Mishap::default(),
            server_fs: None,
            studio_fs: None,
            server_clock: Arc::new(SystemClock),
            studio_clock: Arc::new(SystemClock),
            server_watch: None,
            studio_watch: None,
        };
        fs::create_dir_all(pair.server("")).unwrap();
        fs::create_dir_all(pair.studio("")).unwrap();
        pair
    }

    pub fn server(&self, path: &str) -> PathBuf {
        self.folder.path().join("zone").join(path)
    }

    pub fn studio(&self, path: &str) -> PathBuf {
        self.folder.path().join("studio").join(path)
    }

    pub fn exclusions(&self) -> Exclusions {
        Exclusions::parse(self.exclusions.iter().map(String::as_str)).unwrap()
    }

    pub fn server_side(&self) -> ServerSide {
        ServerSide {
            root: self.server(""),
            state_dir: self.folder.path().join("zone.state"),
            trash: self.folder.path().join("zone.trash"),
            one_way: self.one_way,
            exclusions: self.exclusions(),
            studio_label: "lab".to_owned(),
        }
    }

    pub fn studio_side(&self) -> StudioSide {
        StudioSide {
            root: self.studio(""),
            state_dir: self.folder.path().join("studio.state"),
            identity: self.identity.clone(),
            one_way: self.one_way,
            exclusions: self.exclusions(),
        }
    }

    /// Both ends' results.
    pub fn try_sync(&self, request: &Request) -> (Result<Outcome, Error>, Result<(), Error>) {
        let (mut server_link, mut studio_link) = links(self.server_mishap, self.studio_mishap);
        let context = |fs: &Option<Arc<dyn FileSystem>>, clock: &Arc<dyn Clock>| {
            let mut context = Context { clock: clock.clone(), ..Context::system() };
            if let Some(fs) = fs {
                context.fs = fs.clone();
            }
            context
        };
        let mut server_context = context(&self.server_fs, &self.server_clock);
        let mut studio_context = context(&self.studio_fs, &self.studio_clock);
        server_context.watch.clone_from(&self.server_watch);
        studio_context.watch.clone_from(&self.studio_watch);
        let studio_side = self.studio_side();
        std::thread::scope(|scope| {
            let studio = scope.spawn(move || {
                let end = serve(&studio_side, &mut studio_link, &studio_context);
                drop(studio_link);
                end
            });
            let side = self.server_side();
            let outcome = run(&side, request, &mut server_link, &server_context);
            drop(server_link);
            (outcome, studio.join().unwrap())
        })
    }

    pub fn sync_with(&self, request: &Request) -> Outcome {
        let (outcome, studio) = self.try_sync(request);
        match (outcome, studio) {
            (Ok(outcome), Ok(())) => outcome,
            (Err(error), studio) => panic!("server: {}; studio: {studio:?}", error.chain()),
            (_, Err(error)) => panic!("studio: {}", error.chain()),
        }
    }

    pub fn sync(&self) -> Outcome {
        self.sync_with(&Request::default())
    }

    /// Conflicts end in two files.
    pub fn sync_keeping_both(&self) -> Outcome {
        self.sync_with(&Request { on_conflict: OnConflict::KeepBoth, ..Request::default() })
    }

    /// Every content of files on either side.
    pub fn contents(&self) -> BTreeSet<Vec<u8>> {
        [self.server(""), self.studio("")]
            .iter()
            .flat_map(|root| tree(root).into_values())
            .filter_map(|thing| match thing {
                Thing::File { content, .. } => Some(content),
                Thing::Folder | Thing::Link(_) => None,
            })
            .collect()
    }

    /// Somebody can still read this, without looking into a trash.
    #[track_caller]
    pub fn assert_has(&self, content: impl AsRef<[u8]>) {
        let content = content.as_ref();
        assert!(
            self.contents().contains(content),
            "lost: {:?}",
            String::from_utf8_lossy(&content[..content.len().min(40)])
        );
    }

    /// Nothing is left to do.
    #[track_caller]
    pub fn assert_settled(&self) {
        let outcome = self.sync();
        assert!(outcome.conflicts.is_empty(), "{:?}", outcome.conflicts);
        assert_eq!(outcome.server_changes, []);
        assert_eq!(outcome.studio_changes, []);
        assert_eq!(tree(&self.server("")), tree(&self.studio("")));
    }

    /// Nothing is left to do. Compares no contents, which may be too large.
    #[track_caller]
    pub fn assert_same_later(&self) {
        let outcome = self.sync();
        assert!(outcome.conflicts.is_empty(), "{:?}", outcome.conflicts);
        assert_eq!((outcome.server_changes, outcome.studio_changes), (vec![], vec![]));
    }

    /// The database of what a side remembers; `None` before its first run.
    pub fn memory(&self, studio: bool) -> Option<PathBuf> {
        let folder = if studio { "studio.state" } else { "zone.state" };
        let items = fs::read_dir(self.folder.path().join(folder)).ok()?;
        items
            .map(|item| item.unwrap().path())
            .find(|path| path.extension().is_some_and(|ending| ending == "redb"))
    }

    /// Contents in the server's trash.
    pub fn trash(&self) -> Vec<Vec<u8>> {
        things(&self.folder.path().join("zone.trash"))
    }

    /// Contents that an interrupted run displaced and did not get into the trash any more; the next run does that. What was
    /// about to be new has no place in the trash and is not among them.
    pub fn staged(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for (stage, trash) in
            [("zone.state/stage", "zone.trash"), ("studio.state/stage", "studio.state/trash")]
        {
            let noted = LazyCell::new(|| noted(&self.folder.path().join(trash)));
            let mut waiting = vec![self.folder.path().join(stage)];
            while let Some(folder) = waiting.pop() {
                let Ok(items) = fs::read_dir(folder) else { continue };
                for item in items {
                    let item = item.unwrap();
                    if noted.contains(&item.file_name().into_string().unwrap()) {
                        found.extend(files_at(&item.path()));
                    } else if item.file_type().unwrap().is_dir() {
                        waiting.push(item.path());
                    }
                }
            }
        }
        found
    }

    pub fn studio_trash(&self) -> Vec<Vec<u8>> {
        things(&self.folder.path().join("studio.state/trash"))
    }
}

/// Names of the things that notes in a trash tell of.
fn noted(trash: &Path) -> std::collections::BTreeSet<String> {
    let Ok(items) = fs::read_dir(trash) else { return std::collections::BTreeSet::new() };
    let notes =
        items.filter_map(|item| fs::read_to_string(item.unwrap().path().join("notes")).ok());
    let lines: Vec<String> =
        notes.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let things = lines.iter().filter_map(|line| {
        let note: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(note["thing"].as_str()?.to_owned())
    });
    things.collect()
}

fn things(trash: &Path) -> Vec<Vec<u8>> {
    let Ok(items) = fs::read_dir(trash) else { return Vec::new() };
    let things = items.flat_map(|item| fs::read_dir(item.unwrap().path()).unwrap());
    let things = things.map(Result::unwrap).filter(|thing| thing.file_name() != "notes");
    things.flat_map(|thing| files_at(&thing.path())).collect()
}

/// The content of a file, or of all files in a folder.
fn files_at(path: &Path) -> Vec<Vec<u8>> {
    if !fs::symlink_metadata(path).unwrap().is_dir() {
        return fs::read(path).into_iter().collect();
    }
    let things = tree(path).into_values().filter_map(|thing| match thing {
        Thing::File { content, .. } => Some(content),
        Thing::Folder | Thing::Link(_) => None,
    });
    things.collect()
}

/// What is at a path: contents, so that they can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Folder,
    File { content: Vec<u8>, executable: bool },
    Link(PathBuf),
}

/// Everything below a folder.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for item in fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let thing = if metadata.is_dir() {
                waiting.push(path.clone());
                Thing::Folder
            } else if metadata.is_symlink() {
                Thing::Link(fs::read_link(&path).unwrap())
            } else if metadata.is_file() {
                let executable = metadata.mode() & 0o100 != 0;
                Thing::File { content: fs::read(&path).unwrap(), executable }
            } else {
                continue;
            };
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), thing);
        }
    }
    found
}

/// `ATELIER_LONG`: everything in full.
pub fn is_long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "how long to test is the caller's choice")]
    let long = std::env::var("ATELIER_LONG").is_ok();
    long
}

pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path.as_ref()).unwrap()).into_owned()
}

pub fn set_executable(path: impl AsRef<Path>, executable: bool) {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn link(target: &str, path: impl AsRef<Path>) {
    symlink(target, path).unwrap();
}

/// Bytes that nothing compresses, the same for the same seed.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
