//! Two sides, and what is owed to those who use them.
//!
//! Before each run every content that lies on a side, or that waits beside it since a crash, is owed. After the run it must be
//! found: on a side, beside it, or in a trash; unless a user removed it while the run went on. So whatever disappears from a
//! side by a run is on the other, or can be had back, and no run, crash or message makes an exception. Nor does a run invent
//! anything: what lies on a side is always something that somebody wrote, whole. And where nobody is asked anything, both sides are
//! the same at once.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sync::{
    Clock, Direction, Fault, FaultyFileSystem, FileSystem, Keep, OnConflict, OnMassDeletion,
    Outcome, RealFileSystem, Request, Resolution, Watch,
};

use crate::{
    act::{Act, Deed, Trouble},
    common::{
        Mishap, Pair, Thing,
        interpose::{Effect, Instead, Interpose},
        power::PowerLoss,
        tree,
    },
    user::{carry_out, content, write_in},
};

type Contents = BTreeSet<Vec<u8>>;
/// Makes the file system of either side; for engines that are broken on purpose.
pub(crate) type Broken = fn() -> Arc<dyn FileSystem>;

struct At(u64);

impl Clock for At {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// What a user did while a run went on.
#[derive(Default)]
struct Meanwhile {
    removed: Contents,
    wrote: Contents,
}

type Shared = Arc<Mutex<Meanwhile>>;

pub(crate) struct World {
    pair: Pair,
    broken: Option<Broken>,
    owed: Contents,
    /// Everything that users ever wrote.
    written: Contents,
    stamp: usize,
}

fn contents(root: &Path) -> Contents {
    tree(root)
        .into_iter()
        .filter(|(path, _)| !path.starts_with(".atelier-sync"))
        .filter_map(|(_, thing)| match thing {
            Thing::File { content, .. } => Some(content),
            Thing::Folder | Thing::Link(_) => None,
        })
        .collect()
}

fn real() -> Arc<dyn FileSystem> {
    Arc::new(RealFileSystem)
}

fn request(direction: u8, both: bool) -> Request {
    Request {
        direction: [Direction::Both, Direction::ToServer, Direction::ToStudio]
            [usize::from(direction)],
        on_conflict: if both { OnConflict::KeepBoth } else { OnConflict::Report },
        on_mass_deletion: OnMassDeletion::Ask,
        ..Request::default()
    }
}

impl World {
    pub(crate) fn new(broken: Option<Broken>) -> Self {
        let mut world = Self {
            pair: Pair::in_memory(),
            broken,
            owed: Contents::new(),
            written: Contents::new(),
            stamp: 0,
        };
        world.mend();
        world
    }

    /// Everything happens; then whatever is open is answered, both sides are the same, and nothing is left to do.
    pub(crate) fn live(&mut self, acts: &[Act]) {
        for act in acts {
            self.act(act);
        }
        let settle = Request {
            on_conflict: OnConflict::KeepBoth,
            on_mass_deletion: OnMassDeletion::Restore,
            ..Request::default()
        };
        // Whoever is ready after one run less must have nothing to do in the next.
        for _ in 0..4 {
            let Outcome { server_changes, studio_changes, .. } = self.run(&settle, "the end");
            if server_changes.is_empty() && studio_changes.is_empty() {
                break;
            }
        }
        self.pair.assert_settled();
        // And what somebody deletes goes, when they say that they mean it.
        carry_out(&self.root(self.stamp.is_multiple_of(2)), &Deed::Wipe, self.stamp);
        let allow = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
        self.run(&allow, "the end of everything");
        self.pair.assert_settled();
        assert!(tree(&self.pair.server("")).is_empty());
        for state in ["zone.state", "studio.state"] {
            let state = fs::read_dir(self.pair.folder.path().join(state)).unwrap();
            let mut paths = state.map(|item| item.unwrap().path());
            let is_marked = paths.any(|path| path.extension().is_some_and(|it| it == "open"));
            assert!(!is_marked, "a memory is distrusted");
        }
    }

    fn root(&self, studio: bool) -> PathBuf {
        if studio { self.pair.studio("") } else { self.pair.server("") }
    }

    /// Nothing goes wrong from now on.
    fn mend(&mut self) {
        let fs = self.broken.map(|broken| broken());
        (self.pair.server_fs, self.pair.studio_fs) = (fs.clone(), fs);
        self.pair.server_mishap = Mishap::default();
        self.pair.studio_mishap = Mishap::default();
    }

    fn act(&mut self, act: &Act) {
        self.stamp += 1;
        let when = format!("{act:?}");
        match act {
            Act::User { studio, deed } => carry_out(&self.root(*studio), deed, self.stamp),
            Act::Sync { direction, both } => drop(self.run(&request(*direction, *both), &when)),
            Act::Resolve { choice } => self.resolve(*choice, &when),
            Act::Crash { studio, effects } => {
                let fs = FaultyFileSystem::new(Fault::Killed, *effects);
                self.with_file_system(*studio, Arc::new(fs), &when);
            }
            Act::Full { studio, effects } => {
                let fs = FaultyFileSystem::new(Fault::DiskFull, *effects);
                self.with_file_system(*studio, Arc::new(fs), &when);
            }
            Act::Power { studio, effects } => {
                self.with_file_system(*studio, Arc::new(PowerLoss::after(*effects)), &when);
            }
            Act::Watch { on } => self.watch(*on),
            Act::During { studio, effects, deed } => self.during(*studio, *effects, deed, &when),
            Act::Aim { studio, nth, content } => self.aim(*studio, *nth, *content, &when),
            Act::Message { studio, number, trouble } => {
                let mishap = match trouble {
                    Trouble::Cut => Mishap { cut_after: Some(*number), ..Mishap::default() },
                    Trouble::Corrupt(bit) => {
                        Mishap { corrupt: Some((*number, *bit)), ..Mishap::default() }
                    }
                    Trouble::Lose => Mishap { lose: Some(*number), ..Mishap::default() },
                    Trouble::Repeat => Mishap { repeat: Some(*number), ..Mishap::default() },
                    Trouble::Swap => Mishap { swap: Some(*number), ..Mishap::default() },
                };
                if *studio {
                    self.pair.studio_mishap = mishap;
                } else {
                    self.pair.server_mishap = mishap;
                }
                self.try_run(&request(0, self.stamp.is_multiple_of(2)), &when);
                self.mend();
            }
            Act::Clock { studio, time } => {
                let clock: Arc<dyn Clock> = Arc::new(At(*time));
                if *studio {
                    self.pair.studio_clock = clock;
                } else {
                    self.pair.server_clock = clock;
                }
            }
            Act::Forget { studio } => {
                if let Some(memory) = self.pair.memory(*studio) {
                    fs::remove_file(memory).unwrap();
                }
            }
            Act::NewPod => {
                // What the old pod had and the zone lacks is gone with it, unless it was brought back first.
                self.run(&request(1, true), &when);
                self.pair.identity = format!("pod-{}", self.stamp);
                fs::remove_dir_all(self.pair.studio("")).unwrap();
                fs::remove_dir_all(self.pair.folder.path().join("studio.state")).ok();
                fs::create_dir_all(self.pair.studio("")).unwrap();
                // A new agent.
                self.watch(self.pair.studio_watch.is_some());
            }
        }
    }

    fn watch(&mut self, on: bool) {
        let watch = || on.then(|| Arc::new(Watch::new(|| {})));
        (self.pair.server_watch, self.pair.studio_watch) = (watch(), watch());
    }

    fn resolve(&mut self, choice: u8, when: &str) {
        let check = Request { direction: Direction::Check, ..Request::default() };
        let conflicts = self.pair.sync_with(&check).conflicts;
        let resolutions = conflicts.into_iter().map(|conflict| Resolution {
            keep: match choice {
                0 => Keep::Server,
                1 => Keep::Studio,
                2 => Keep::Both,
                _ => Keep::Content(content(1, self.stamp)),
            },
            expect: Some(conflict.token),
            path: conflict.path,
        });
        self.written.insert(content(1, self.stamp));
        let request = Request { resolutions: resolutions.collect(), ..Request::default() };
        self.run(&request, when);
    }

    /// What a user removes or overwrites themselves while a run goes on, nobody owes them.
    fn during(&mut self, studio: bool, effects: u64, deed: &Deed, when: &str) {
        let meanwhile = Shared::default();
        let (root, deed, stamp) = (self.root(studio), deed.clone(), self.stamp);
        let (left, theirs) = (AtomicU64::new(effects), meanwhile.clone());
        let hook = move |_: Effect<'_>| {
            if left.fetch_sub(1, Ordering::SeqCst) == 0 {
                let before = contents(&root);
                carry_out(&root, &deed, stamp);
                let after = contents(&root);
                let mut theirs = theirs.lock().unwrap();
                theirs.removed.extend(before.difference(&after).cloned());
                theirs.wrote.extend(after.difference(&before).cloned());
            }
            Ok(Instead::Go)
        };
        self.while_running(studio, hook, &meanwhile, when);
    }

    fn aim(&mut self, studio: bool, nth: u64, number: u16, when: &str) {
        let meanwhile = Shared::default();
        let text = content(number, self.stamp);
        let (left, theirs) = (AtomicU64::new(nth), meanwhile.clone());
        let hook = move |effect: Effect<'_>| {
            match effect {
                Effect::RenameNew(_, _, folder, name) | Effect::Exchange(_, _, folder, name)
                    if !is_of_the_engine(name) && left.fetch_sub(1, Ordering::SeqCst) == 0 =>
                {
                    if let Some(before) = write_in(folder, name, &text) {
                        let mut theirs = theirs.lock().unwrap();
                        theirs.removed.insert(before);
                        theirs.wrote.insert(text.clone());
                    }
                }
                _ => {}
            }
            Ok(Instead::Go)
        };
        self.while_running(studio, hook, &meanwhile, when);
    }

    fn while_running(
        &mut self,
        studio: bool,
        hook: impl Fn(Effect<'_>) -> io::Result<Instead> + Send + Sync + 'static,
        meanwhile: &Shared,
        when: &str,
    ) {
        let then = self.broken.map_or_else(real, |broken| broken());
        self.place(studio, Arc::new(Interpose::before(hook, then)));
        self.note();
        let ends = self.pair.try_sync(&request(0, false));
        let Meanwhile { removed, wrote } = std::mem::take(&mut *meanwhile.lock().unwrap());
        self.written.extend(wrote.iter().cloned());
        self.owed.extend(wrote);
        self.owed.retain(|content| !removed.contains(content));
        self.check(when);
        assert!(ends.0.is_ok() && ends.1.is_ok(), "{when}: {:?} {:?}", ends.0.err(), ends.1.err());
        self.mend();
    }

    fn place(&mut self, studio: bool, fs: Arc<dyn FileSystem>) {
        if studio {
            self.pair.studio_fs = Some(fs);
        } else {
            self.pair.server_fs = Some(fs);
        }
    }

    fn with_file_system(&mut self, studio: bool, fs: Arc<dyn FileSystem>, when: &str) {
        self.place(studio, fs);
        self.try_run(&request(0, true), when);
        self.mend();
    }

    fn run(&mut self, request: &Request, when: &str) -> Outcome {
        self.note();
        let outcome = self.pair.sync_with(request);
        self.check(when);
        let Outcome { conflicts, questions, skipped, .. } = &outcome;
        // What somebody decides for a folder and a file may take another run.
        let is_plain = request.direction == Direction::Both && request.resolutions.is_empty();
        if is_plain && conflicts.is_empty() && questions.is_empty() && skipped.is_empty() {
            let same = tree(&self.pair.server("")) == tree(&self.pair.studio(""));
            assert!(same, "apart after {when}");
        }
        outcome
    }

    fn try_run(&mut self, request: &Request, when: &str) {
        self.note();
        // It may well fail: that is the point.
        self.pair.try_sync(request).0.ok();
        self.check(when);
    }

    fn note(&mut self) {
        self.owed = self.pair.contents();
        self.written.extend(self.owed.iter().cloned());
        self.owed.extend(self.pair.staged());
    }

    fn check(&mut self, when: &str) {
        let mut there = self.pair.contents();
        let invented = there.iter().find(|content| !self.written.contains(*content)).cloned();
        // All that a trash ever took is read only where something is on neither side.
        if !self.owed.is_subset(&there) {
            there.extend(self.pair.staged());
            there.extend(self.pair.trash());
            there.extend(self.pair.studio_trash());
        }
        for content in &self.owed {
            assert!(there.contains(content), "lost at {when}: {:?}", head(content));
        }
        assert!(invented.is_none(), "invented at {when}: {:?}", invented.as_deref().map(head));
    }
}

fn head(content: &[u8]) -> String {
    String::from_utf8_lossy(&content[..content.len().min(28)]).into_owned()
}

/// `<random>-<number>`, as things are named where they are staged and in the trash.
pub(crate) fn is_of_the_engine(name: &[u8]) -> bool {
    name.get(16) == Some(&b'-') && name.len() > 17
}
