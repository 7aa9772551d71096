//! Both versions of a conflict side by side, and what would come of merging them.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sync::{FETCH_LIMIT_BYTES, RelPath};

use super::{
    SyncService,
    merge::{Versions, merge, text},
};
use crate::{
    app::{AppError, studios::StudioRight},
    domain::{
        ids::StudioId,
        launch::Mount,
        permission::Principal,
        studio::Studio,
        sync::{Comparison, Conflict},
        zone_files::ZonePath,
    },
    zones::ZoneError,
};

/// Versions of a file that are looked through for the one that both had.
const LOOKED_THROUGH: usize = 200;
/// Conflicts whose authors are looked up.
const MOST_AUTHORS: usize = 100;

impl SyncService {
    /// For a person who has to decide.
    pub async fn compare(
        self: &Arc<Self>,
        who: &Principal,
        id: &StudioId,
        mount: &str,
        path: &[u8],
    ) -> Result<Comparison, AppError> {
        let studio = self.studios.get(who, id, StudioRight::Use).await?;
        let path = RelPath::try_from(path)
            .map_err(|error| AppError::invalid("path", error.to_string()))?;
        let mounts = self.mounts_of(&studio).await?;
        let mount = mounts.iter().find(|known| known.id == mount);
        let mount = mount.ok_or_else(|| AppError::not_found("mount", "of that name"))?;
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let (versions, too_large) = self.versions(&studio, mount, &path).await?;
        Ok(comparison(&versions, too_large))
    }

    /// What a clean merge gives; else an error that says so.
    pub(super) async fn merged(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        path: &RelPath,
    ) -> Result<Vec<u8>, AppError> {
        let (versions, _) = self.versions(studio, mount, path).await?;
        merge(&versions).ok_or_else(|| {
            AppError::conflict(format!("{path} can't be merged cleanly: keep one version, or both"))
        })
    }

    /// And whether they are too large to be looked at.
    async fn versions(
        self: &Arc<Self>,
        studio: &Studio,
        mount: &Mount,
        path: &RelPath,
    ) -> Result<(Versions, bool), AppError> {
        let outcome = self.fetch(studio, mount, vec![path.clone()]).await?;
        let conflict = outcome.conflicts.iter().find(|conflict| conflict.path == *path);
        let conflict = conflict.ok_or_else(|| AppError::not_found("conflict", path))?;
        let too_large = [&conflict.server, &conflict.studio]
            .into_iter()
            .flatten()
            .any(|version| version.entry.size() > FETCH_LIMIT_BYTES);
        let studios = outcome.fetched.into_iter().find(|(fetched, _)| fetched == path);
        let in_zone = zone_path(mount, path)?;
        let server = match &conflict.server {
            Some(version) if version.entry.is_file() && !too_large => {
                Some(self.content(mount, &in_zone).await?)
            }
            _ => None,
        };
        let base = match conflict.base {
            Some(base) if !too_large => self.find(mount, &in_zone, &base.to_string()).await?,
            _ => None,
        };
        let studio = studios.map(|(_, content)| content);
        Ok((Versions { base, server, studio }, too_large))
    }

    pub(super) async fn content(
        &self,
        mount: &Mount,
        path: &ZonePath,
    ) -> Result<Vec<u8>, AppError> {
        let content = self.zones.read(&mount.zone, path, None).await?;
        let bytes: Vec<bytes::Bytes> = content.bytes.try_collect().await?;
        Ok(bytes.concat())
    }

    /// A version of a file by its hash, from the zone's history or its trash.
    pub(super) async fn find(
        &self,
        mount: &Mount,
        path: &ZonePath,
        digest: &str,
    ) -> Result<Option<Vec<u8>>, AppError> {
        if !mount.zone.kind().versioned() {
            let limit = FETCH_LIMIT_BYTES;
            let found = self.zones.displaced(&mount.zone, path, digest, limit).await?;
            return Ok(found.map(|content| content.to_vec()));
        }
        for commit in self.zones.history(&mount.zone, path, LOOKED_THROUGH, None).await? {
            match self.zones.content_at(&mount.zone, &commit.id, path).await {
                Ok(content) if blake3::hash(&content).to_hex().as_str() == digest => {
                    return Ok(Some(content.to_vec()));
                }
                // It was another one then, or not there.
                Ok(_) | Err(ZoneError::NotFound { .. } | ZoneError::WrongKind { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Says who changed each side last. What can't be found out stays open.
    pub(super) async fn name_authors(
        &self,
        studio: &Studio,
        mount: &Mount,
        conflicts: &mut [Conflict],
    ) {
        for conflict in conflicts.iter_mut().take(MOST_AUTHORS) {
            if let Some(version) = &mut conflict.studio {
                version.author = Some(studio.owner.to_string());
            }
            let bytes = data_encoding::BASE64.decode(conflict.path_base64.as_bytes());
            let path = bytes.ok().and_then(|bytes| RelPath::try_from(bytes.as_slice()).ok());
            let path = path.and_then(|path| zone_path(mount, &path).ok());
            if let (Some(version), Some(path)) = (&mut conflict.server, path)
                && let Ok(commits) = self.zones.history(&mount.zone, &path, 1, None).await
            {
                version.author = commits.into_iter().next().map(|commit| commit.author);
            }
        }
    }
}

/// Where a mount's file lies in its zone.
pub(super) fn zone_path(mount: &Mount, path: &RelPath) -> Result<ZonePath, AppError> {
    let mut bytes = mount.sub_folder.trim_matches('/').as_bytes().to_vec();
    if !bytes.is_empty() {
        bytes.push(b'/');
    }
    bytes.extend_from_slice(path.as_bytes());
    Ok(ZonePath::try_from(bytes.as_slice())?)
}

fn comparison(versions: &Versions, too_large: bool) -> Comparison {
    let merge_clean = merge(versions).is_some();
    let [base, server, studio] = [&versions.base, &versions.server, &versions.studio]
        .map(|content| text(content.as_ref()).map(ToOwned::to_owned));
    let is_binary =
        |content: &Option<Vec<u8>>, text: &Option<String>| content.is_some() && text.is_none();
    let binary =
        too_large || is_binary(&versions.server, &server) || is_binary(&versions.studio, &studio);
    let diff = (!binary && (server.is_some() || studio.is_some())).then(|| {
        let diff = similar::TextDiff::from_lines(
            server.as_deref().unwrap_or_default(),
            studio.as_deref().unwrap_or_default(),
        );
        diff.unified_diff().header("server", "studio").to_string()
    });
    Comparison { binary, base, server, studio, diff, merge_clean }
}
