//! Reading what is remembered, as it was at one moment; by several threads at once.

use redb::ReadOnlyTable;

use super::{
    broken,
    page::{self, Reader, Remembered, Senseless},
};
use crate::{RelPath, entry::Entry, error::Error, index::RESERVED};

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
    is_root: bool,
    /// The name that was given last.
    last: Vec<u8>,
}

impl Cursor {
    /// The next name with what is remembered of it.
    pub(crate) fn next(&mut self) -> Result<Option<(Vec<u8>, Remembered)>, Error> {
        loop {
            let rest = self.page.get(self.at..).unwrap_or_default();
            let mut reader = Reader::resume(rest, self.is_valid, &self.last);
            if let Some(record) = reader.next() {
                let (name, what) = record.map_err(broken("read"))?;
                if self.is_root && name == RESERVED {
                    return Err(broken("read")(Senseless));
                }
                let name = name.to_vec();
                self.at = self.page.len() - reader.left();
                self.last.clone_from(&name);
                return Ok(Some((name, what)));
            }
            let Some(next) = self.range.next() else { return Ok(None) };
            let (key, value) = next.map_err(broken("read"))?;
            if !page::is_in_place(key.value(), value.value(), &self.last) {
                return Err(broken("read")(Senseless));
            }
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
        let (page, last, is_root) = (Vec::new(), Vec::new(), folder.is_none());
        Ok(Cursor { range, page, at: 0, is_valid: false, generation, is_root, last })
    }

    pub(crate) fn get(&self, path: &RelPath) -> Result<Remembered, Error> {
        let (folder, name) = path.parts();
        let (begin, end) = (page::key(folder, b""), page::key(folder, name));
        let mut range =
            self.pages.range(begin.as_slice()..=end.as_slice()).map_err(broken("read"))?;
        let Some(last) = range.next_back() else { return Ok(Remembered::default()) };
        let (_, value) = last.map_err(broken("read"))?;
        for record in Reader::new(value.value(), self.generation) {
            let (known, what) = record.map_err(broken("read"))?;
            if known >= name {
                return Ok(if known == name { what } else { Remembered::default() });
            }
        }
        Ok(Remembered::default())
    }

    pub(crate) fn agreed(&self, path: &RelPath) -> Result<Option<Entry>, Error> {
        Ok(self.get(path)?.agreed)
    }

    /// Everything below a folder, folder by folder.
    pub(crate) fn below(
        &self,
        folder: &RelPath,
        mut visit: impl FnMut(RelPath, Remembered) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for range in page::below(folder.as_bytes()) {
            let pages = self.pages.range::<&[u8]>(range.start.as_slice()..range.end.as_slice());
            for item in pages.map_err(broken("read"))? {
                let (key, value) = item.map_err(broken("read"))?;
                let folder = page::folder_of(key.value()).map_err(broken("read"))?;
                for record in Reader::new(value.value(), self.generation) {
                    let (name, what) = record.map_err(broken("read"))?;
                    let path = RelPath::in_folder(folder.as_ref(), name);
                    visit(path.map_err(broken("read"))?, what)?;
                }
            }
        }
        Ok(())
    }

    /// Everything that is wanted, folder by folder, in no order of folders.
    pub(crate) fn each(
        &self,
        is_wanted: impl Fn(&Remembered) -> bool,
        mut visit: impl FnMut(RelPath, Remembered),
    ) -> Result<(), Error> {
        let mut before: Option<(Option<RelPath>, Vec<u8>)> = None;
        for item in self.pages.range::<&[u8]>(..).map_err(broken("read"))? {
            let (key, value) = item.map_err(broken("read"))?;
            let folder = page::folder_of(key.value()).map_err(broken("read"))?;
            let mut last = match before.take() {
                Some((same, last)) if same == folder => last,
                _ => Vec::new(),
            };
            if !page::is_in_place(key.value(), value.value(), &last) {
                return Err(broken("read")(Senseless));
            }
            for record in Reader::new(value.value(), self.generation) {
                let (name, what) = record.map_err(broken("read"))?;
                if folder.is_none() && name == RESERVED {
                    return Err(broken("read")(Senseless));
                }
                last.clear();
                last.extend_from_slice(name);
                if is_wanted(&what) {
                    let path = RelPath::in_folder(folder.as_ref(), name);
                    visit(path.map_err(broken("read"))?, what);
                }
            }
            before = Some((folder, last));
        }
        Ok(())
    }
}
