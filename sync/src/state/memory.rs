//! Reading what is remembered, as it was at one moment; by several threads at once.

use redb::ReadOnlyTable;

use super::{
    broken,
    page::{self, Reader, Remembered},
};
use crate::{RelPath, entry::Entry, error::Error};

type Range = redb::Range<'static, &'static [u8], &'static [u8]>;

/// What is remembered.
pub(crate) struct Memory {
    pub(super) pages: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub(super) generation: u32,
}

/// The entries of one folder in the order of names, one page at a time in memory.
pub(crate) struct Cursor {
    range: Range,
    page: Vec<u8>,
    /// Where the next record begins, or where the page ends.
    at: usize,
    is_valid: bool,
    generation: u32,
}

impl Cursor {
    /// The next name with what is remembered of it.
    pub(crate) fn next(&mut self) -> Result<Option<(Vec<u8>, Remembered)>, Error> {
        loop {
            let rest = self.page.get(self.at..).unwrap_or_default();
            let mut reader = Reader::resume(rest, self.is_valid);
            if let Some((name, what)) = reader.next() {
                let name = name.to_vec();
                self.at = self.page.len() - reader.left();
                return Ok(Some((name, what)));
            }
            let Some(next) = self.range.next() else { return Ok(None) };
            let (_, value) = next.map_err(broken("read"))?;
            self.page.clear();
            self.page.extend_from_slice(value.value());
            let reader = Reader::new(&self.page, self.generation);
            (self.at, self.is_valid) = (self.page.len() - reader.left(), reader.is_valid());
        }
    }
}

impl Memory {
    pub(crate) fn folder(&self, folder: Option<&RelPath>) -> Result<Cursor, Error> {
        let folder = folder.map(RelPath::as_bytes);
        let (begin, end) = (page::key(folder, b""), page::end(folder));
        let range = self.pages.range(begin.as_slice()..end.as_slice()).map_err(broken("read"))?;
        let generation = self.generation;
        Ok(Cursor { range, page: Vec::new(), at: 0, is_valid: false, generation })
    }

    pub(crate) fn get(&self, path: &RelPath) -> Result<Remembered, Error> {
        let (folder, name) = path.parts();
        let (begin, end) = (page::key(folder, b""), page::key(folder, name));
        let mut range =
            self.pages.range(begin.as_slice()..=end.as_slice()).map_err(broken("read"))?;
        let Some(last) = range.next_back() else { return Ok(Remembered::default()) };
        let (_, value) = last.map_err(broken("read"))?;
        let found = Reader::new(value.value(), self.generation)
            .take_while(|(known, _)| *known <= name)
            .find(|(known, _)| *known == name);
        Ok(found.map(|(_, what)| what).unwrap_or_default())
    }

    pub(crate) fn agreed(&self, path: &RelPath) -> Result<Option<Entry>, Error> {
        Ok(self.get(path)?.agreed)
    }

    /// Everything that is wanted, folder by folder, in no order of folders.
    pub(crate) fn each(
        &self,
        is_wanted: impl Fn(&Remembered) -> bool,
        mut visit: impl FnMut(RelPath, Remembered),
    ) -> Result<(), Error> {
        for item in self.pages.range::<&[u8]>(..).map_err(broken("read"))? {
            let (key, value) = item.map_err(broken("read"))?;
            let folder = page::folder_of(key.value());
            for (name, what) in Reader::new(value.value(), self.generation) {
                if is_wanted(&what)
                    && let Ok(path) = RelPath::in_folder(folder.as_ref(), name)
                {
                    visit(path, what);
                }
            }
        }
        Ok(())
    }
}
