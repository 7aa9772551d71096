//! What a synchronisation replaced or deleted, until it expires: a folder `<time>-<id>` for what went together, with the things and
//! notes about them, a line of JSON each.
//!
//! The notes are there before the things are moved in, each by one rename: a crash leaves things that are whole, or notes about
//! nothing, which are no items and expire with the others. The control plane lists, restores and expires them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{self, BufRead as _, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use data_encoding::{BASE32_NOPAD, BASE64};
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};
use serde::{Deserialize, Serialize};

use crate::{
    RelPath,
    entry::Digest,
    fs::{FileSystem, Root, What, is_absent, look_in, names, open_folder_in, open_in},
};

pub(crate) const NOTES: &[u8] = b"notes";
pub(crate) const DELETED: &str = "deleted on the other side";
pub(crate) const REPLACED: &str = "replaced by the other side's version";
/// Most that is read of one folder's notes.
const LONGEST_NOTES: u64 = 256 << 20;
/// Most folders whose notes are searched for contents.
const MOST_SEARCHED: usize = 256;

/// Where a thing was, and why it is there no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The thing's name beside the notes.
    pub thing: String,
    /// Base64: any bytes.
    pub path: String,
    pub deleted_at_s: i64,
    /// For people.
    pub reason: String,
    /// Of its content, in hexadecimal, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Of the files in a folder that went as a whole, where their contents were known: path in it in Base64, and digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<(String, String)>,
}

/// A thing in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    folder: Vec<u8>,
    name: String,
    /// Of a file in a thing that is a folder.
    within: Option<RelPath>,
}

pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 10];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(BASE32_NOPAD.encode(&bytes).to_lowercase())
}

impl Note {
    pub(crate) fn new(
        thing: &str,
        path: &RelPath,
        digest: Option<Digest>,
        reason: &str,
        now_s: u64,
    ) -> Self {
        Self {
            thing: thing.to_owned(),
            path: BASE64.encode(path.as_bytes()),
            deleted_at_s: i64::try_from(now_s).unwrap_or(i64::MAX),
            reason: reason.to_owned(),
            digest: digest.map(|digest| digest.to_string()),
            within: Vec::new(),
        }
    }

    /// Of the files in a folder that went as a whole: path in it, and digest. `None`: nobody wrote it so.
    pub(crate) fn contents(&self) -> impl Iterator<Item = Option<(Vec<u8>, Digest)>> + '_ {
        self.within.iter().map(|(path, digest)| {
            Some((BASE64.decode(path.as_bytes()).ok()?, Digest::from_hex(digest)?))
        })
    }

    /// It made room for nothing.
    pub fn is_deletion(&self) -> bool {
        self.reason == DELETED
    }

    /// Of a folder: what is in it.
    pub(crate) fn with_contents<'p>(
        self,
        contents: impl Iterator<Item = (&'p [u8], Digest)>,
    ) -> Self {
        let within =
            contents.map(|(path, digest)| (BASE64.encode(path), digest.to_string())).collect();
        Self { within, ..self }
    }
}

pub(crate) fn write_notes(
    fs: &dyn FileSystem,
    folder: BorrowedFd<'_>,
    notes: &[Note],
) -> io::Result<File> {
    let mut text = Vec::new();
    for note in notes {
        serde_json::to_writer(&mut text, note)?;
        text.push(b'\n');
    }
    let file = fs.create(folder, NOTES, false)?;
    fs.write(&file, &text, 0)?;
    Ok(file)
}

/// The notes of one folder of the trash, also about things that never came or went back. A line that was cut off ends them.
pub fn read_notes(folder: BorrowedFd<'_>) -> io::Result<Vec<Note>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, NOTES, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let lines = io::BufReader::new(file.take(LONGEST_NOTES)).lines();
    let notes = lines.map_while(|line| serde_json::from_str(&line.ok()?).ok());
    Ok(notes.collect())
}

/// Where the trash has wanted contents, by what its newest notes say: somebody may have taken them since.
pub(crate) fn search(
    trash: BorrowedFd<'_>,
    wanted: &HashSet<Digest>,
) -> io::Result<HashMap<Digest, Thing>> {
    let mut found = HashMap::new();
    for folder in newest(trash)? {
        if found.len() == wanted.len() {
            break;
        }
        for note in notes_in(trash, &folder)? {
            let whole = note.digest.as_deref().and_then(Digest::from_hex).map(|it| (it, None));
            let within = note.contents().filter_map(|noted| {
                let (path, digest) = noted?;
                Some((digest, Some(RelPath::try_from(path.as_slice()).ok()?)))
            });
            for (digest, within) in whole.into_iter().chain(within) {
                if wanted.contains(&digest) {
                    let (folder, name) = (folder.clone(), note.thing.clone());
                    found.entry(digest).or_insert(Thing { folder, name, within });
                }
            }
        }
    }
    Ok(found)
}

/// Folders that went as a whole and are wanted by what their notes say, the newest for each path: somebody may have taken them since.
pub(crate) fn search_folders(
    trash: BorrowedFd<'_>,
    is_wanted: impl Fn(&RelPath, &Note) -> bool,
) -> io::Result<BTreeMap<RelPath, Thing>> {
    let mut found = BTreeMap::new();
    for folder in newest(trash)? {
        for note in notes_in(trash, &folder)? {
            let path = BASE64.decode(note.path.as_bytes()).ok();
            let path = path.and_then(|path| RelPath::try_from(path.as_slice()).ok());
            if let Some(path) =
                path.filter(|path| !note.within.is_empty() && is_wanted(path, &note))
            {
                let (folder, name) = (folder.clone(), note.thing);
                found.entry(path).or_insert(Thing { folder, name, within: None });
            }
        }
    }
    Ok(found)
}

/// The folders of a trash.
fn newest(trash: BorrowedFd<'_>) -> io::Result<impl Iterator<Item = Vec<u8>>> {
    let mut folders = names(trash)?;
    // They begin with the time, in as many digits for a long while.
    folders.sort_unstable_by(|one, other| other.cmp(one));
    Ok(folders.into_iter().take(MOST_SEARCHED))
}

/// As [`read_notes`]; none where the folder is gone.
fn notes_in(trash: BorrowedFd<'_>, folder: &[u8]) -> io::Result<Vec<Note>> {
    match open_folder_in(trash, folder) {
        Ok(inner) => read_notes(inner.as_fd()),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl Thing {
    /// The folder, if it still is one.
    pub(crate) fn folder(&self, trash: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        open_folder_in(open_folder_in(trash, &self.folder)?.as_fd(), self.name.as_bytes())
    }

    /// Moves it out of the trash, where nothing may have the name. Notes about nothing are not kept.
    pub(crate) fn take(
        &self,
        trash: BorrowedFd<'_>,
        fs: &dyn FileSystem,
        to: BorrowedFd<'_>,
        name: &[u8],
    ) -> io::Result<()> {
        let folder = open_folder_in(trash, &self.folder)?;
        fs.rename_new(folder.as_fd(), self.name.as_bytes(), to, name)?;
        if names(folder.as_fd())? == [NOTES] {
            fs.remove_file(folder.as_fd(), NOTES)?;
            fs.remove_folder(trash, &self.folder)?;
        }
        Ok(())
    }

    /// The file, if it still is one.
    pub(crate) fn open(&self, trash: BorrowedFd<'_>) -> io::Result<File> {
        let folder = open_folder_in(trash, &self.folder)?;
        match &self.within {
            None => open_in(folder.as_fd(), self.name.as_bytes()),
            Some(path) => {
                Root::of(open_folder_in(folder.as_fd(), self.name.as_bytes())?).file(path)
            }
        }
    }
}

/// Removes for good what came before `before` (since 1970). Answers how many items went. What can't be removed is tried again
/// the next time.
pub fn expire(trash: &Path, fs: &dyn FileSystem, before: Duration) -> io::Result<u64> {
    let root = match Root::open(trash) {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    expire_in(root.fd(), fs, before)
}

pub(crate) fn expire_in(
    trash: BorrowedFd<'_>,
    fs: &dyn FileSystem,
    before: Duration,
) -> io::Result<u64> {
    let mut gone = 0;
    for name in names(trash)? {
        let time = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| name.split_once('-')?.0.parse::<u64>().ok());
        if time.is_some_and(|time| time < before.as_secs()) {
            remove_all(trash, &name, fs)?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// A thing with all that is in it. Depth is bounded by the longest path.
pub(crate) fn remove_all(
    folder: BorrowedFd<'_>,
    name: &[u8],
    fs: &dyn FileSystem,
) -> io::Result<()> {
    match look_in(folder, name)?.map(|found| found.what) {
        None => Ok(()),
        Some(What::Folder) => {
            let inner = open_folder_in(folder, name)?;
            for name in names(inner.as_fd())? {
                remove_all(inner.as_fd(), &name, fs)?;
            }
            fs.remove_folder(folder, name)
        }
        Some(What::File | What::Link | What::Special(_)) => fs.remove_file(folder, name),
    }
}
