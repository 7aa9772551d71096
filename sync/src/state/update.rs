//! Writing what is remembered.

use std::collections::{BTreeMap, HashSet};

use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    PAGES, blocks,
    page::{self, Reader, Remembered, Senseless, Writer},
    tally::{Tallier, Tally},
};
use crate::{
    RelPath,
    entry::{Digest, Entry},
    index::Known,
};

/// What becomes of something that is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) enum Word<T> {
    #[default]
    AsBefore,
    /// `None`: it is no more.
    Now(Option<T>),
}

/// A change of what is remembered of a path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    /// Most changes have none, and it is long.
    pub seen: Word<Box<Known>>,
    pub agreed: Word<Entry>,
}

impl Update {
    pub(crate) fn seen(known: Option<Known>) -> Self {
        Self { seen: Word::Now(known.map(Box::new)), agreed: Word::AsBefore }
    }
}

/// What both sides agree on; `None`: that there is nothing.
pub(crate) type Agreement = BTreeMap<RelPath, Option<Entry>>;

/// Changes by path.
pub(crate) type Updates = BTreeMap<RelPath, Update>;

pub(super) struct Updating<'t, 'k> {
    pub pages: Table<'t, &'static [u8], &'static [u8]>,
    pub generation: u32,
    pub tally: Tally,
    pub tallier: &'k mut Tallier,
    /// Contents that were agreed on and are no more, here.
    pub void: Vec<Digest>,
    /// Contents that are agreed on now.
    pub kept: HashSet<Digest>,
}

/// Where a name belongs.
#[derive(Default)]
struct Place {
    /// `None`: there is no page for it yet.
    page_key: Option<Vec<u8>>,
    old: Vec<u8>,
    /// Least name of the folder's next page.
    next: Option<Vec<u8>>,
}

impl<'t, 'k> Updating<'t, 'k> {
    pub(super) fn new(
        writing: &'t WriteTransaction,
        generation: u32,
        tally: Tally,
        tallier: &'k mut Tallier,
    ) -> Result<Self, redb::Error> {
        let (void, kept) = (Vec::new(), HashSet::new());
        let pages = writing.open_table(PAGES)?;
        Ok(Self { pages, generation, tally, tallier, void, kept })
    }

    /// Forgets the blocks of contents that nobody agrees on any more; answers what all comes to.
    pub(super) fn finish(self, writing: &WriteTransaction) -> Result<Tally, redb::Error> {
        let Self { pages, tally, mut void, kept, .. } = self;
        drop(pages);
        void.retain(|digest| !kept.contains(digest));
        blocks::forget(writing, &void)?;
        Ok(tally)
    }

    /// Folder by folder.
    pub(super) fn run(&mut self, updates: &Updates) -> Result<(), redb::Error> {
        let mut by_folder: BTreeMap<Option<&[u8]>, Vec<(&RelPath, &Update)>> = BTreeMap::new();
        for (path, update) in updates {
            by_folder.entry(path.parts().0).or_default().push((path, update));
        }
        for (folder, mut updates) in by_folder {
            // Paths are sorted as a whole: within one folder that is the order of names.
            updates.reverse();
            while let Some((path, _)) = updates.last() {
                self.page(folder, path.parts().1.to_vec().as_slice(), &mut updates)?;
            }
        }
        Ok(())
    }

    /// Changes the page in which `name` belongs, by as many updates (the next is the last) as belong in it too.
    fn page(
        &mut self,
        folder: Option<&[u8]>,
        name: &[u8],
        updates: &mut Vec<(&RelPath, &Update)>,
    ) -> Result<(), redb::Error> {
        let Place { page_key, old, next } = self.find(folder, name)?;
        let first = page_key.as_deref().map(page::least_name).unwrap_or_default();
        let mut writer = Writer::new(self.generation, first.to_vec());
        let records: Result<Vec<_>, Senseless> = Reader::new(&old, self.generation).collect();
        let records = records.map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        let mut records = records.into_iter().peekable();
        loop {
            let update = updates.last().map(|(path, update)| (*path, path.parts().1, *update));
            let update =
                update.filter(|(_, name, _)| next.as_deref().is_none_or(|next| *name < next));
            match (records.peek(), update) {
                (None, None) => break,
                (Some((known, _)), Some((_, name, _))) if *known < name => {
                    let Some((known, what)) = records.next() else { break };
                    writer.push(known, &what);
                }
                (Some(_), None) => {
                    let Some((known, what)) = records.next() else { break };
                    writer.push(known, &what);
                }
                (before, Some((path, name, update))) => {
                    let is_it = before.is_some_and(|(known, _)| *known == name);
                    let before = if is_it { records.next() } else { None };
                    let what = self.apply(path, before.map(|it| it.1).unwrap_or_default(), update);
                    writer.push(name, &what);
                    updates.pop();
                }
            }
        }
        let pages = writer.finish();
        if let Some(old) = &page_key
            && pages.is_empty()
        {
            self.pages.remove(old.as_slice())?;
        }
        for (first, content) in pages {
            self.pages.insert(page::key(folder, &first).as_slice(), content.as_slice())?;
        }
        Ok(())
    }

    fn find(&self, folder: Option<&[u8]>, name: &[u8]) -> Result<Place, redb::Error> {
        let (begin, here) = (page::key(folder, b""), page::key(folder, name));
        let mut place = Place::default();
        if let Some(found) = self.pages.range(begin.as_slice()..=here.as_slice())?.next_back() {
            let (key, value) = found?;
            (place.page_key, place.old) = (Some(key.value().to_vec()), value.value().to_vec());
        }
        let (mut behind, end) = (here, page::end(folder));
        behind.push(0);
        if let Some(next) = self.pages.range(behind.as_slice()..end.as_slice())?.next() {
            place.next = Some(page::least_name(next?.0.value()).to_vec());
        }
        Ok(place)
    }

    fn apply(&mut self, path: &RelPath, mut what: Remembered, update: &Update) -> Remembered {
        if let Word::Now(seen) = &update.seen {
            let seen = seen.as_deref();
            let digest = |known: &Known| known.entry.digest();
            let (before, now) = (what.seen.as_ref().and_then(digest), seen.and_then(digest));
            // Nobody ever agreed on it: what is known of its blocks is good for nothing.
            if before != now && before != what.agreed.as_ref().and_then(Entry::digest) {
                self.void.extend(before);
            }
            what.seen = seen.cloned();
        }
        if let Word::Now(agreed) = &update.agreed
            && what.agreed != *agreed
        {
            if let Some(before) = &what.agreed {
                self.tallier.remove(&mut self.tally, path, before);
                self.void.extend(before.digest());
            }
            if let Some(now) = agreed {
                self.tallier.add(&mut self.tally, path, now);
                self.kept.extend(now.digest());
            }
            what.agreed.clone_from(agreed);
        }
        what
    }
}
