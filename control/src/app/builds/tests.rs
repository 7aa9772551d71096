use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use images::{compose::CompileContext, plan::BuildPlan};
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{BuildService, BuildUpdate};
use crate::{
    app::{audit::AuditLog, templates::TemplateService, users::UserService},
    builder::{BuildError, Builder, LogLine, LogSink, LogStream, external::ExternalBlocks},
    clock::{SharedClock, SystemClock},
    domain::{
        build::{Build, BuildState, ImageRef},
        ids::TemplateId,
        permission::Principal,
        user::Scope,
    },
    store::{Store, sqlite::Sqlite},
};

/// Does what the template's description says: `fail`, `hang` until cancelled, else succeed.
struct Scripted {
    builds: AtomicU32,
}

#[async_trait]
impl Builder for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn check(&self, _: &BuildPlan) -> Result<(), BuildError> {
        Ok(())
    }
    async fn build(
        &self,
        plan: &BuildPlan,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: CancellationToken,
    ) -> Result<ImageRef, BuildError> {
        self.builds.fetch_add(1, Ordering::SeqCst);
        for line in 0..2000 {
            log.line(LogLine {
                node: "n".into(),
                stream: LogStream::Stdout,
                text: format!("line {line}"),
            })
            .await;
        }
        match plan.nodes[0].name.as_str() {
            "code_env-fail" => Err(BuildError::Failed {
                block: 0,
                node: "n".into(),
                why: "no such package".into(),
            }),
            "code_env-hang" if !no_cache => {
                cancel.cancelled().await;
                Err(BuildError::Cancelled)
            }
            _ => Ok(ImageRef {
                builder: "scripted".into(),
                reference: plan.digest.clone(),
                digest: plan.digest.clone(),
            }),
        }
    }
    async fn exists(&self, _: &ImageRef) -> Result<bool, BuildError> {
        Ok(true)
    }
    async fn collect_garbage(&self, _: &[ImageRef]) -> Result<(), BuildError> {
        Ok(())
    }
}

struct Server {
    _folder: tempfile::TempDir,
    admin: Principal,
    templates: Arc<TemplateService>,
    builder: Arc<Scripted>,
    builds: Arc<BuildService>,
    store: Arc<dyn Store>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Server {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&folder.path().join("db")).await.unwrap());
        let clock: SharedClock = Arc::new(SystemClock);
        let audit = AuditLog::new(Arc::clone(&store), Arc::clone(&clock));
        let users = UserService::new(Arc::clone(&store), Arc::clone(&clock), audit.clone());
        users.ensure_first_administrator(&"admin".parse().unwrap()).await.unwrap();
        let admin = Principal {
            login: "admin".parse().unwrap(),
            admin: true,
            groups: [].into(),
            scope: Scope::Admin,
        };
        let templates = Arc::new(TemplateService::new(Arc::clone(&store), clock, audit));
        let builder = Arc::new(Scripted { builds: AtomicU32::new(0) });
        let builds = Self::service(&store, &templates, &builder);
        let server = Self {
            _folder: folder,
            admin,
            templates,
            builder,
            builds,
            store,
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        server.tasks.spawn(Arc::clone(&server.builds).run(server.shutdown.clone()));
        server
    }

    fn service(
        store: &Arc<dyn Store>,
        templates: &Arc<TemplateService>,
        builder: &Arc<Scripted>,
    ) -> Arc<BuildService> {
        let clock: SharedClock = Arc::new(SystemClock);
        let audit = AuditLog::new(Arc::clone(store), Arc::clone(&clock));
        let context =
            CompileContext { base: "m".into(), platform: "p".into(), build_env: [].into() };
        let builder: Arc<dyn Builder> = Arc::clone(builder) as _;
        let external = ExternalBlocks::new("/nowhere".into(), [].into());
        BuildService::new(
            Arc::clone(store),
            clock,
            audit,
            Arc::clone(templates),
            builder,
            external,
            context,
        )
    }

    /// The program ends and starts again.
    async fn restart(&mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.builds = Self::service(&self.store, &self.templates, &self.builder);
        (self.tasks, self.shutdown) = (TaskTracker::new(), CancellationToken::new());
        self.tasks.spawn(Arc::clone(&self.builds).run(self.shutdown.clone()));
    }

    async fn template(&self, name: &str) -> TemplateId {
        let spec = json!({"label": name, "blocks": [{"type": "code_env", "name": name}]});
        self.templates.create(&self.admin, spec).await.unwrap().head.id
    }

    async fn end_of(&self, build: &Build) -> Build {
        let mut updates = Box::pin(self.builds.follow(build.id.clone(), 0));
        let mut expected = 1;
        while let Some(update) = updates.next().await {
            match update.unwrap() {
                BuildUpdate::Line(line) => {
                    assert_eq!(line.seq, expected);
                    expected += 1;
                }
                BuildUpdate::End(build) => return build,
            }
        }
        panic!("a log ends with its build's end");
    }
}

#[tokio::test]
async fn a_follower_sees_every_line_and_the_end() {
    let server = Server::new().await;
    let template = server.template("good").await;
    let build = server.builds.request(&server.admin, &template, false).await.unwrap();
    let ended = server.end_of(&build).await;
    assert_eq!((ended.state, ended.failure), (BuildState::Succeeded, None));
    let (good, launch) = server.builds.good(&template).await.unwrap();
    assert_eq!(good.id, build.id);
    assert_eq!(launch.path, ["code_env-good/bin"]);
}

#[tokio::test]
async fn a_failed_build_says_why_and_the_last_good_image_stays() {
    let server = Server::new().await;
    let template = server.template("good").await;
    let good = server.builds.request(&server.admin, &template, false).await.unwrap();
    server.end_of(&good).await;
    let spec = json!({"label": "good", "blocks": [{"type": "code_env", "name": "fail"}]});
    server.templates.save(&server.admin, &template, spec, None).await.unwrap();
    let build = server.builds.request(&server.admin, &template, false).await.unwrap();
    let ended = server.end_of(&build).await;
    assert_eq!(ended.state, BuildState::Failed);
    assert!(ended.failure.unwrap().contains("no such package"));
    assert_eq!(server.builds.good(&template).await.unwrap().0.id, good.id);
}

#[tokio::test]
async fn a_build_is_cancelled_and_one_that_was_cut_off_is_built_again() {
    let mut server = Server::new().await;
    let template = server.template("hang").await;
    let build = server.builds.request(&server.admin, &template, false).await.unwrap();
    assert_eq!(server.builds.request(&server.admin, &template, false).await.unwrap().id, build.id);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while server.builder.builds.load(Ordering::SeqCst) < 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.restart().await;
    while server.builder.builds.load(Ordering::SeqCst) < 2 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.builds.cancel(&server.admin, &build.id).await.unwrap();
    assert_eq!(server.end_of(&build).await.state, BuildState::Cancelled);
    assert!(server.builds.good(&template).await.is_err());
}
