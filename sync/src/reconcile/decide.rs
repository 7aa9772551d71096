//! Path by path.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Input, Plan,
    conflict::{Verdict, judge},
};
use crate::{
    RelPath,
    entry::{Digest, Entry},
    plan::{Action, Operation, Phase, Side, Source},
};

struct Deciding<'a, 'i> {
    input: &'a Input<'i>,
    /// This side's deletions count as losses that are made good.
    restore: Option<Side>,
    plan: Plan,
    /// Below these the winner of a clash of folder and file is known; `None`: the clash is open, nothing happens.
    clashes: BTreeMap<RelPath, Option<Side>>,
    /// Folders that something stays or comes in.
    needed: BTreeMap<Side, BTreeSet<RelPath>>,
}

/// Makes a plan, its operations in no order yet. `restore` names a side whose deletions are undone.
pub(super) fn decide(input: &Input<'_>, restore: Option<Side>) -> Plan {
    let mut deciding = Deciding {
        input,
        restore,
        plan: Plan::default(),
        clashes: BTreeMap::new(),
        needed: BTreeMap::from([(Side::Server, BTreeSet::new()), (Side::Studio, BTreeSet::new())]),
    };
    let paths: BTreeSet<&RelPath> =
        input.base.keys().chain(input.server.keys()).chain(input.studio.keys()).collect();
    for path in &paths {
        deciding.find_clash(path);
    }
    for path in paths.into_iter().rev() {
        deciding.path(path);
    }
    deciding.mark_late();
    deciding.plan
}

impl Deciding<'_, '_> {
    fn within<T: Copy>(map: &BTreeMap<RelPath, T>, path: &RelPath) -> Option<T> {
        if map.is_empty() {
            return None;
        }
        map.get(path)
            .copied()
            .or_else(|| path.ancestors().find_map(|folder| map.get(&folder).copied()))
    }

    fn is_unknown(&self, path: &RelPath) -> bool {
        let unknown = self.input.unknown;
        !unknown.is_empty()
            && (unknown.contains(path) || path.ancestors().any(|folder| unknown.contains(&folder)))
    }

    /// What was agreed, seen with what somebody decided since.
    fn base(&self, path: &RelPath) -> Option<Entry> {
        let (server, studio) = (self.input.server.get(path), self.input.studio.get(path));
        match Self::within(&self.clashes, path).flatten() {
            Some(Side::Server) => return studio.cloned(),
            Some(Side::Studio) => return server.cloned(),
            None => {}
        }
        let base = self.input.base.get(path);
        match self.restore {
            Some(Side::Server) if server.is_none() && studio == base => None,
            Some(Side::Studio) if studio.is_none() && server == base => None,
            Some(_) | None => base.cloned(),
        }
    }

    /// A folder on one side and something else on the other, changed on both.
    fn find_clash(&mut self, path: &RelPath) {
        let (Some(server), Some(studio)) =
            (self.input.server.get(path), self.input.studio.get(path))
        else {
            return;
        };
        if server.is_folder() == studio.is_folder()
            || self.is_unknown(path)
            || Self::within(&self.clashes, path).is_some()
        {
            return;
        }
        let base = self.input.base.get(path);
        let one_changed = base == Some(server) || base == Some(studio);
        if one_changed && !self.folder_has_news(path, server.is_folder()) {
            return;
        }
        let winner = match judge(self.input, &mut self.plan, path) {
            Verdict::Wins(side) => Some(side),
            Verdict::Open | Verdict::Content(_) => None,
        };
        self.clashes.insert(path.clone(), winner);
    }

    /// Whether there is something in a folder, which the other side has no more, that the other side never had.
    fn folder_has_news(&self, folder: &RelPath, on_server: bool) -> bool {
        let tree = self.input.tree(if on_server { Side::Server } else { Side::Studio });
        let base = self.input.base.get(folder);
        // A folder that came where something else was before is news itself, and flows as a whole.
        base.is_some_and(Entry::is_folder)
            && tree
                .range::<RelPath, _>(folder..)
                .take_while(|(path, _)| path.as_bytes().starts_with(folder.as_bytes()))
                .filter(|(path, _)| path.is_within(folder))
                .any(|(path, entry)| self.input.base.get(path) != Some(entry))
    }

    fn path(&mut self, path: &RelPath) {
        let (server, studio) =
            (self.input.server.get(path).cloned(), self.input.studio.get(path).cloned());
        let base = self.base(path);
        let is_folder = [&server, &studio, &base].into_iter().flatten().any(Entry::is_folder);
        if self.input.exclusions.excludes(path, is_folder) {
            // Newly excluded: each side keeps what it has.
            if self.input.base.contains_key(path) {
                self.plan.agreed.insert(path.clone(), None);
            }
            return;
        }
        let open_clash = Self::within(&self.clashes, path) == Some(None);
        if open_clash || self.is_unknown(path) {
            self.stays(path, Side::Server, server.as_ref());
            self.stays(path, Side::Studio, studio.as_ref());
            return;
        }
        if server == studio {
            // Also where both were deleted.
            if self.input.base.get(path) != server.as_ref() {
                self.plan.agreed.insert(path.clone(), server.clone());
            }
            self.stays(path, Side::Server, server.as_ref());
            self.stays(path, Side::Studio, studio.as_ref());
            return;
        }
        if server == base {
            self.flow(path, Side::Server, server.as_ref(), studio.as_ref());
        } else if studio == base {
            self.flow(path, Side::Studio, studio.as_ref(), server.as_ref());
        } else {
            self.both_changed(path, base.as_ref(), server.as_ref(), studio.as_ref());
        }
    }

    /// Something is there, and remains.
    fn stays(&mut self, path: &RelPath, side: Side, entry: Option<&Entry>) {
        if entry.is_some() {
            self.need_folder_of(path, side);
        }
        if self.is_needed(path, side) && entry.is_none() {
            self.make_folder(path, side);
        }
    }

    fn need_folder_of(&mut self, path: &RelPath, side: Side) {
        let needed = self.needed.entry(side).or_default();
        // Most are known: whatever else is in the folder needs it too.
        if path.parts().0.is_some_and(|folder| !needed.contains(folder)) {
            needed.extend(path.parent());
        }
    }

    fn is_needed(&self, path: &RelPath, side: Side) -> bool {
        self.needed.get(&side).is_some_and(|needed| needed.contains(path))
    }

    /// For something that comes into a folder that is not there.
    fn make_folder(&mut self, path: &RelPath, side: Side) {
        self.push(side, path, Action::MakeFolder);
        self.need_folder_of(path, side);
        if self.input.tree(side.other()).get(path) == Some(&Entry::Folder) {
            self.plan.agreed.insert(path.clone(), Some(Entry::Folder));
        }
    }

    fn push(&mut self, side: Side, path: &RelPath, action: Action) {
        let phase = if action == Action::Delete { Phase::Deletions } else { Phase::Early };
        let operation = Operation { phase, path: path.clone(), action };
        self.plan.operations(side).push(operation);
    }

    /// `side` gets what the other one has.
    fn flow(&mut self, path: &RelPath, side: Side, now: Option<&Entry>, then: Option<&Entry>) {
        let other = side.other();
        if !self.input.policy.changes(side) {
            self.stays(path, side, now);
            self.stays(path, other, then);
            return;
        }
        let in_the_way = self.is_needed(path, side) && then != Some(&Entry::Folder);
        if in_the_way && now == Some(&Entry::Folder) {
            // Something in the folder stays, so the folder does. Where the other side has something else instead, nobody
            // can have it yet.
            self.stays(path, side, now);
            if then.is_none() && self.is_needed(path, other) {
                self.make_folder(path, other);
            } else {
                self.stays(path, other, then);
            }
            return;
        }
        let clears = now.is_some_and(Entry::is_folder) != then.is_some_and(Entry::is_folder);
        match then {
            None => self.push(side, path, Action::Delete),
            Some(then) => {
                if now.is_some() && clears {
                    self.push(side, path, Action::Delete);
                }
                let action = self.action(path, side, now, then);
                self.push(side, path, action);
                self.need_folder_of(path, side);
            }
        }
        self.stays(path, other, then);
        self.plan.agreed.insert(path.clone(), then.cloned());
    }

    fn action(&self, path: &RelPath, side: Side, now: Option<&Entry>, then: &Entry) -> Action {
        match then {
            Entry::Folder => Action::MakeFolder,
            Entry::Link { target } => Action::PutLink { target: target.clone() },
            Entry::File { executable, .. } => match now {
                Some(now) if now.is_file() && now.same_content(then) => {
                    Action::SetExecutable(*executable)
                }
                _ => Action::PutFile {
                    entry: then.clone(),
                    modified_ms: self.input.modified_ms(side.other(), path),
                    source: Source::Peer(path.clone()),
                },
            },
        }
    }

    fn both_changed(
        &mut self,
        path: &RelPath,
        base: Option<&Entry>,
        server: Option<&Entry>,
        studio: Option<&Entry>,
    ) {
        match (server, studio) {
            // A folder is never worth a conflict with nothing.
            (Some(Entry::Folder), None) => {
                return self.flow(path, Side::Studio, studio, server);
            }
            (None, Some(Entry::Folder)) => {
                return self.flow(path, Side::Server, server, studio);
            }
            (Some(server), Some(studio))
                if server.is_file()
                    && studio.is_file()
                    && self.merge_executable(path, base, server, studio) =>
            {
                return;
            }
            _ => {}
        }
        match judge(self.input, &mut self.plan, path) {
            Verdict::Open => {
                self.stays(path, Side::Server, server);
                self.stays(path, Side::Studio, studio);
            }
            Verdict::Wins(Side::Server) => self.flow(path, Side::Studio, studio, server),
            Verdict::Wins(Side::Studio) => self.flow(path, Side::Server, server, studio),
            Verdict::Content(content) => {
                let executable = [server, studio]
                    .into_iter()
                    .flatten()
                    .any(|entry| matches!(entry, Entry::File { executable: true, .. }));
                let entry = Entry::File {
                    size: content.len() as u64,
                    digest: Digest::of(&content),
                    executable,
                };
                let mut everywhere = true;
                for (side, now) in [(Side::Server, server), (Side::Studio, studio)] {
                    if !self.input.policy.changes(side) {
                        everywhere = false;
                        self.stays(path, side, now);
                        continue;
                    }
                    let action = Action::PutFile {
                        entry: entry.clone(),
                        modified_ms: -1,
                        source: Source::Given(content.clone()),
                    };
                    self.push(side, path, action);
                    self.stays(path, side, Some(&entry));
                }
                if everywhere {
                    self.plan.agreed.insert(path.clone(), Some(entry));
                }
            }
        }
    }

    /// Content and executable bit are two things: where one side changed the one and the other the other, both hold.
    fn merge_executable(
        &mut self,
        path: &RelPath,
        base: Option<&Entry>,
        server: &Entry,
        studio: &Entry,
    ) -> bool {
        let is_executable = |entry: &Entry| matches!(entry, Entry::File { executable: true, .. });
        let base = base.filter(|base| base.is_file());
        let executable = match base.map(is_executable) {
            // Whoever differs has changed it.
            Some(before) if is_executable(server) == before => is_executable(studio),
            Some(_) => is_executable(server),
            None => is_executable(server) || is_executable(studio),
        };
        let content = match base {
            _ if server.same_content(studio) => server,
            Some(base) if server.same_content(base) => studio,
            Some(base) if studio.same_content(base) => server,
            _ => return false,
        };
        let merged = content.with_executable(executable);
        let mut same = true;
        for (side, now) in [(Side::Server, server), (Side::Studio, studio)] {
            if *now == merged {
                continue;
            }
            if self.input.policy.changes(side) {
                let action = self.action(path, side, Some(now), &merged);
                self.push(side, path, action);
            } else {
                same = false;
            }
        }
        if same {
            self.plan.agreed.insert(path.clone(), Some(merged));
        }
        self.stays(path, Side::Server, Some(server));
        self.stays(path, Side::Studio, Some(studio));
        true
    }

    /// What has to wait until something else is gone.
    fn mark_late(&mut self) {
        for side in [Side::Server, Side::Studio] {
            let operations = self.plan.operations(side);
            let cleared: BTreeSet<RelPath> = operations
                .iter()
                .filter(|operation| operation.action == Action::Delete)
                .map(|operation| operation.path.clone())
                .collect();
            if cleared.is_empty() {
                continue;
            }
            for operation in operations.iter_mut().filter(|it| it.phase == Phase::Early) {
                let path = &operation.path;
                if cleared.contains(path) || path.ancestors().any(|above| cleared.contains(&above))
                {
                    operation.phase = Phase::Late;
                }
            }
        }
    }
}
