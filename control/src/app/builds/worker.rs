//! Takes builds from the queue, one at a time.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{BuildService, log};
use crate::{
    app::AppError,
    builder::{BuildError, LogLine, LogSink as _, LogStream},
    domain::build::{Build, BuildState},
};

/// How long the worker rests when the store fails.
const REST: Duration = Duration::from_secs(5);

impl BuildService {
    /// Builds what is queued until shut down. A build that runs then is left to be queued again by the next program.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        if let Err(error) = self.recover().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "builds of an earlier run can't be queued again"
            );
        }
        loop {
            match self.next().await {
                Ok(Some(build)) => {
                    let id = build.id.clone();
                    if let Err(error) = self.carry_out(build, &shutdown).await {
                        tracing::error!(%id, error = &error as &dyn std::error::Error, "a build can't be carried out");
                        tokio::time::sleep(REST).await;
                    }
                }
                Ok(None) => tokio::select! {
                    () = self.queued.notified() => (),
                    () = shutdown.cancelled() => return,
                },
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the queue of builds can't be read"
                    );
                    tokio::time::sleep(REST).await;
                }
            }
            if shutdown.is_cancelled() {
                return;
            }
        }
    }

    /// Queues again what an earlier program was building.
    async fn recover(&self) -> Result<(), AppError> {
        for mut build in self.store.unfinished_builds().await? {
            self.go_live(&build.id).await;
            if build.state == BuildState::Running {
                build.state = BuildState::Queued;
                build.started_at = None;
                self.store.update_build(&build).await?;
            }
        }
        Ok(())
    }

    async fn next(&self) -> Result<Option<Build>, AppError> {
        Ok(self.store.unfinished_builds().await?.into_iter().next())
    }

    async fn carry_out(
        self: &Arc<Self>,
        mut build: Build,
        shutdown: &CancellationToken,
    ) -> Result<(), AppError> {
        let cancel = self.go_live(&build.id).await;
        build.state = BuildState::Running;
        build.started_at = Some(self.clock.now());
        self.store.update_build(&build).await?;
        let (writer, keep) = log::channel(Arc::clone(self), build.id.clone());
        // One token for the builder: somebody cancels, or the program ends.
        let stop = cancel.child_token();
        let watch_shutdown = async {
            shutdown.cancelled().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let building = async {
            let outcome = tokio::select! {
                outcome = self.build_image(&build, &writer, stop.clone()) => outcome,
                () = watch_shutdown => unreachable!("it never ends"),
            };
            if let Err(error) = &outcome {
                let text = chain(error);
                writer.line(LogLine { node: String::new(), stream: LogStream::Build, text }).await;
            }
            drop(writer);
            outcome
        };
        let (outcome, kept) = tokio::join!(building, keep);
        kept?;
        if shutdown.is_cancelled() && !cancel.is_cancelled() && outcome.is_err() {
            // It stays as running: the next program queues it again.
            return Ok(());
        }
        self.finish(build, outcome, cancel.is_cancelled()).await
    }

    async fn build_image(
        &self,
        build: &Build,
        writer: &log::LogWriter,
        stop: CancellationToken,
    ) -> Result<crate::domain::build::ImageRef, BuildFailure> {
        let version = self.templates.version(&build.template, build.template_version).await?;
        let resources = self.templates.resources_of(&version).await?;
        let mut spec = version.spec.clone();
        let external = self.external.build_spec(&mut spec, writer, &stop).await?;
        let compiled = images::template::parse(&spec)
            .and_then(|spec| images::compose::compile(&spec, &resources, &self.context))
            .map_err(BuildFailure::Template)?;
        let launch = self.external.build_launch(&external, compiled.launch, writer, &stop).await?;
        let launch = serde_json::to_value(&launch)
            .map_err(|error| AppError::internal("keeping the launch", error))?;
        let image = self.builder.build(&compiled.plan, build.no_cache, writer, stop).await?;
        self.store.put_launch(&build.id, &launch).await.map_err(AppError::from)?;
        Ok(image)
    }

    async fn finish(
        &self,
        mut build: Build,
        outcome: Result<crate::domain::build::ImageRef, BuildFailure>,
        cancelled: bool,
    ) -> Result<(), AppError> {
        build.ended_at = Some(self.clock.now());
        match outcome {
            Ok(image) => {
                build.state = BuildState::Succeeded;
                build.image = Some(image);
            }
            Err(_) if cancelled => build.state = BuildState::Cancelled,
            Err(error) => {
                build.state = BuildState::Failed;
                build.failure = Some(chain(&error));
            }
        }
        self.store.update_build(&build).await?;
        // Followers wake because their sender is dropped, and find the end in the store.
        self.live.lock().await.remove(&build.id);
        if build.state == BuildState::Succeeded {
            let keep = self.store.images_in_use().await?;
            if let Err(error) = self.builder.collect_garbage(&keep).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "images that nobody uses stay behind"
                );
            }
        }
        Ok(())
    }
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
enum BuildFailure {
    #[error(transparent)]
    Builder(#[from] BuildError),
    #[error(transparent)]
    App(#[from] AppError),
    /// A newer program is stricter than the one that kept the template.
    #[error("the template can't be built: {}", in_words(.0))]
    Template(Vec<images::template::Problem>),
}

fn in_words(problems: &[images::template::Problem]) -> String {
    let word = |problem: &images::template::Problem| match problem.block {
        Some(block) => format!("block {block}, {}: {}", problem.field, problem.reason),
        None => format!("{}: {}", problem.field, problem.reason),
    };
    problems.iter().map(word).collect::<Vec<_>>().join("; ")
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
