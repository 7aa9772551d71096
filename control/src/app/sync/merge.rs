//! Conflicts that are none: both sides changed one text, in different places. Where a mount is set so, they are merged at once, by
//! lines and three ways; whatever is not clean is reported as ever.
//!
//! What was merged names the versions that it was made of: where either is another by then, nothing happens.

use std::{collections::HashSet, sync::Arc};

use sync::{
    Conflict, ConflictKind, ConflictToken, Direction, Entry, FETCH_LIMIT_BYTES, Keep, Meter,
    OnConflict, Outcome, RelPath, Request, Resolution,
};

use super::{
    SyncService,
    run::{self, MountRun, Order},
};
use crate::{
    app::AppError,
    domain::{launch::Mount, studio::Studio, zone_files::Author},
};

/// Of all versions that are fetched for one run.
const MOST_BYTES: u64 = 16 << 20;
const MOST_FILES: usize = 200;
/// Of a text that nobody asked to merge: the time it takes grows with their square.
const MOST_LINES: usize = 10_000;
/// Conflicts that are remembered.
const REMEMBERED: usize = 10_000;

/// Conflicts that can't be merged, so that they are not tried again and again.
#[derive(Debug, Default)]
pub(super) struct Unmergeable(HashSet<ConflictToken>);

impl Unmergeable {
    fn insert(&mut self, token: ConflictToken) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(token);
    }
}

/// Contents of a conflict; `None`: there is none on that side.
#[derive(Debug, Default)]
pub(super) struct Versions {
    pub base: Option<Vec<u8>>,
    pub server: Option<Vec<u8>>,
    pub studio: Option<Vec<u8>>,
}

pub(super) fn text(content: Option<&Vec<u8>>) -> Option<&str> {
    content
        .and_then(|content| std::str::from_utf8(content).ok())
        .filter(|text| !text.contains('\0'))
}

/// `None`: some version is no text, is missing, or both touch the same lines.
pub(super) fn merge(versions: &Versions) -> Option<Vec<u8>> {
    let base = text(versions.base.as_ref())?;
    let (server, studio) = (text(versions.server.as_ref())?, text(versions.studio.as_ref())?);
    let is_long = |text: &&str| text.lines().nth(MOST_LINES).is_some();
    if [base, server, studio].iter().any(is_long) {
        return None;
    }
    diffy::merge(base, server, studio).ok().map(String::into_bytes)
}

/// Whether it is worth fetching.
fn may_merge(conflict: &Conflict) -> bool {
    let is_small = |entry: &Entry| entry.is_file() && entry.size() <= FETCH_LIMIT_BYTES;
    let versions = [&conflict.server, &conflict.studio];
    conflict.kind == ConflictKind::EditEdit
        && conflict.base.is_some()
        && versions.iter().all(|it| it.as_ref().is_some_and(|it| is_small(&it.entry)))
}

impl SyncService {
    /// As [`Self::run_mount`]; then, where the mount is set so, once more with all that merges.
    pub(super) async fn run_merging(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        order: Order,
        meter: Meter,
    ) -> Result<MountRun, AppError> {
        let takes = matches!(order.request.direction, Direction::Both | Direction::ToServer);
        if !mount.merge || mount.one_way || !takes {
            return self.run_mount(studio, mount, order, meter).await;
        }
        let mut first = order.clone();
        first.request.on_conflict = OnConflict::Report;
        let mut run = self.run_mount(studio, mount, first, meter).await?;
        let conflicts = match &run.outcome {
            Ok(outcome) if !outcome.conflicts.is_empty() => outcome.conflicts.clone(),
            Ok(_) | Err(_) => return Ok(run),
        };
        let merged = match self.merges(studio, mount, &conflicts).await {
            Ok(merged) => merged,
            Err(error) => {
                // They are conflicts still.
                tracing::warn!(studio = %studio.id, mount = mount.id, %error, "nothing is merged");
                Vec::new()
            }
        };
        if merged.is_empty() && order.request.on_conflict == OnConflict::Report {
            return Ok(run);
        }
        let mut second = order;
        second.merged = merged.iter().map(|resolution| resolution.path.clone()).collect();
        second.request.resolutions = merged;
        let second = self.run_mount(studio, mount, second, Meter::default()).await?;
        run.absorb(second);
        Ok(run)
    }

    /// What clean merges of these conflicts give.
    async fn merges(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        conflicts: &[Conflict],
    ) -> Result<Vec<Resolution>, AppError> {
        let watched = self.watches.of(&studio.id, &mount.id);
        let mut bytes = 0;
        let wanted: Vec<RelPath> = conflicts
            .iter()
            .filter(|conflict| may_merge(conflict))
            .filter(|conflict| !watched.unmergeable().0.contains(&conflict.token))
            .take_while(|conflict| {
                let versions = [&conflict.server, &conflict.studio].into_iter().flatten();
                bytes += versions.map(|version| version.entry.size()).sum::<u64>();
                bytes <= MOST_BYTES
            })
            .take(MOST_FILES)
            .map(|conflict| conflict.path.clone())
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let outcome = self.fetch(studio, mount, wanted).await?;
        let mut merged = Vec::new();
        for (path, content) in outcome.fetched {
            let conflict = outcome.conflicts.iter().find(|conflict| conflict.path == path);
            let Some(conflict) = conflict.filter(|conflict| may_merge(conflict)) else { continue };
            let versions = self.versions_of(mount, conflict, content).await?;
            // Blocking, in a bounded time.
            let content = tokio::task::spawn_blocking(move || merge(&versions)).await;
            match content.map_err(|error| AppError::internal("a merge", error))? {
                Some(content) => merged.push(Resolution {
                    path,
                    keep: Keep::Content(content),
                    expect: Some(conflict.token),
                }),
                None => watched.unmergeable().insert(conflict.token),
            }
        }
        Ok(merged)
    }

    /// Looks, and brings the studio's contents of some paths.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        fetch: Vec<RelPath>,
    ) -> Result<Outcome, AppError> {
        let request = Request { direction: Direction::Check, fetch, ..Request::default() };
        let cause = crate::domain::mounts::SyncCause::Asked;
        let order = Order::new(request, Author::server(), cause);
        let run = self.run_mount(studio, mount, order, Meter::default()).await?;
        run.outcome.map_err(|error| run::why(&error))
    }

    /// The versions that a conflict names: another that came meanwhile is none of them.
    async fn versions_of(
        &self,
        mount: &Mount,
        conflict: &Conflict,
        studio: Vec<u8>,
    ) -> Result<Versions, AppError> {
        let is = |version: &Option<sync::Version>, content: &Vec<u8>| {
            let digest = version.as_ref().and_then(|version| version.entry.digest());
            digest
                .is_some_and(|digest| digest.to_string() == blake3::hash(content).to_hex().as_str())
        };
        let path = super::compare::zone_path(mount, &conflict.path)?;
        let server = self.content(mount, &path).await?;
        let base = match conflict.base {
            Some(base) => self.find(mount, &path, &base.to_string()).await?,
            None => None,
        };
        Ok(Versions {
            base,
            server: Some(server).filter(|content| is(&conflict.server, content)),
            studio: Some(studio).filter(|content| is(&conflict.studio, content)),
        })
    }
}

impl MountRun {
    /// What a second run did beside this one's.
    fn absorb(&mut self, second: Self) {
        self.commits.extend(second.commits);
        self.brought_back += second.brought_back;
        match (&mut self.outcome, second.outcome) {
            (Ok(before), Ok(mut now)) => {
                let open = |path: &RelPath| {
                    now.conflicts.iter().any(|conflict| conflict.path == *path)
                        || now.skipped.iter().any(|skipped| skipped.path == *path)
                };
                self.merged = second.merged.into_iter().filter(|path| !open(path)).collect();
                before.server_changes.append(&mut now.server_changes);
                before.studio_changes.append(&mut now.studio_changes);
                before.kept_both.append(&mut now.kept_both);
                before.conflicts = now.conflicts;
                before.questions = now.questions;
                before.skipped = now.skipped;
                before.stats.bytes_sent += now.stats.bytes_sent;
                before.stats.bytes_received += now.stats.bytes_received;
                before.stats.took += now.stats.took;
            }
            (_, outcome) => self.outcome = outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &[u8], server: &[u8], studio: &[u8]) -> Option<String> {
        let some = |content: &[u8]| Some(content.to_vec());
        let versions = Versions { base: some(base), server: some(server), studio: some(studio) };
        merge(&versions).map(|merged| String::from_utf8(merged).unwrap())
    }

    #[test]
    fn texts_merge_where_both_changed_different_places_and_nothing_else_does() {
        let base = b"a\nb\nc\nd\ne\n";
        let both = merged(base, b"A\nb\nc\nd\ne\n", b"a\nb\nc\nd\nE\n");
        assert_eq!(both.as_deref(), Some("A\nb\nc\nd\nE\n"));
        assert_eq!(merged(base, b"a\nB\nc\nd\ne\n", b"a\nX\nc\nd\ne\n"), None, "the same line");
        assert_eq!(merged(base, b"A\0\nb\nc\nd\ne\n", b"a\nb\nc\nd\nE\n"), None, "binary");
        assert_eq!(merged(base, b"A\nb\nc\nd\ne\n", b"a\nb\nc\nd\n\xff\n"), None, "no UTF-8");
        let long = "line\n".repeat(MOST_LINES + 1);
        let more = format!("first\n{long}");
        assert_eq!(merged(long.as_bytes(), more.as_bytes(), long.as_bytes()), None, "long");
        assert_eq!(merge(&Versions::default()), None);
    }
}
