//! A pod was lost: what its shadow copies have and the zone lacks comes into the zone. What the zone has otherwise by now stays;
//! then the copy lies beside it, under a conflict name.

use std::path::Path;

use futures_util::StreamExt as _;
use sync::{
    Entry,
    shadow::{self, Kept},
};
use time::macros::format_description;
use tokio_util::io::ReaderStream;

use super::SyncService;
use crate::{
    app::AppError,
    domain::{
        launch::Mount,
        studio::Studio,
        sync::Recovered,
        zone_files::{Author, ZonePath},
    },
    zones::{NewContent, ZoneError},
};

/// What became of one path.
enum Put {
    /// The zone has it already.
    There,
    Back,
    Beside,
    Missing(&'static str),
}

impl SyncService {
    /// Of all incarnations before this one. What is back is not kept any longer.
    pub(super) async fn recover_all(&self, studio: &Studio) -> Result<Recovered, AppError> {
        let turn = self.turn(&studio.id);
        let _my_turn = turn.lock().await;
        let author = self.author(&studio.owner, &studio.id).await?;
        let mut all = Recovered::default();
        for mount in self.mounts_of(studio).await?.iter().filter(|mount| !mount.one_way) {
            let folder = self.shadows(studio, mount).await?;
            for epoch in epochs(&folder).await?.into_iter().filter(|epoch| *epoch < studio.epoch) {
                let folder = folder.join(epoch.to_string());
                for kept in kept(&folder).await? {
                    match self.put(studio, mount, &folder, &kept, &author).await? {
                        Put::There => (),
                        Put::Back => all.files += 1,
                        Put::Beside => (all.files, all.beside) = (all.files + 1, all.beside + 1),
                        Put::Missing(why) => {
                            all.missing.push(format!("{}/{}: {why}", mount.target, kept.path));
                        }
                    }
                }
                tokio::fs::remove_dir_all(&folder)
                    .await
                    .map_err(|error| AppError::internal("removing shadow copies", error))?;
            }
        }
        if !all.missing.is_empty() {
            tracing::warn!(studio = %studio.id, missing = ?all.missing, "not all of a lost pod came back");
        }
        Ok(all)
    }

    /// How many files of the studio's last incarnation are kept.
    pub(super) async fn count_shadowed(&self, studio: &Studio) -> Result<u64, AppError> {
        let mut count = 0;
        for mount in self.mounts_of(studio).await?.iter().filter(|mount| !mount.one_way) {
            let folder = self.shadows(studio, mount).await?.join(studio.epoch.to_string());
            count += kept(&folder).await?.iter().filter(|kept| kept.entry.is_file()).count() as u64;
        }
        Ok(count)
    }

    async fn put(
        &self,
        studio: &Studio,
        mount: &Mount,
        folder: &Path,
        kept: &Kept,
        author: &Author,
    ) -> Result<Put, AppError> {
        let mut bytes = mount.sub_folder.trim_matches('/').as_bytes().to_vec();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend(kept.path.as_bytes());
        let path = ZonePath::try_from(bytes.as_slice())?;
        let Entry::File { digest, executable, .. } = &kept.entry else {
            return Ok(match &kept.entry {
                Entry::Folder => match self.zones.create_folder(&mount.zone, &path).await {
                    Ok(()) | Err(ZoneError::Exists { .. } | ZoneError::WrongKind { .. }) => {
                        Put::There
                    }
                    Err(error) => return Err(error.into()),
                },
                _ => Put::Missing("links are not copied"),
            });
        };
        match self.zones.read(&mount.zone, &path, None).await {
            Ok(now) if now.etag == digest.to_string() => return Ok(Put::There),
            Ok(_) | Err(ZoneError::NotFound { .. } | ZoneError::WrongKind { .. }) => (),
            Err(error) => return Err(error.into()),
        }
        let base = kept.base.as_ref().and_then(Entry::digest).map(|digest| digest.to_string());
        let beside = beside(&path, studio);
        for (target, if_match) in [(&path, base), (&beside, None)] {
            let Some(bytes) = content(folder, *digest).await? else {
                return Ok(Put::Missing("its copy was not complete"));
            };
            let only_new = if_match.is_none();
            let content = NewContent { bytes, executable: Some(*executable), if_match, only_new };
            match self.zones.write(&mount.zone, target, content, author).await {
                Ok(_) if *target == path => return Ok(Put::Back),
                Ok(_) => return Ok(Put::Beside),
                Err(
                    ZoneError::Changed { .. }
                    | ZoneError::Exists { .. }
                    | ZoneError::NotFound { .. }
                    | ZoneError::WrongKind { .. },
                ) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Put::Missing("there is no name for it beside what the zone has"))
    }
}

/// As the engine names what it keeps of a conflict.
fn beside(path: &ZonePath, studio: &Studio) -> ZonePath {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = studio.started_at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let at = at.format(format).unwrap_or_default();
    let suffix = format!(".conflict-{}-{}-{at}", studio.name.replace('/', "-"), studio.epoch);
    let (folder, name) = path.split().unwrap_or_default();
    // A name may have 255 bytes.
    let kept = name.len().min(255_usize.saturating_sub(suffix.len()));
    let name = name.get(..kept).unwrap_or_default();
    folder.join(&[name, suffix.as_bytes()].concat())
}

type Bytes = futures_util::stream::BoxStream<'static, Result<bytes::Bytes, String>>;

async fn content(folder: &Path, digest: sync::Digest) -> Result<Option<Bytes>, AppError> {
    let folder = folder.to_owned();
    let file = blocking(move || shadow::content(&folder, digest)).await?;
    Ok(file.map(|file| {
        let pieces = ReaderStream::new(tokio::fs::File::from_std(file));
        pieces.map(|piece| piece.map_err(|error| error.to_string())).boxed()
    }))
}

async fn kept(folder: &Path) -> Result<Vec<Kept>, AppError> {
    let folder = folder.to_owned();
    blocking(move || shadow::kept(&folder)).await
}

/// Incarnations that copies are kept of, oldest first.
async fn epochs(folder: &Path) -> Result<Vec<u64>, AppError> {
    let folder = folder.to_owned();
    blocking(move || {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut epochs = Vec::new();
        for entry in entries {
            epochs.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        epochs.sort_unstable();
        Ok(epochs)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, AppError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| AppError::internal("reading shadow copies", error))?;
    done.map_err(|error| AppError::internal("reading shadow copies", error))
}
