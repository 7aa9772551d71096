//! Shadow copies: while studios run, what they have and their zones lack is kept beside the zones, every few seconds and by
//! the engine's own looks and deltas; when a pod was lost with its files, the next start brings that into the zones.
//!
//! A look ends as soon as somebody wants to synchronise. What it costs is bounded: one that takes long is followed by a long pause.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use sync::{CancelFlag, Direction, Meter, Request, shadow::Shadow};
use tokio::{task::JoinSet, time::Instant};

use super::SyncService;
use crate::{
    app::AppError,
    domain::{
        ids::StudioId,
        launch::Mount,
        studio::{Studio, StudioState},
    },
};

/// How often it is looked whom to look at.
const TICK: Duration = Duration::from_millis(250);
/// From the end of one look at a studio to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// And at least so many times as long as it took, most of which is waiting.
const RATIO: u32 = 3;
/// Studios that are looked at together.
const AT_ONCE: usize = 8;
/// Of one mount's copies.
const LIMIT_BYTES: u64 = 4 << 30;

/// Lets go of a look's flag, whose studio may be synchronised then.
struct UnderWay<'a>(&'a SyncService, StudioId);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.looks().remove(&self.1);
    }
}

impl SyncService {
    /// Keeps copies until the server ends.
    pub async fn keep_shadows(self: Arc<Self>) {
        let mut due: HashMap<StudioId, Instant> = HashMap::new();
        let mut looks: JoinSet<(StudioId, Duration)> = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                _ = tick.tick() => (),
            }
            while let Some(done) = looks.try_join_next() {
                match done {
                    Ok((studio, took)) => {
                        tracing::debug!(%studio, ?took, "looked for what its zones lack");
                        due.insert(studio, Instant::now() + PAUSE.max(took * RATIO));
                    }
                    Err(error) => tracing::error!(%error, "a look for shadow copies failed"),
                }
            }
            let running = match self.store.studios_in(&[StudioState::Running]).await {
                Ok(running) => running,
                Err(error) => {
                    tracing::warn!(%error, "nobody knows which studios run");
                    continue;
                }
            };
            due.retain(|id, _| running.iter().any(|studio| studio.id == *id));
            for studio in running {
                let now = Instant::now();
                if looks.len() >= AT_ONCE || due.get(&studio.id).is_some_and(|due| *due > now) {
                    continue;
                }
                // Until it is known how long it took.
                due.insert(studio.id.clone(), now + Duration::from_hours(1));
                let service = Arc::clone(&self);
                looks.spawn(async move {
                    let begun = Instant::now();
                    service.look(&studio).await;
                    (studio.id, begun.elapsed())
                });
            }
        }
        self.looks().retain(|_, flag| {
            flag.cancel();
            true
        });
        while looks.join_next().await.is_some() {}
    }

    /// Looks at a studio, unless it is being synchronised or away.
    async fn look(&self, studio: &Studio) {
        let here = self.agents.incarnation(&studio.id);
        if here.is_none_or(|here| here.epoch != studio.epoch) {
            return;
        }
        let turn = self.turn_of(&studio.id);
        let Ok(_my_turn) = turn.try_lock() else { return };
        let flag = CancelFlag::default();
        self.looks().insert(studio.id.clone(), flag.clone());
        let _under_way = UnderWay(self, studio.id.clone());
        let Ok(mounts) = self.mounts_of(studio).await else { return };
        let looks = mounts.iter().filter(|mount| mount.shadow && !mount.one_way).map(async |mount| {
            match self.keep_shadow(studio, mount, &flag).await {
                Ok(()) => (),
                // It goes on with the next look.
                Err(AppError::Unreachable { why }) => {
                    tracing::debug!(studio = %studio.id, mount = mount.id, why, "a look ended early");
                }
                Err(error) => {
                    tracing::warn!(studio = %studio.id, mount = mount.id, error = &error as &dyn std::error::Error, "no shadow copy is made");
                }
            }
        });
        futures_util::future::join_all(looks).await;
    }

    async fn keep_shadow(
        &self,
        studio: &Studio,
        mount: &Mount,
        flag: &CancelFlag,
    ) -> Result<(), AppError> {
        let folder = self.shadows(studio, mount).await?.join(studio.epoch.to_string());
        let request = Request {
            direction: Direction::Check,
            shadow: Some(Shadow { folder, limit_bytes: LIMIT_BYTES }),
            ..Request::default()
        };
        // The zone is read only, and nobody else synchronises this studio meanwhile.
        let side = self.side_of(studio, mount).await?;
        let meter = Meter::default();
        let outcome = self.engine(studio, mount, side, request, meter, flag.clone()).await?;
        outcome.map(drop).map_err(|error| super::run::why(&error))
    }

    /// Where a mount's copies lie, by incarnation.
    pub(super) async fn shadows(
        &self,
        studio: &Studio,
        mount: &Mount,
    ) -> Result<PathBuf, AppError> {
        let folders = self.zones.folders(&mount.zone).await?;
        let name = blake3::hash(mount.id.as_bytes()).to_hex();
        Ok(folders.state.join(studio.id.as_str()).join("shadows").join(name.as_str()))
    }

    /// The zone has everything: copies of this incarnation are old.
    pub(super) async fn forget_shadow(
        &self,
        studio: &Studio,
        mount: &Mount,
    ) -> Result<(), AppError> {
        let folder = self.shadows(studio, mount).await?.join(studio.epoch.to_string());
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(AppError::internal("removing shadow copies", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
