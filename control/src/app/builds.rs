//! Builds as a service: a queue, one build at a time, a log that is kept and followed, cancelling, recovery after a crash.
//!
//! A build that was running when the program was killed is queued again: builders leave nothing half made that would be
//! taken for whole. A failed build changes nothing: the last good image stays in use.

mod log;
mod worker;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::Stream;
use images::compose::CompileContext;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{AppError, audit::AuditLog, templates::TemplateService};
use crate::{
    builder::{Builder, external::ExternalBlocks},
    clock::SharedClock,
    domain::{
        build::{Build, BuildState},
        ids::{BuildId, TemplateId},
        permission::Principal,
    },
    store::{BuildLogLine, Store},
};

/// How many lines a follower reads at once.
const BATCH: u32 = 512;

/// What a follower of a build's log sees.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildUpdate {
    Line(BuildLogLine),
    /// Always last.
    End(Build),
}

/// A build of this process that may be followed or cancelled.
struct Live {
    changed: watch::Sender<u64>,
    cancel: CancellationToken,
}

pub struct BuildService {
    store: Arc<dyn Store>,
    clock: SharedClock,
    audit: AuditLog,
    templates: Arc<TemplateService>,
    builder: Arc<dyn Builder>,
    external: ExternalBlocks,
    context: CompileContext,
    live: Mutex<HashMap<BuildId, Live>>,
    queued: Notify,
}

impl BuildService {
    pub fn new(
        store: Arc<dyn Store>,
        clock: SharedClock,
        audit: AuditLog,
        templates: Arc<TemplateService>,
        builder: Arc<dyn Builder>,
        external: ExternalBlocks,
        context: CompileContext,
    ) -> Arc<Self> {
        let (live, queued) = (Mutex::default(), Notify::new());
        Arc::new(Self { store, clock, audit, templates, builder, external, context, live, queued })
    }

    /// Queues a build of the template's newest version. A build of the same version that waits already is the answer.
    pub async fn request(
        &self,
        who: &Principal,
        template: &TemplateId,
        no_cache: bool,
    ) -> Result<Build, AppError> {
        who.require_admin()?;
        let head = self.templates.usable(who, template).await?;
        let unfinished = self.store.unfinished_builds().await?;
        let same = |build: &&Build| {
            build.template == *template
                && build.template_version == head.version
                && build.no_cache == no_cache
        };
        if let Some(build) = unfinished.iter().find(same) {
            return Ok(build.clone());
        }
        let build = Build {
            id: BuildId::random(),
            template: head.id,
            template_version: head.version,
            state: BuildState::Queued,
            image: None,
            failure: None,
            no_cache,
            requested_by: who.login.clone(),
            created_at: self.clock.now(),
            started_at: None,
            ended_at: None,
        };
        self.store.create_build(&build).await?;
        self.go_live(&build.id).await;
        self.audit.record(&who.login, "template.build", &build.template, build.id.as_str()).await?;
        self.queued.notify_one();
        Ok(build)
    }

    async fn go_live(&self, id: &BuildId) -> CancellationToken {
        let mut live = self.live.lock().await;
        let live = live.entry(id.clone()).or_insert_with(|| Live {
            changed: watch::Sender::new(0),
            cancel: CancellationToken::new(),
        });
        live.cancel.clone()
    }

    /// Newest first.
    pub async fn list(
        &self,
        who: &Principal,
        template: Option<&TemplateId>,
    ) -> Result<Vec<Build>, AppError> {
        match template {
            Some(template) => drop(self.templates.usable(who, template).await?),
            None => who.require_admin()?,
        }
        Ok(self.store.builds(template, 200).await?)
    }

    pub async fn get(&self, who: &Principal, id: &BuildId) -> Result<Build, AppError> {
        let build = self.store.build(id).await?.ok_or_else(|| AppError::not_found("build", id))?;
        self.templates.usable(who, &build.template).await?;
        Ok(build)
    }

    /// Asks a build to stop. Answers with it as it is now; its log tells the end.
    pub async fn cancel(&self, who: &Principal, id: &BuildId) -> Result<Build, AppError> {
        who.require_admin()?;
        let build = self.get(who, id).await?;
        if let Some(live) = self.live.lock().await.get(id) {
            live.cancel.cancel();
        }
        self.queued.notify_one();
        self.audit.record(&who.login, "build.cancel", id, "").await?;
        Ok(build)
    }

    /// The newest good image's build, and what studios of it launch.
    pub async fn good(
        &self,
        template: &TemplateId,
    ) -> Result<(Build, images::launch::LaunchSpec), AppError> {
        let build = self.store.good_build(template).await?;
        let build = build
            .ok_or_else(|| AppError::conflict("the template has no image yet: build it first"))?;
        let launch = self.launch_of(&build.id).await?;
        Ok((build, launch))
    }

    /// What studios of a build launch.
    pub async fn launch_of(&self, id: &BuildId) -> Result<images::launch::LaunchSpec, AppError> {
        let launch = self
            .store
            .launch(id)
            .await?
            .ok_or_else(|| AppError::not_found("launch specification", id))?;
        serde_json::from_value(launch)
            .map_err(|error| AppError::internal("reading the launch specification", error))
    }

    /// Log lines after a number, then live, then the end.
    pub fn follow(
        self: &Arc<Self>,
        id: BuildId,
        mut after: u64,
    ) -> impl Stream<Item = Result<BuildUpdate, AppError>> + Send + 'static {
        let service = Arc::clone(self);
        async_stream::try_stream! {
            loop {
                // Subscribe before looking, so that nothing falls between the look and the wait.
                let changed = service.live.lock().await.get(&id).map(|live| live.changed.subscribe());
                let build = service.store.build(&id).await?.ok_or_else(|| AppError::not_found("build", &id))?;
                loop {
                    let lines = service.store.build_log(&id, after, BATCH).await?;
                    let full = lines.len() == BATCH as usize;
                    for line in lines {
                        after = line.seq;
                        yield BuildUpdate::Line(line);
                    }
                    if !full {
                        break;
                    }
                }
                match changed {
                    Some(mut changed) if matches!(build.state, BuildState::Queued | BuildState::Running) => {
                        drop(changed.changed().await);
                    }
                    _ => {
                        yield BuildUpdate::End(build);
                        return;
                    }
                }
            }
        }
    }

    /// The build as soon as it has ended, or the time is over. Cancel safe.
    pub async fn wait(&self, id: &BuildId, longest: Duration) -> Result<Build, AppError> {
        let deadline = tokio::time::Instant::now() + longest;
        loop {
            let changed = self.live.lock().await.get(id).map(|live| live.changed.subscribe());
            let build =
                self.store.build(id).await?.ok_or_else(|| AppError::not_found("build", id))?;
            let Some(mut changed) = changed.filter(|_| build.ended_at.is_none()) else {
                return Ok(build);
            };
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Ok(build);
            }
        }
    }
}

#[cfg(test)]
mod tests;
