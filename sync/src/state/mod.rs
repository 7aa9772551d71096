//! What a side remembers between runs, in one embedded database: the index (what it hashed), the base (what both sides agreed
//! on) and block lists of large contents.
//!
//! It is written only after the files it speaks of are safe. A database that can't be read is put aside and begun anew: then
//! nothing is known of earlier runs, and nothing is ever deleted for that reason.

mod blocks;
mod opening;
mod record;

pub(crate) use opening::distrusting;

use std::{fs, path::Path};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use crate::{
    RelPath,
    entry::{Digest, Entry, Tree, tree_digest},
    error::Error,
    fs::{FileSystem, RootIdentity},
    index::Known,
};

const INDEX: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index");
const BASE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("base");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FILE: &str = "sync.redb";

/// A root, as it was when it was first seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootName {
    /// Of the pod or volume.
    pub identity: String,
    pub folder: RootIdentity,
    /// Random.
    pub name: [u8; 16],
}

/// What is known of the base without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseMark {
    pub digest: [u8; 32],
    /// The studio's root that it was agreed with.
    pub studio_root: [u8; 16],
}

/// Changes of the agreed state; `None`: gone on both sides.
pub(crate) type Agreement = std::collections::BTreeMap<RelPath, Option<Entry>>;

/// One side's memory. One user at a time: the file is locked.
pub(crate) struct State {
    db: Database,
    /// After the database: it is closed first.
    mark: opening::Mark,
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
        let state = Self { db, mark };
        state.make_tables().map_err(broken("opened"))?;
        Ok(state)
    }

    /// The next one to open it looks at every page.
    pub(crate) fn distrust(&self) {
        self.mark.keep();
    }

    fn make_tables(&self) -> Result<(), redb::Error> {
        let reading = self.db.begin_read()?;
        if reading.open_table(META).is_ok() && reading.open_table(blocks::BLOCKS).is_ok() {
            return Ok(());
        }
        let writing = self.db.begin_write()?;
        writing.open_table(INDEX)?;
        writing.open_table(BASE)?;
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
        fs.record().map_err(Error::io("remember the root"))?;
        self.write("written", |writing| {
            writing.delete_table(BASE)?;
            writing.open_table(BASE)?;
            let mut meta = writing.open_table(META)?;
            meta.remove("base")?;
            meta.insert("root", json(&root).as_slice())?;
            Ok(())
        })?;
        Ok(name)
    }

    pub(crate) fn base_mark(&self) -> Result<Option<BaseMark>, Error> {
        self.meta("base")
    }

    pub(crate) fn base(&self) -> Result<Tree, Error> {
        let read = || -> Result<Tree, redb::Error> {
            let mut tree = Tree::new();
            for item in self.db.begin_read()?.open_table(BASE)?.iter()? {
                let (path, entry) = item?;
                if let (Ok(path), Some(entry)) =
                    (RelPath::try_from(path.value()), record::entry(entry.value()))
                {
                    tree.insert(path, entry);
                }
            }
            Ok(tree)
        };
        read().map_err(broken("read"))
    }

    /// Records an agreement on top of `base` (empty where everything before is void), and answers the whole's digest.
    pub(crate) fn agree(
        &self,
        fs: &dyn FileSystem,
        base: &mut Tree,
        agreement: &Agreement,
        begin_anew: bool,
        studio_root: [u8; 16],
    ) -> Result<Digest, Error> {
        let mut void: Vec<Digest> = Vec::new();
        for (path, entry) in agreement {
            let before = match entry {
                Some(entry) => base.insert(path.clone(), entry.clone()),
                None => base.remove(path),
            };
            void.extend(
                before
                    .filter(|before| Some(before) != entry.as_ref())
                    .and_then(|before| before.digest()),
            );
        }
        let used: std::collections::HashSet<Digest> = if void.is_empty() {
            std::collections::HashSet::new()
        } else {
            base.values().filter_map(Entry::digest).collect()
        };
        void.retain(|digest| !used.contains(digest));
        let digest = tree_digest(base.iter());
        fs.record().map_err(Error::io("remember the agreed state"))?;
        self.write("written", |writing| {
            if begin_anew {
                writing.delete_table(BASE)?;
            }
            let mut table = writing.open_table(BASE)?;
            for (path, entry) in agreement {
                match entry {
                    Some(entry) => {
                        table.insert(path.as_bytes(), record::encode(entry).as_slice())?;
                    }
                    None => {
                        table.remove(path.as_bytes())?;
                    }
                }
            }
            blocks::forget(writing, &void)?;
            let mark = BaseMark { digest: digest.0, studio_root };
            writing.open_table(META)?.insert("base", json(&mark).as_slice())?;
            Ok(())
        })?;
        Ok(digest)
    }

    /// A look into the index, for one scan.
    pub(crate) fn index(&self) -> Result<IndexReader, Error> {
        let open = || -> Result<_, redb::Error> { Ok(self.db.begin_read()?.open_table(INDEX)?) };
        Ok(IndexReader { table: open().map_err(broken("read"))? })
    }

    /// `None`: no longer there.
    pub(crate) fn write_index(
        &self,
        fs: &dyn FileSystem,
        changes: &[(RelPath, Option<Known>)],
    ) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        fs.record().map_err(Error::io("remember what was scanned"))?;
        self.write("written", |writing| {
            let mut table = writing.open_table(INDEX)?;
            for (path, known) in changes {
                match known {
                    Some(known) => {
                        table.insert(path.as_bytes(), record::encode_known(known).as_slice())?;
                    }
                    None => {
                        table.remove(path.as_bytes())?;
                    }
                }
            }
            Ok(())
        })
    }

    fn write(
        &self,
        what: &'static str,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let write = || -> Result<(), redb::Error> {
            let writing = self.db.begin_write()?;
            change(&writing)?;
            writing.commit()?;
            Ok(())
        };
        write().map_err(broken(what))
    }

    fn meta<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<Option<T>, Error> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.db.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        let value = read().map_err(broken("read"))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

/// The index, as it was when opened.
pub(crate) struct IndexReader {
    table: redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl IndexReader {
    pub(crate) fn get(&self, path: &RelPath) -> Result<Option<Known>, Error> {
        let found = self.table.get(path.as_bytes()).map_err(broken("read"))?;
        Ok(found.and_then(|value| record::known(value.value())))
    }

    /// In the order of paths.
    pub(crate) fn paths(&self) -> Result<Vec<RelPath>, Error> {
        let mut paths = Vec::new();
        for item in self.table.iter().map_err(broken("read"))? {
            let (path, _) = item.map_err(broken("read"))?;
            paths.extend(RelPath::try_from(path.value()));
        }
        Ok(paths)
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and text serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFileSystem;

    fn path(text: &str) -> RelPath {
        RelPath::try_from(text).unwrap()
    }

    #[test]
    fn another_pod_or_folder_forgets_the_base() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let fs = &RealFileSystem;
        let root = RootIdentity { device: 1, inode: 2, born: Some((3, 4)) };
        let name = state.root_name(fs, "pod-1", root).unwrap();
        let agreement = Agreement::from([(path("a"), Some(Entry::Folder))]);
        state.agree(fs, &mut Tree::new(), &agreement, false, name).unwrap();
        assert_eq!(state.root_name(fs, "pod-1", root).unwrap(), name);
        assert_eq!(state.base().unwrap().len(), 1);
        let anew = RootIdentity { born: Some((5, 6)), ..root };
        assert_ne!(state.root_name(fs, "pod-1", anew).unwrap(), name);
        assert!(state.base().unwrap().is_empty());
        let name = state.root_name(fs, "pod-1", root).unwrap();
        state.agree(fs, &mut Tree::new(), &agreement, false, name).unwrap();
        assert_ne!(state.root_name(fs, "pod-2", root).unwrap(), name);
        assert!(state.base().unwrap().is_empty() && state.base_mark().unwrap().is_none());
    }

    #[test]
    fn rubbish_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), vec![7; 70_000]).unwrap();
        let state = State::open(folder.path()).unwrap();
        assert!(state.base().unwrap().is_empty());
        assert!(folder.path().join("sync.unreadable").exists());
    }
}
