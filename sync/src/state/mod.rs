//! What a side remembers between runs, in one embedded database: for each path what was last seen there and what both sides agreed
//! on, folder by folder; and block lists of large contents.
//!
//! It is written only after the files it speaks of are safe. A database that can't be read is put aside and begun anew: then
//! nothing is known of earlier runs, and nothing is ever deleted for that reason.

mod anew;
mod blocks;
#[cfg(test)]
mod fuzz;
mod gone;
mod memory;
mod moving;
mod opening;
mod page;
mod tally;
mod update;

pub(crate) use anew::Anew;
pub(crate) use memory::{Cursor, Memory};
pub(crate) use page::Remembered;
pub(crate) use tally::Tally;
pub(crate) use update::{Agreement, Update, Updates, Word};

pub(crate) use opening::distrusting;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Database, ReadableDatabase, TableDefinition};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use self::{tally::Tallier, update::Updating};
use crate::{
    RelPath,
    error::Error,
    fs::{FileSystem, RootIdentity},
    moves::Move,
};

const PAGES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pages");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FILE: &str = "memory.redb";

/// A root, as it was when it was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootName {
    /// Of the pod or volume.
    pub identity: String,
    pub folder: RootIdentity,
    /// Random.
    pub name: [u8; 16],
}

/// What is known of the agreed state without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Agreed {
    pub tally: Tally,
    /// The studio's root that it was agreed with.
    pub studio_root: [u8; 16],
}

impl Agreed {
    pub(crate) const fn is_of_nothing(&self) -> bool {
        self.tally.entries == 0
    }
}

/// One side's memory. One user at a time: the file is locked.
pub(crate) struct State {
    /// `None` only while it is closed.
    db: Option<Database>,
    /// After the database: it is closed first.
    mark: opening::Mark,
}

impl Drop for State {
    fn drop(&mut self) {
        let db = self.db.take();
        // A damaged one may panic even now: in the middle of another panic that would end the process.
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!("what is remembered could not be closed; it will be looked at");
            self.mark.keep();
        }
    }
}

fn broken<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
) -> impl FnOnce(E) -> Error {
    move |source| Error::State { what, source: Box::new(source) }
}

impl State {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("make the folder for what is remembered"))?;
        let (db, mark) = opening::open(&folder.join(FILE))?;
        let state = Self { db: Some(db), mark };
        state.make_tables().map_err(broken("opened"))?;
        Ok(state)
    }

    fn db(&self) -> &Database {
        self.db.as_ref().expect("it is closed with the state")
    }

    /// The next one to open it looks at every page.
    pub(crate) fn distrust(&self) {
        self.mark.keep();
    }

    fn make_tables(&self) -> Result<(), redb::Error> {
        let reading = self.db().begin_read()?;
        if reading.open_table(META).is_ok() && reading.open_table(PAGES).is_ok() {
            return Ok(());
        }
        let writing = self.db().begin_write()?;
        writing.open_table(PAGES)?;
        writing.open_table(META)?;
        writing.open_table(blocks::BLOCKS)?;
        writing.commit()?;
        Ok(())
    }

    /// The root's name; a new one, and no base, when it is not the root of before.
    pub(crate) fn root_name(
        &self,
        fs: &dyn FileSystem,
        identity: &str,
        folder: RootIdentity,
    ) -> Result<[u8; 16], Error> {
        if let Some(known) = self.meta::<RootName>("root")?
            && (known.identity.as_str(), known.folder) == (identity, folder)
        {
            return Ok(known.name);
        }
        let mut name = [0; 16];
        getrandom(&mut name, GetRandomFlags::empty())
            .map_err(|error| Error::io("draw a random name")(error.into()))?;
        let root = RootName { identity: identity.to_owned(), folder, name };
        let generation = self.generation()? + 1;
        fs.record().map_err(Error::io("remember the root"))?;
        self.write("written", |writing| {
            let mut meta = writing.open_table(META)?;
            meta.remove("agreed")?;
            meta.insert("generation", json(&generation).as_slice())?;
            meta.insert("root", json(&root).as_slice())?;
            Ok(())
        })?;
        Ok(name)
    }

    /// `None`: nothing is agreed.
    pub(crate) fn agreed(&self) -> Result<Option<Agreed>, Error> {
        self.meta("agreed")
    }

    fn generation(&self) -> Result<u32, Error> {
        Ok(self.meta("generation")?.unwrap_or(0))
    }

    /// What is remembered now.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let open = || -> Result<_, redb::Error> { Ok(self.db().begin_read()?.open_table(PAGES)?) };
        Ok(Memory { pages: open().map_err(broken("read"))?, generation: self.generation()? })
    }

    /// Remembers what was seen. Not on the disk before the next agreement: it can be seen again.
    pub(crate) fn learn(&self, fs: &dyn FileSystem, updates: &Updates) -> Result<(), Error> {
        if updates.is_empty() {
            return Ok(());
        }
        fs.record().map_err(Error::io("remember what was seen"))?;
        let generation = self.generation()?;
        let mut tallier = Tallier::new([0; 16]);
        let mut write = || -> Result<(), redb::Error> {
            let mut writing = self.db().begin_write()?;
            writing.set_durability(redb::Durability::None)?;
            let mut updating = Updating::new(&writing, generation, Tally::default(), &mut tallier)?;
            updating.run(updates)?;
            drop(updating);
            writing.commit()?;
            Ok(())
        };
        write().map_err(broken("written"))
    }

    /// Remembers an agreement, on top of that of before or (`begin_anew`) of nothing. What moved did so before the updates, and then
    /// folders went with all that is remembered below them.
    pub(crate) fn agree(
        &self,
        fs: &dyn FileSystem,
        moved: &[Move],
        gone: &[RelPath],
        updates: &Updates,
        begin_anew: bool,
        studio_root: [u8; 16],
    ) -> Result<(), Error> {
        let before = self.agreed()?.filter(|_| !begin_anew);
        let generation = self.generation()? + u32::from(before.is_none());
        let mut tallier = Tallier::new(studio_root);
        fs.record().map_err(Error::io("remember the agreed state"))?;
        self.write("written", |writing| {
            let tally = before.map(|before| before.tally).unwrap_or_default();
            let mut updating = Updating::new(writing, generation, tally, &mut tallier)?;
            for one in moved {
                updating.move_tree(one)?;
            }
            for folder in gone {
                updating.drop_tree(folder)?;
            }
            updating.run(updates)?;
            let tally = updating.finish(writing)?;
            let mut meta = writing.open_table(META)?;
            meta.insert("agreed", json(&Agreed { tally, studio_root }).as_slice())?;
            meta.insert("generation", json(&generation).as_slice())?;
            Ok(())
        })
    }

    fn write(
        &self,
        what: &'static str,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let write = || -> Result<(), redb::Error> {
            let writing = self.db().begin_write()?;
            change(&writing)?;
            writing.commit()?;
            Ok(())
        };
        write().map_err(broken(what))
    }

    fn meta<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<Option<T>, Error> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.db().begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        let value = read().map_err(broken("read"))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and text serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RelPath,
        entry::{Digest, Entry},
        fs::RealFileSystem,
    };

    fn path(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    fn agreed(entry: Option<Entry>) -> Update {
        Update { agreed: Word::Now(entry), ..Update::default() }
    }

    fn all(state: &State) -> Vec<String> {
        let mut all = Vec::new();
        state
            .memory()
            .unwrap()
            .each(|_| true, |path, what| all.extend(what.agreed.map(|_| path.to_string())))
            .unwrap();
        all.sort();
        all
    }

    #[test]
    fn another_pod_or_folder_forgets_what_was_agreed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let fs = &RealFileSystem;
        let root = RootIdentity { device: 1, inode: 2, born: Some((3, 4)) };
        let name = state.root_name(fs, "pod-1", root).unwrap();
        let updates = Updates::from([(path("a"), agreed(Some(Entry::Folder)))]);
        state.agree(fs, &[], &[], &updates, false, name).unwrap();
        assert_eq!(state.root_name(fs, "pod-1", root).unwrap(), name);
        assert_eq!(all(&state), ["a"]);
        let anew = RootIdentity { born: Some((5, 6)), ..root };
        assert_ne!(state.root_name(fs, "pod-1", anew).unwrap(), name);
        assert!(all(&state).is_empty());
        let name = state.root_name(fs, "pod-1", root).unwrap();
        state.agree(fs, &[], &[], &updates, false, name).unwrap();
        assert_ne!(state.root_name(fs, "pod-2", root).unwrap(), name);
        assert!(all(&state).is_empty() && state.agreed().unwrap().is_none());
    }

    #[test]
    fn rubbish_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), vec![7; 70_000]).unwrap();
        let state = State::open(folder.path()).unwrap();
        assert!(all(&state).is_empty());
        assert!(folder.path().join("memory.unreadable").exists());
    }

    #[test]
    fn what_moved_is_remembered_as_if_it_had_been_spelled_out() {
        let file = |text: &str| Entry::File {
            size: 1,
            digest: Digest::of(text.as_bytes()),
            executable: false,
        };
        let tree = |below: &str| -> Updates {
            let files = (0..2_000).map(|number| (format!("{below}/in/{number}"), file("same")));
            let folders = [below.to_owned(), format!("{below}/in"), format!("{below}/empty")];
            let folders = folders.into_iter().map(|folder| (folder, Entry::Folder));
            let all = files.chain(folders);
            all.map(|(name, entry)| (path(&name), agreed(Some(entry)))).collect()
        };
        let beside = || {
            let names = ["x", "x/a-b", "x/a0", "y"];
            names.map(|name| (path(name), agreed(Some(Entry::Folder))))
        };
        let open = || {
            let folder = tempfile::tempdir().unwrap();
            (State::open(folder.path()).unwrap(), folder)
        };
        let ((state, _folder), (other, _other)) = (open(), open());
        let mut before = tree("x/a");
        before.extend(beside());
        state.agree(&RealFileSystem, &[], &[], &before, false, [1; 16]).unwrap();
        let mut after = tree("y/b");
        after.extend(beside());
        other.agree(&RealFileSystem, &[], &[], &after, false, [1; 16]).unwrap();
        let one = Move { from: path("x/a"), to: path("y/b") };
        state.agree(&RealFileSystem, &[one], &[], &Updates::new(), false, [1; 16]).unwrap();
        assert_eq!(all(&state), all(&other));
        let tally = |state: &State| state.agreed().unwrap().unwrap().tally;
        assert_eq!(tally(&state), tally(&other));
        let mut below = 0;
        let memory = state.memory().unwrap();
        memory
            .below(&path("y/b"), |_, _| {
                below += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(below, 2_002);
    }

    /// Whatever the order and the pages, the same is remembered, and the digest tells.
    #[test]
    fn changes_of_long_folders_come_to_the_same() {
        let names: Vec<RelPath> =
            (0..3_000).map(|number| path(&format!("d/{:04}", number * 7 % 3_000))).collect();
        let file = |path: &RelPath| Entry::File {
            size: 1,
            digest: Digest::of(path.as_bytes()),
            executable: false,
        };
        let digests: Vec<[u8; 32]> = [1, 50, 3_000]
            .into_iter()
            .map(|step| {
                let folder = tempfile::tempdir().unwrap();
                let state = State::open(folder.path()).unwrap();
                for names in names.chunks(step) {
                    let updates =
                        names.iter().map(|name| (name.clone(), agreed(Some(file(name))))).collect();
                    let write = |updates| {
                        if step == 1 && all(&state).len() > 20 {
                            return;
                        }
                        state.agree(&RealFileSystem, &[], &[], updates, false, [1; 16]).unwrap();
                    };
                    write(&updates);
                }
                if step > 1 {
                    let gone: Updates = names
                        .iter()
                        .filter(|name| !name.as_bytes().ends_with(b"7"))
                        .map(|name| (name.clone(), agreed(None)))
                        .collect();
                    state.agree(&RealFileSystem, &[], &[], &gone, false, [1; 16]).unwrap();
                    assert_eq!(all(&state).len(), 300);
                    let memory = state.memory().unwrap();
                    for name in &names {
                        let there = memory.agreed(name).unwrap();
                        assert_eq!(there.is_some(), name.as_bytes().ends_with(b"7"), "{name}");
                    }
                    let mut cursor = memory.folder(Some(&path("d"))).unwrap();
                    let mut last = Vec::new();
                    while let Some((name, _)) = cursor.next().unwrap() {
                        assert!(name > last);
                        last = name;
                    }
                }
                state.agreed().unwrap().unwrap().tally.digest()
            })
            .collect();
        assert_eq!(digests.get(1), digests.get(2));
    }
}
