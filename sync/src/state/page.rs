//! How remembered entries lie in the database: the entries of one folder, sorted by name, in pages.
//!
//! ```text
//! key    folder, NUL, the least name that the page may have (empty for a folder's first page)
//! value  generation of the agreed states in it (4 bytes), then records:
//!        flags, length of the name, name,
//!        what was seen:  file: size, digest, stamp · link: length, text, stamp · folder: inode, device
//!        what is agreed, where it is something else than what was seen: the same without a stamp
//! ```
//! Numbers are little-endian; sizes and lengths are LEB128. An agreed state of another generation is void.
//!
//! Whatever could not have been written here is an error, not an end: a folder that is remembered in part would be a lie.

use thiserror::Error;

use std::ops::Range;

use crate::{
    LONGEST_LINK, RelPath,
    entry::{Digest, Entry},
    fs::Stamp,
    index::Known,
};

/// A page is split when it has grown beyond this.
const LARGEST_BYTES: usize = 32 << 10;

/// Nobody wrote it so: what is remembered is damaged, or another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a page makes no sense")]
pub(crate) struct Senseless;

const SEEN: u8 = 0b0000_0011;
const SEEN_EXECUTABLE: u8 = 0b0000_0100;
const RACY: u8 = 0b0000_1000;
const AGREED: u8 = 0b0011_0000;
const AGREED_SAME: u8 = 0b0001_0000;
const AGREED_OTHER: u8 = 0b0010_0000;
/// The file could be executed by its owner, as the stamp says; that of the entry may differ.
const STAMP_EXECUTABLE: u8 = 0b0100_0000;
const UNUSED: u8 = 0b1000_0000;

/// What is remembered of a name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remembered {
    /// When this side was last looked at.
    pub seen: Option<Known>,
    /// By both sides.
    pub agreed: Option<Entry>,
}

pub(super) fn key(folder: Option<&[u8]>, name: &[u8]) -> Vec<u8> {
    let folder = folder.unwrap_or_default();
    let mut key = Vec::with_capacity(folder.len() + 1 + name.len());
    key.extend_from_slice(folder);
    key.push(0);
    key.extend_from_slice(name);
    key
}

/// First key behind a folder's pages.
pub(super) fn end(folder: Option<&[u8]>) -> Vec<u8> {
    let mut key = folder.unwrap_or_default().to_vec();
    key.push(1);
    key
}

/// The keys of a folder's pages, and those of the folders in it.
pub(super) fn below(folder: &[u8]) -> [Range<Vec<u8>>; 2] {
    let inside = |end: u8| [folder, &[end]].concat();
    [key(Some(folder), b"")..end(Some(folder)), inside(b'/')..inside(b'/' + 1)]
}

/// The least name that a page may have.
pub(super) fn least_name(key: &[u8]) -> &[u8] {
    key.iter().position(|&byte| byte == 0).and_then(|end| key.get(end + 1..)).unwrap_or_default()
}

/// The folder of a key; `None`: the root.
pub(super) fn folder_of(key: &[u8]) -> Result<Option<RelPath>, Senseless> {
    let end = key.iter().position(|&byte| byte == 0).ok_or(Senseless)?;
    match key.get(..end).ok_or(Senseless)? {
        [] => Ok(None),
        folder => RelPath::try_from(folder).map(Some).map_err(|_| Senseless),
    }
}

/// Whether a page belongs where its key says, behind the name `last` of the same folder (empty: there is none), and has something in
/// it. Of pages whose names overlap some would be found in one way, and others in another.
pub(super) fn is_in_place(key: &[u8], page: &[u8], last: &[u8]) -> bool {
    let least = least_name(key);
    let is_behind = last.is_empty() || last < least;
    is_behind
        && match Reader::new(page, 0).next() {
            Some(Ok((first, _))) => first >= least,
            // Whoever reads it gets to know.
            Some(Err(Senseless)) => true,
            None => false,
        }
}

/// Reads one record after the other. Names are single components, each greater than the one before.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether agreed states are of this generation.
    is_valid: bool,
    last: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(page: &'a [u8], generation: u32) -> Self {
        let (rest, is_valid) = match page.split_first_chunk::<4>() {
            Some((mark, rest)) => (rest, u32::from_le_bytes(*mark) == generation),
            // No record is so short.
            None => (page, false),
        };
        Self { rest, is_valid, last: b"" }
    }

    /// `rest` of a page whose reading was interrupted after the name `last`.
    pub(super) const fn resume(rest: &'a [u8], is_valid: bool, last: &'a [u8]) -> Self {
        Self { rest, is_valid, last }
    }

    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) const fn is_valid(&self) -> bool {
        self.is_valid
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*chunk)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }

    fn signed(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_le_bytes)
    }

    fn entry(&mut self, kind: u8, executable: bool) -> Option<Entry> {
        Some(match kind {
            1 => Entry::Folder,
            2 => {
                let size = self.number().filter(|&size| i64::try_from(size).is_ok())?;
                Entry::File { size, digest: Digest(self.chunk()?), executable }
            }
            3 => {
                let length = usize::try_from(self.number()?).ok()?;
                let target = self.take(length).filter(|target| is_link(target))?;
                Entry::Link { target: target.into() }
            }
            _ => return None,
        })
    }

    fn stamp(&mut self, entry: &Entry, flags: u8) -> Option<Stamp> {
        let mut stamp = Stamp::default();
        if !entry.is_folder() {
            (stamp.mtime_ns, stamp.ctime_ns) = (self.signed()?, self.signed()?);
            stamp.size = self.number()?;
        }
        (stamp.inode, stamp.device) = (self.number()?, self.number()?);
        stamp.executable = flags & STAMP_EXECUTABLE != 0;
        Some(stamp)
    }

    fn record(&mut self) -> Option<(&'a [u8], Remembered)> {
        let flags = self.byte()?;
        let length = self.byte()?;
        let name = self.take(length.into())?;
        if !is_name(name) || name <= self.last || flags & UNUSED != 0 {
            return None;
        }
        let seen = match flags & SEEN {
            0 => None,
            kind => {
                let entry = self.entry(kind, flags & SEEN_EXECUTABLE != 0)?;
                let stamp = self.stamp(&entry, flags)?;
                Some(Known { entry, stamp, racy: flags & RACY != 0 })
            }
        };
        let agreed = match flags & AGREED {
            0 => None,
            AGREED_SAME => Some(seen.as_ref()?.entry.clone()),
            AGREED_OTHER => {
                let kind = self.byte()?;
                Some(self.entry(kind & SEEN, kind & SEEN_EXECUTABLE != 0)?)
            }
            _ => return None,
        };
        if seen.is_none() && agreed.is_none() {
            return None;
        }
        self.last = name;
        Some((name, Remembered { seen, agreed: agreed.filter(|_| self.is_valid) }))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(&'a [u8], Remembered), Senseless>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record().ok_or(Senseless);
        if record.is_err() {
            self.rest = b"";
        }
        Some(record)
    }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a symbolic link can have this text.
fn is_link(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= LONGEST_LINK && !target.contains(&0)
}

/// Writes a folder's records into pages.
pub(super) struct Writer {
    generation: u32,
    page: Vec<u8>,
    first: Vec<u8>,
    done: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Writer {
    /// `first`: the least name of the first page.
    pub(super) fn new(generation: u32, first: Vec<u8>) -> Self {
        let page = generation.to_le_bytes().to_vec();
        Self { generation, page, first, done: Vec::new() }
    }

    pub(super) fn push(&mut self, name: &[u8], what: &Remembered) {
        if self.page.len() > LARGEST_BYTES {
            let page = std::mem::replace(&mut self.page, self.generation.to_le_bytes().to_vec());
            self.done.push((std::mem::replace(&mut self.first, name.to_vec()), page));
        }
        let agreed = match (&what.agreed, &what.seen) {
            (None, None) => return,
            (None, Some(_)) => 0,
            (Some(agreed), Some(seen)) if *agreed == seen.entry => AGREED_SAME,
            (Some(_), _) => AGREED_OTHER,
        };
        let seen = what.seen.as_ref().map_or(0, |seen| {
            kind(&seen.entry)
                | if seen.racy { RACY } else { 0 }
                | if seen.stamp.executable { STAMP_EXECUTABLE } else { 0 }
        });
        self.page.push(seen | agreed);
        self.page.push(u8::try_from(name.len()).expect("names have at most 255 bytes"));
        self.page.extend_from_slice(name);
        if let Some(seen) = &what.seen {
            self.entry(&seen.entry);
            self.stamp(&seen.entry, &seen.stamp);
        }
        if let (AGREED_OTHER, Some(agreed)) = (agreed, &what.agreed) {
            self.page.push(kind(agreed));
            self.entry(agreed);
        }
    }

    /// Pages with their least names, none of them empty.
    pub(super) fn finish(mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if self.page.len() > 4 {
            self.done.push((self.first, self.page));
        }
        self.done
    }

    fn number(&mut self, mut value: u64) {
        loop {
            let [low, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                return self.page.push(low & 0x7f);
            }
            self.page.push(low | 0x80);
        }
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Folder => {}
            Entry::File { size, digest, .. } => {
                self.number(*size);
                self.page.extend_from_slice(&digest.0);
            }
            Entry::Link { target } => {
                self.number(target.len() as u64);
                self.page.extend_from_slice(target);
            }
        }
    }

    fn stamp(&mut self, entry: &Entry, stamp: &Stamp) {
        if !entry.is_folder() {
            self.page.extend_from_slice(&stamp.mtime_ns.to_le_bytes());
            self.page.extend_from_slice(&stamp.ctime_ns.to_le_bytes());
            self.number(stamp.size);
        }
        self.number(stamp.inode);
        self.number(stamp.device);
    }
}

const fn kind(entry: &Entry) -> u8 {
    match entry {
        Entry::Folder => 1,
        Entry::File { executable: false, .. } => 2,
        Entry::File { executable: true, .. } => 2 | SEEN_EXECUTABLE,
        Entry::Link { .. } => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, executable: bool) -> Entry {
        Entry::File { size, digest: Digest::of(&size.to_le_bytes()), executable }
    }

    fn all() -> Vec<(Vec<u8>, Remembered)> {
        let stamp = Stamp {
            size: 300,
            mtime_ns: -5,
            ctime_ns: i64::MAX,
            inode: u64::MAX,
            device: 7,
            executable: true,
        };
        let folder = Stamp { inode: 9, device: 7, ..Stamp::default() };
        let link = Entry::Link { target: b"\xffx".as_slice().into() };
        let known = |entry: Entry, racy| {
            let stamp = if entry.is_folder() { folder } else { stamp };
            Some(Known { entry, stamp, racy })
        };
        vec![
            (b"a".to_vec(), Remembered { seen: known(file(300, true), true), agreed: None }),
            (b"b".to_vec(), Remembered { seen: None, agreed: Some(file(1, true)) }),
            (b"c".to_vec(), Remembered { seen: known(link.clone(), false), agreed: Some(link) }),
            (
                b"d".to_vec(),
                Remembered { seen: known(Entry::Folder, false), agreed: Some(file(2, false)) },
            ),
            (
                vec![b'e'; 255],
                Remembered {
                    seen: known(Entry::Folder, false),
                    agreed: Some(Entry::Link { target: vec![b'x'; 4_095].into() }),
                },
            ),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new(3, Vec::new());
        for (name, what) in all() {
            writer.push(&name, &what);
        }
        let pages = writer.finish();
        let [(first, page)] = pages.as_slice() else { panic!("{}", pages.len()) };
        assert!(first.is_empty());
        let read = |generation| -> Vec<_> {
            let records = Reader::new(page, generation).map(Result::unwrap);
            records.map(|(name, what)| (name.to_vec(), what)).collect()
        };
        assert_eq!(read(3), all());
        assert!(read(4).iter().all(|(_, what)| what.agreed.is_none()));
    }

    #[test]
    fn long_folders_are_split() {
        let mut writer = Writer::new(0, Vec::new());
        let what = Remembered { seen: None, agreed: Some(file(1, false)) };
        let names: Vec<Vec<u8>> = (0..5_000).map(|n| format!("{n:05}").into_bytes()).collect();
        for name in &names {
            writer.push(name, &what);
        }
        let pages = writer.finish();
        assert!(pages.len() > 3);
        let read: Vec<Vec<u8>> = pages
            .iter()
            .flat_map(|(_, page)| Reader::new(page, 0).map(|it| it.unwrap().0.to_vec()))
            .collect();
        assert_eq!(read, names);
        for (first, page) in pages.iter().skip(1) {
            assert_eq!(Reader::new(page, 0).next().unwrap().unwrap().0, first);
        }
    }

    /// What a page can't have, whoever wrote it: names that lead elsewhere, kinds that do not exist, a wrong order.
    #[test]
    fn what_nobody_wrote_is_no_memory() {
        let folder = |name: &[u8]| {
            let length = u8::try_from(name.len()).unwrap();
            [&[SEEN & 1, length][..], name, &[9, 7]].concat()
        };
        let read = |records: &[&[u8]]| -> Result<usize, Senseless> {
            let page = [&[0; 4][..], &records.concat()].concat();
            let mut reader = Reader::new(&page, 0);
            reader.try_fold(0, |count, record| record.map(|_| count + 1))
        };
        assert_eq!(read(&[&folder(b"a"), &folder(b"b")]), Ok(2));
        for name in [&b"a/b"[..], b"..", b".", b"", b"/etc", b"a\0b", b"../../etc"] {
            assert_eq!(read(&[&folder(name)]), Err(Senseless), "{}", name.escape_ascii());
        }
        for records in [
            &[&folder(b"b")[..], &folder(b"a")][..],
            &[&folder(b"a"), &folder(b"a")],
            &[b"\x00\x01a"],
            &[b"\x10\x01a"],
            &[b"\x30\x01a"],
            &[b"\x81\x01a\x09\x07"],
            // Agreed, of a kind that does not exist; a link without a text; a file of 2⁶³ bytes.
            &[b"\x20\x01a\x00"],
            &[b"\x20\x01a\x03\x00"],
            &[&[&b"\x20\x01a\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"[..], &[0; 32]].concat()],
            &[b"\xff\xff\x01"],
            &[&folder(b"a"), b"\x01"],
        ] {
            assert_eq!(read(records), Err(Senseless), "{records:?}");
        }
        for page in [&b"\x00"[..], b"\x00\x00\x00"] {
            assert_eq!(Reader::new(page, 0).next(), Some(Err(Senseless)));
        }
    }
}
