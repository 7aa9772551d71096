//! Commits of a versioned zone: made, listed, compared, looked into.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use gix::{
    Commit, ObjectId, Repository,
    actor::Signature,
    bstr::ByteSlice as _,
    date::{Time, parse::TimeBuf},
    objs::tree::EntryKind,
    refs::transaction::{PreviousValue, RefEdit},
};
use time::OffsetDateTime;

use super::{
    dir::Folder,
    snapshot::{Remembered, Snapshot},
};
use crate::{
    domain::zone_files::{Author, ChangeKind, CommitInfo, FileChange, NewCommit, ZonePath},
    zones::ZoneError,
};

/// Larger files have no diff.
const DIFF_LIMIT: u64 = 1 << 20;
/// Files that a commit's message names.
const NAMED: usize = 20;
/// More new objects than this are flushed by flushing the file system.
const FLUSHED_SINGLY: usize = 32;
const TRAILER: &str = "Studio: ";

pub(super) fn broken(what: &'static str) -> impl Fn(gix::Error) -> ZoneError {
    move |source| ZoneError::History { what, source: Box::new(source) }
}

/// Opens the repository, making it when there is none. A crash leaves none, or a whole one.
pub(super) fn open(path: &Path) -> Result<Repository, ZoneError> {
    let options = gix::open::Options::isolated();
    if !path.exists() {
        let making = path.with_extension("git-new");
        let failed =
            |source| ZoneError::Io { what: "the zone's history can't be made".to_owned(), source };
        if making.exists() {
            fs::remove_dir_all(&making).map_err(failed)?;
        }
        gix::ThreadSafeRepository::init_opts(
            &making,
            gix::create::Kind::Bare,
            gix::create::Options::default(),
            options.clone(),
        )
        .map_err(broken("made"))?;
        fs::rename(&making, path).map_err(failed)?;
    }
    Ok(gix::ThreadSafeRepository::open_opts(path, options)
        .map_err(broken("opened"))?
        .to_thread_local())
}

fn head(repo: &Repository) -> Result<Option<Commit<'_>>, ZoneError> {
    match repo.head().map_err(broken("read"))?.into_peeled_id() {
        Ok(id) => Ok(Some(repo.find_commit(id.detach()).map_err(broken("read"))?)),
        Err(_) if repo.head().map_err(broken("read"))?.is_unborn() => Ok(None),
        Err(error) => Err(ZoneError::History { what: "read", source: Box::new(error) }),
    }
}

/// Commits the folder as it is, if it differs from the newest commit.
pub(super) fn commit(
    repo: &Repository,
    root: &Folder,
    remembered: &mut Remembered,
    author: &Author,
    subject: &str,
    now: OffsetDateTime,
) -> Result<Option<NewCommit>, ZoneError> {
    let mut snapshot = Snapshot::new(repo, remembered, now.unix_timestamp());
    let tree = snapshot.take(root)?;
    let (mut written, warnings) = (snapshot.written, snapshot.warnings);
    let parent = head(repo)?;
    let old_tree = match &parent {
        Some(parent) => Some(parent.tree_id().map_err(broken("read"))?.detach()),
        None if tree == ObjectId::empty_tree(repo.object_hash()) => return Ok(None),
        None => None,
    };
    if old_tree == Some(tree) {
        return Ok(None);
    }
    let changes = compare(repo, old_tree, Some(tree))?;
    let changes: Vec<FileChange> = changes
        .into_iter()
        .map(|(path, old, new)| FileChange { path, kind: change_kind(old, new), diff: None })
        .collect();
    let message = message(subject, author, &changes);
    let signature = Signature {
        name: clean(&author.name).into(),
        email: clean(&author.email).into(),
        time: Time::new(now.unix_timestamp(), 0),
    };
    let mut buffer = TimeBuf::default();
    let signed = signature.to_ref(&mut buffer);
    let parent = parent.map(|parent| parent.id);
    let commit =
        repo.new_commit_as(signed, signed, message, tree, parent).map_err(broken("written"))?;
    written.push(commit.id);
    flush(repo.git_dir(), &written).map_err(|source| ZoneError::Io {
        what: "the zone's history can't be flushed".to_owned(),
        source,
    })?;
    let expected = parent.map_or(PreviousValue::MustNotExist, |parent| {
        PreviousValue::ExistingMustMatch(parent.into())
    });
    let name = repo.head_name().map_err(broken("read"))?.ok_or_else(|| ZoneError::History {
        what: "read",
        source: "its HEAD names no branch".into(),
    })?;
    repo.edit_references_as([RefEdit::update(name, commit.id, expected, "commit")], Some(signed))
        .map_err(broken("written"))?;
    Ok(Some(NewCommit { id: commit.id.to_string(), changes, warnings }))
}

/// Names and addresses must not end the line or the bracket that they stand in.
fn clean(text: &str) -> String {
    let kept: String =
        text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(200).collect();
    let kept = kept.trim();
    if kept.is_empty() { "unknown".to_owned() } else { kept.to_owned() }
}

fn message(subject: &str, author: &Author, changes: &[FileChange]) -> String {
    let subject: String = subject.chars().filter(|c| !c.is_control()).take(200).collect();
    let mut lines = vec![subject, String::new()];
    for change in changes.iter().take(NAMED) {
        lines.push(format!("{} {}", change.kind.name(), change.path.as_bytes().escape_ascii()));
    }
    if changes.len() > NAMED {
        lines.push(format!("and {} more", changes.len() - NAMED));
    }
    if let Some(studio) = &author.studio {
        lines.extend([String::new(), format!("{TRAILER}{studio}")]);
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A power cut must not leave a branch that points to what never reached the disk.
fn flush(git_dir: &Path, written: &[ObjectId]) -> io::Result<()> {
    if written.len() > FLUSHED_SINGLY {
        return Ok(rustix::fs::syncfs(fs::File::open(git_dir)?)?);
    }
    let objects = git_dir.join("objects");
    for oid in written {
        let hex = oid.to_string();
        let Some((folder, file)) = hex.split_at_checked(2) else { continue };
        let folder = objects.join(folder);
        match fs::File::open(folder.join(file)) {
            Ok(file) => file.sync_all()?,
            // It is in a pack already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        fs::File::open(folder)?.sync_all()?;
    }
    fs::File::open(objects)?.sync_all()
}

type Side = Option<(EntryKind, ObjectId)>;
/// A tree's names with what they stand for.
type Named = Vec<(Vec<u8>, (EntryKind, ObjectId))>;

fn change_kind(old: Side, new: Side) -> ChangeKind {
    match (old, new) {
        (None, _) => ChangeKind::Created,
        (Some(_), None) => ChangeKind::Deleted,
        (Some(_), Some(_)) => ChangeKind::Modified,
    }
}

/// Files that differ between two trees, by path. Equal subtrees are not opened.
fn compare(
    repo: &Repository,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
) -> Result<Vec<(ZonePath, Side, Side)>, ZoneError> {
    let mut changes = Vec::new();
    let mut waiting = vec![(ZonePath::default(), old, new)];
    while let Some((path, old, new)) = waiting.pop() {
        if old == new {
            continue;
        }
        let mut sides = std::collections::BTreeMap::<Vec<u8>, (Side, Side)>::new();
        for (name, side) in entries(repo, old)? {
            sides.entry(name).or_default().0 = Some(side);
        }
        for (name, side) in entries(repo, new)? {
            sides.entry(name).or_default().1 = Some(side);
        }
        for (name, (old, new)) in sides {
            if old == new {
                continue;
            }
            let here = path.join(&name);
            let split = |side: Side| match side {
                Some((EntryKind::Tree, tree)) => (Some(tree), None),
                file => (None, file),
            };
            let ((old_tree, old_file), (new_tree, new_file)) = (split(old), split(new));
            if old_tree.is_some() || new_tree.is_some() {
                waiting.push((here.clone(), old_tree, new_tree));
            }
            if old_file.is_some() || new_file.is_some() {
                changes.push((here, old_file, new_file));
            }
        }
    }
    changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(changes)
}

fn entries(repo: &Repository, tree: Option<ObjectId>) -> Result<Named, ZoneError> {
    let Some(tree) = tree else {
        return Ok(Vec::new());
    };
    if tree == ObjectId::empty_tree(repo.object_hash()) {
        return Ok(Vec::new());
    }
    let tree = repo.find_tree(tree).map_err(broken("read"))?;
    let tree = tree.decode().map_err(broken("read"))?;
    Ok(tree
        .entries
        .iter()
        .map(|entry| (entry.filename.to_vec(), (entry.mode.kind(), entry.oid.to_owned())))
        .collect())
}

/// What lies at a path of a tree.
fn side_at(repo: &Repository, tree: ObjectId, path: &ZonePath) -> Result<Side, ZoneError> {
    let mut here = (EntryKind::Tree, tree);
    for part in path.components() {
        if here.0 != EntryKind::Tree {
            return Ok(None);
        }
        match entries(repo, Some(here.1))?.into_iter().find(|(name, _)| name == part) {
            Some((_, side)) => here = side,
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

fn find<'repo>(repo: &'repo Repository, commit: &str) -> Result<Commit<'repo>, ZoneError> {
    let missing = || ZoneError::NotFound { path: commit.chars().take(64).collect() };
    let id = ObjectId::from_hex(commit.as_bytes()).map_err(|_| missing())?;
    repo.find_commit(id).map_err(|_| missing())
}

fn parent_tree(repo: &Repository, commit: &Commit<'_>) -> Result<Option<ObjectId>, ZoneError> {
    let Some(parent) = commit.parent_ids().next() else {
        return Ok(None);
    };
    let parent = repo.find_commit(parent.detach()).map_err(broken("read"))?;
    Ok(Some(parent.tree_id().map_err(broken("read"))?.detach()))
}

fn info(commit: &Commit<'_>, files: usize) -> Result<CommitInfo, ZoneError> {
    let author = commit.author().map_err(broken("read"))?;
    let message = commit.message_raw().map_err(broken("read"))?.to_str_lossy().into_owned();
    let studio = message
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(TRAILER))
        .map(|studio| studio.trim().to_owned());
    let at = commit.time().map_err(broken("read"))?.seconds;
    Ok(CommitInfo {
        id: commit.id.to_string(),
        author: author.name.to_str_lossy().into_owned(),
        email: author.email.to_str_lossy().into_owned(),
        studio,
        message: message.trim_end().to_owned(),
        at: OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        files,
    })
}

/// Newest first. Histories of zones are straight lines.
pub(super) fn log(
    repo: &Repository,
    path: &ZonePath,
    limit: usize,
    after: Option<&str>,
) -> Result<Vec<CommitInfo>, ZoneError> {
    let mut next = match after {
        Some(after) => find(repo, after)?.parent_ids().next().map(gix::Id::detach),
        None => head(repo)?.map(|commit| commit.id),
    };
    let mut found = Vec::new();
    while let Some(id) = next
        && found.len() < limit
    {
        let commit = repo.find_commit(id).map_err(broken("read"))?;
        let tree = commit.tree_id().map_err(broken("read"))?.detach();
        let before = parent_tree(repo, &commit)?;
        let here = side_at(repo, tree, path)?;
        let there = match before {
            Some(before) => side_at(repo, before, path)?,
            None => None,
        };
        if here != there || (path.is_root() && before.is_none()) {
            let files = compare(repo, before, Some(tree))?.len();
            found.push(info(&commit, files)?);
        }
        next = commit.parent_ids().next().map(gix::Id::detach);
    }
    Ok(found)
}

/// What one commit did, with diffs.
pub(super) fn changes(
    repo: &Repository,
    commit: &str,
) -> Result<(CommitInfo, Vec<FileChange>), ZoneError> {
    let commit = find(repo, commit)?;
    let tree = commit.tree_id().map_err(broken("read"))?.detach();
    let changes = compare(repo, parent_tree(repo, &commit)?, Some(tree))?;
    let info = info(&commit, changes.len())?;
    let changes = changes
        .into_iter()
        .map(|(path, old, new)| {
            let diff = diff(repo, &path, old, new)?;
            Ok(FileChange { kind: change_kind(old, new), path, diff })
        })
        .collect::<Result<_, ZoneError>>()?;
    Ok((info, changes))
}

fn text(repo: &Repository, side: Side) -> Result<Option<String>, ZoneError> {
    let Some((_, oid)) = side else {
        return Ok(Some(String::new()));
    };
    if repo.find_header(oid).map_err(broken("read"))?.size() > DIFF_LIMIT {
        return Ok(None);
    }
    let bytes = repo.find_object(oid).map_err(broken("read"))?.data.clone();
    Ok(if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() })
}

fn diff(
    repo: &Repository,
    path: &ZonePath,
    old: Side,
    new: Side,
) -> Result<Option<String>, ZoneError> {
    let (Some(before), Some(after)) = (text(repo, old)?, text(repo, new)?) else {
        return Ok(None);
    };
    let diff = similar::TextDiff::from_lines(&before, &after);
    let path = path.to_string();
    Ok(Some(diff.unified_diff().header(&path, &path).to_string()))
}

/// A file's content at a commit, read whole: as large as the file is.
pub(super) fn content(
    repo: &Repository,
    commit: &str,
    path: &ZonePath,
) -> Result<Vec<u8>, ZoneError> {
    let tree = find(repo, commit)?.tree_id().map_err(broken("read"))?.detach();
    match side_at(repo, tree, path)? {
        Some((EntryKind::Tree | EntryKind::Commit, _)) => {
            Err(ZoneError::WrongKind { path: path.to_string(), what: "a folder" })
        }
        Some((_, oid)) => Ok(repo.find_object(oid).map_err(broken("read"))?.data.clone()),
        None => Err(ZoneError::NotFound { path: path.to_string() }),
    }
}

/// A file or link as it was.
pub(super) struct OldFile {
    pub path: ZonePath,
    pub kind: EntryKind,
    pub content: ObjectId,
}

/// All files at or below a path at a commit.
pub(super) fn files_at(
    repo: &Repository,
    commit: &str,
    path: &ZonePath,
) -> Result<Vec<OldFile>, ZoneError> {
    let tree = find(repo, commit)?.tree_id().map_err(broken("read"))?.detach();
    let Some(side) = side_at(repo, tree, path)? else {
        return Err(ZoneError::NotFound { path: path.to_string() });
    };
    let mut files = Vec::new();
    let mut waiting = vec![(path.clone(), side)];
    while let Some((path, (kind, content))) = waiting.pop() {
        match kind {
            EntryKind::Tree => {
                for (name, side) in entries(repo, Some(content))? {
                    waiting.push((path.join(&name), side));
                }
            }
            EntryKind::Commit => {}
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => {
                files.push(OldFile { path, kind, content });
            }
        }
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

pub(super) fn blob(repo: &Repository, id: ObjectId) -> Result<Vec<u8>, ZoneError> {
    Ok(repo.find_object(id).map_err(broken("read"))?.data.clone())
}

/// Whether a file has this very content.
pub(super) fn same_content(
    repo: &Repository,
    id: ObjectId,
    file: &mut fs::File,
) -> Result<bool, ZoneError> {
    let mut now = Vec::new();
    let failed = |source| ZoneError::Io { what: "a file can't be read".to_owned(), source };
    if file.metadata().map_err(failed)?.len()
        != repo.find_header(id).map_err(broken("read"))?.size()
    {
        return Ok(false);
    }
    file.read_to_end(&mut now).map_err(failed)?;
    Ok(now == blob(repo, id)?)
}
