//! Writing that a folder moved: its pages get other keys, and no record is taken apart but for the tally.

use redb::ReadableTable;

use super::{
    page::{self, Reader, Remembered},
    update::{Update, Updates, Updating, Word},
};
use crate::{RelPath, entry::Entry, moves::Move};

/// A key with its page.
type Page = (Vec<u8>, Vec<u8>);

impl Updating<'_, '_> {
    /// What is remembered of a folder and of all below it is remembered of its new path; of what was remembered there nothing is.
    pub(super) fn move_tree(&mut self, one: &Move) -> Result<(), redb::Error> {
        let Move { from, to } = one;
        for (key, page) in self.take(to)? {
            self.count(&key, &page, |updating, path, entry| {
                updating.tallier.remove(&mut updating.tally, path, entry);
            })?;
        }
        let Remembered { seen, agreed } = self.remembered(from)?;
        let updates = [
            (from.clone(), Update { seen: Word::Now(None), agreed: Word::Now(None) }),
            (to.clone(), Update { seen: Word::Now(seen.map(Box::new)), agreed: Word::Now(agreed) }),
        ];
        self.run(&Updates::from(updates))?;
        for (key, page) in self.take(from)? {
            self.count(&key, &page, |updating, path, entry| {
                updating.tallier.remove(&mut updating.tally, path, entry);
            })?;
            let rest = key.get(from.as_bytes().len()..).unwrap_or_default();
            let key = [to.as_bytes(), rest].concat();
            self.count(&key, &page, |updating, path, entry| {
                updating.tallier.add(&mut updating.tally, path, entry);
            })?;
            self.pages.insert(key.as_slice(), page.as_slice())?;
        }
        Ok(())
    }

    /// Takes the pages of a folder and of those in it away.
    pub(super) fn take(&mut self, folder: &RelPath) -> Result<Vec<Page>, redb::Error> {
        let mut taken = Vec::new();
        for range in page::below(folder.as_bytes()) {
            let pages = self.pages.range::<&[u8]>(range.start.as_slice()..range.end.as_slice())?;
            for item in pages {
                let (key, value) = item?;
                taken.push((key.value().to_vec(), value.value().to_vec()));
            }
        }
        for (key, _) in &taken {
            self.pages.remove(key.as_slice())?;
        }
        Ok(taken)
    }

    /// What is agreed in a page.
    pub(super) fn count(
        &mut self,
        key: &[u8],
        page: &[u8],
        mut count: impl FnMut(&mut Self, &RelPath, &Entry),
    ) -> Result<(), redb::Error> {
        let folder = page::folder_of(key).map_err(corrupted)?;
        for record in Reader::new(page, self.generation) {
            let (name, what) = record.map_err(corrupted)?;
            if let Some(entry) = &what.agreed {
                let path = RelPath::in_folder(folder.as_ref(), name).map_err(corrupted)?;
                count(self, &path, entry);
            }
        }
        Ok(())
    }

    fn remembered(&self, path: &RelPath) -> Result<Remembered, redb::Error> {
        let (folder, name) = path.parts();
        let (begin, end) = (page::key(folder, b""), page::key(folder, name));
        let Some(last) = self.pages.range(begin.as_slice()..=end.as_slice())?.next_back() else {
            return Ok(Remembered::default());
        };
        let (_, value) = last?;
        for record in Reader::new(value.value(), self.generation) {
            let (known, what) = record.map_err(corrupted)?;
            if known == name {
                return Ok(what);
            }
        }
        Ok(Remembered::default())
    }
}

fn corrupted(error: impl std::error::Error) -> redb::Error {
    redb::Error::Corrupted(error.to_string())
}
