//! Both sides changed a path to different things.

use std::sync::Arc;

use super::{Input, Plan};
use crate::{
    RelPath,
    apply::{conflict_name, copy_prefix},
    entry::Entry,
    outcome::{Conflict, ConflictKind, ConflictToken, Version},
    plan::{Action, Operation, Phase, Side, Source},
    request::{Keep, OnConflict},
};

/// What becomes of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing happens; it is in the plan.
    Open,
    /// As if only this side had changed it.
    Wins(Side),
    /// Both get this.
    Content(Arc<[u8]>),
}

/// Finds the verdict, and plans the copies that it needs.
pub(super) fn judge(input: &Input<'_>, plan: &mut Plan, path: &RelPath) -> Verdict {
    let (server, studio) = (input.server.get(path), input.studio.get(path));
    let token = token(server, studio);
    let resolution = input
        .policy
        .resolutions
        .get(path)
        .filter(|resolution| resolution.expect.is_none_or(|expect| expect == token));
    let keep = match (resolution, input.policy.on_conflict) {
        (Some(resolution), _) => Some(resolution.keep.clone()),
        (None, OnConflict::KeepBoth) => Some(Keep::Both),
        (None, OnConflict::Report) => None,
    };
    match keep.filter(|keep| is_possible(input, keep)) {
        Some(Keep::Server) => Verdict::Wins(Side::Server),
        Some(Keep::Studio) => Verdict::Wins(Side::Studio),
        Some(Keep::Content(content)) => Verdict::Content(content.into()),
        Some(Keep::Both) => match (server, studio) {
            // Nothing is beside an edit: it stays.
            (None, _) => Verdict::Wins(Side::Studio),
            (_, None) => Verdict::Wins(Side::Server),
            // A folder keeps its name: what is in it belongs together.
            (Some(loser), Some(Entry::Folder)) => copy(input, plan, path, Side::Server, loser),
            (Some(_), Some(loser)) => copy(input, plan, path, Side::Studio, loser),
        },
        None => {
            plan.conflicts.push(Conflict {
                path: path.clone(),
                kind: kind(server, studio),
                server: version(input, Side::Server, path, server),
                studio: version(input, Side::Studio, path, studio),
                base: input.base.get(path).and_then(Entry::digest),
                token,
            });
            Verdict::Open
        }
    }
}

/// Whether a run in this direction can end a conflict so.
fn is_possible(input: &Input<'_>, keep: &Keep) -> bool {
    let policy = input.policy;
    let (server, studio) = (policy.changes(Side::Server), policy.changes(Side::Studio));
    match keep {
        Keep::Server => studio,
        // Where the studio is not changed, it has its version still, and what both agreed on stays what it was.
        Keep::Studio | Keep::Content(_) => server,
        // Where only the server changes, the studio's version must be safe there; what is one way can only be kept here.
        Keep::Both => server || policy.one_way,
    }
}

/// Both sides get the loser's version under a conflict name; the other one wins.
fn copy(input: &Input<'_>, plan: &mut Plan, path: &RelPath, loser: Side, entry: &Entry) -> Verdict {
    let policy = input.policy;
    let both = policy.changes(Side::Server) && policy.changes(Side::Studio);
    if !copied_before(input, path, entry) {
        let (folder, name) = path.split();
        let taken = |candidate: &[u8]| {
            RelPath::in_folder(folder.as_ref(), candidate).is_ok_and(|candidate| {
                input.server.contains_key(&candidate)
                    || input.studio.contains_key(&candidate)
                    || plan.copy_names.contains(&candidate)
            })
        };
        let name = conflict_name(name, &policy.label, policy.now, taken);
        let Ok(copy) = RelPath::in_folder(folder.as_ref(), &name) else {
            // The path is too long for one: nothing happens to either.
            return Verdict::Open;
        };
        for side in [Side::Server, Side::Studio] {
            if policy.changes(side) {
                let source = match (side == loser, loser) {
                    (true, _) => Source::Local(path.clone()),
                    // When the studio's turn comes, the server has its copy already, and something else at the path.
                    (false, Side::Server) if policy.changes(Side::Server) => {
                        Source::Peer(copy.clone())
                    }
                    (false, _) => Source::Peer(path.clone()),
                };
                let action = match entry {
                    Entry::Link { target } => Action::PutLink { target: target.clone() },
                    Entry::File { .. } | Entry::Folder => Action::PutFile {
                        entry: entry.clone(),
                        modified_ms: input.modified_ms(loser, path),
                        source,
                    },
                };
                plan.operations(side).push(Operation {
                    phase: Phase::Copies,
                    path: copy.clone(),
                    action,
                });
            }
        }
        if both {
            plan.agreed.insert(copy.clone(), Some(entry.clone()));
        }
        plan.copy_names.insert(copy.clone());
        plan.copies.insert(path.clone(), copy);
    }
    Verdict::Wins(loser.other())
}

/// Whether an earlier run kept this very content beside it already: copies don't breed copies.
fn copied_before(input: &Input<'_>, path: &RelPath, entry: &Entry) -> bool {
    let (folder, name) = path.split();
    let begin = copy_prefix(name, &input.policy.label);
    let Ok(from) = RelPath::in_folder(folder.as_ref(), &begin) else { return false };
    input
        .server
        .range::<RelPath, _>(&from..)
        .take_while(|(path, _)| path.as_bytes().starts_with(from.as_bytes()))
        .any(|(_, there)| there.same_content(entry))
}

fn kind(server: Option<&Entry>, studio: Option<&Entry>) -> ConflictKind {
    match (server, studio) {
        (None, _) => ConflictKind::DeletedOnServer,
        (_, None) => ConflictKind::DeletedInStudio,
        (Some(server), Some(studio)) if server.is_folder() != studio.is_folder() => {
            ConflictKind::Kind
        }
        (Some(_), Some(_)) => ConflictKind::EditEdit,
    }
}

fn version(
    input: &Input<'_>,
    side: Side,
    path: &RelPath,
    entry: Option<&Entry>,
) -> Option<Version> {
    entry.map(|entry| Version { entry: entry.clone(), modified_ms: input.modified_ms(side, path) })
}

pub(crate) fn token(server: Option<&Entry>, studio: Option<&Entry>) -> ConflictToken {
    let mut hasher = blake3::Hasher::new();
    for entry in [server, studio] {
        match entry {
            Some(entry) => entry.feed(&mut hasher),
            None => {
                hasher.update(b"-");
            }
        }
    }
    let mut token = [0; 16];
    hasher.finalize_xof().fill(&mut token);
    ConflictToken(token)
}
