//! Start: image → resources → pod → agent → files → entrypoints → readiness.

use std::{collections::BTreeMap, time::Duration};

use images::launch::LaunchSpec;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{JobError, StudioReconciler, browser_path, chain, progress::told, stop};
use crate::{
    app::{
        ports::{FileProgress, Recovered},
        tasks::{Ending, TaskHandle},
    },
    domain::{
        agent::{AgentView, ReadinessLevel},
        build::Build,
        permission::{Principal, Right},
        studio::{DesiredState, StartStep, Studio, StudioState},
        task::{StepStatus, TaskKind},
        user::Scope,
    },
    runtime::{Placement, PodSpec, PodState},
};

/// Starts the studio, and settles what came of it.
pub(super) async fn run(
    reconciler: &StudioReconciler,
    mut studio: Studio,
    cancel: &CancellationToken,
    shutdown: &CancellationToken,
) -> Result<(), JobError> {
    let task = task_of(reconciler, &mut studio).await?;
    let steps = Start { reconciler, task: &task };
    let outcome = tokio::select! {
        outcome = steps.all(&mut studio) => outcome,
        () = cancel.cancelled() => Err(JobError::Cancelled),
        () = task.cancelled().cancelled() => Err(JobError::Cancelled),
    };
    match outcome {
        Ok(()) => {
            task.end(Ending::Succeeded(serde_json::json!({"studio": studio.id}))).await?;
            Ok(())
        }
        // The program ends: the next one goes on.
        Err(JobError::Cancelled) if shutdown.is_cancelled() => Err(JobError::Cancelled),
        Err(JobError::Cancelled) => {
            give_up(reconciler, studio, None).await?;
            task.end(Ending::Cancelled).await?;
            Ok(())
        }
        Err(error) => {
            let why = chain(&error);
            give_up(reconciler, studio, Some(why.clone())).await?;
            task.end(Ending::Failed(why)).await?;
            Ok(())
        }
    }
}

/// The task that shows this start: the one that asked for it, or a new one where that has ended.
async fn task_of(
    reconciler: &StudioReconciler,
    studio: &mut Studio,
) -> Result<TaskHandle, JobError> {
    let tasks = &reconciler.services.tasks;
    if let Some(id) = &studio.task {
        let task = tasks.get(id).await?;
        if task.kind == TaskKind::StartStudio && task.ended_at.is_none() {
            return Ok(tasks.resume(id).await);
        }
    }
    let (task, handle) = tasks.create(TaskKind::StartStudio, &studio.id, &studio.owner).await?;
    reconciler.services.store.set_desired(&studio.id, DesiredState::Running, &task.id).await?;
    studio.task = Some(task.id);
    Ok(handle)
}

/// Brings files back, removes everything, keeps the reason.
async fn give_up(
    reconciler: &StudioReconciler,
    mut studio: Studio,
    why: Option<String>,
) -> Result<(), JobError> {
    let store = &reconciler.services.store;
    store.drop_wish(&studio.id, studio.task.as_ref()).await?;
    studio.state = StudioState::Stopping;
    reconciler.settle(&studio).await?;
    let message = stop::end_pod(reconciler, &studio).await?;
    studio.state = StudioState::Stopped;
    studio.failure = why;
    reconciler.settle(&studio).await?;
    // Whoever wanted it stopped meanwhile waits for it.
    if let Some(now) = store.studio(&studio.id).await? {
        stop::end_task(reconciler, &now, message).await?;
    }
    Ok(())
}

struct Start<'a> {
    reconciler: &'a StudioReconciler,
    task: &'a TaskHandle,
}

impl Start<'_> {
    async fn all(&self, studio: &mut Studio) -> Result<(), JobError> {
        let (build, spec) = self.step(StartStep::Image, self.image(studio)).await?;
        self.step(StartStep::Resources, self.resources(studio, &build)).await?;
        let placement = self.step(StartStep::Pod, self.pod(studio, &build, &spec)).await?;
        self.step(StartStep::Agent, self.agent(studio)).await?;
        let right = self.owners_right(studio).await?;
        let launch = self.reconciler.context.launch(&spec, studio, &placement, right);
        let agents = &self.reconciler.agents;
        self.step(StartStep::Files, async {
            self.reconciler.files.declare_mounts(studio, &launch.mounts).await?;
            agents.launch(&studio.id, &launch).await?;
            let back = self.recover(studio).await;
            let ((), filled) = self.fill(studio).await?;
            Ok(((), format!("{filled}{back}")))
        })
        .await?;
        self.step(StartStep::Entrypoints, async {
            agents.start_entrypoints(&studio.id, launch.generation).await?;
            Ok(((), format!("{} started", launch.entrypoints.len())))
        })
        .await?;
        let waited_for: Vec<String> = launch
            .entrypoints
            .iter()
            .filter(|entrypoint| entrypoint.exposed && entrypoint.readiness.is_some())
            .map(|entrypoint| entrypoint.id.clone())
            .collect();
        self.step(StartStep::Readiness, self.readiness(studio, &waited_for)).await?;
        studio.state = StudioState::Running;
        studio.failure = None;
        studio.started_at = Some(self.reconciler.services.clock.now());
        self.reconciler.settle(studio).await
    }

    /// Shows a step's begin and end, and says of a failure which step it was.
    async fn step<T>(
        &self,
        step: StartStep,
        work: impl Future<Output = Result<(T, String), JobError>>,
    ) -> Result<T, JobError> {
        self.task.step(step, StepStatus::Began, "").await?;
        match work.await {
            Ok((done, message)) => {
                self.task.step(step, StepStatus::Done, &message).await?;
                Ok(done)
            }
            Err(JobError::Cancelled) => Err(JobError::Cancelled),
            Err(error) => {
                let why = chain(&error);
                self.task.step(step, StepStatus::Failed, &why).await?;
                Err(JobError::Failed(format!("{}: {why}", step.name())))
            }
        }
    }

    /// The image of this incarnation: the one that it was begun with, or the newest good one.
    async fn image(&self, studio: &Studio) -> Result<((Build, LaunchSpec), String), JobError> {
        let builds = &self.reconciler.services.builds;
        let begun_with = match &studio.build {
            Some(id) if studio.state == StudioState::Starting => {
                self.reconciler.services.store.build(id).await?
            }
            _ => None,
        };
        let (build, spec) = match begun_with {
            Some(build) => {
                let spec = builds.launch_of(&build.id).await?;
                (build, spec)
            }
            None => builds.good(&studio.template).await?,
        };
        let message = format!("build {} of version {}", build.id, build.template_version);
        Ok(((build, spec), message))
    }

    /// Writes down what this incarnation is, before anything of it exists.
    async fn resources(
        &self,
        studio: &mut Studio,
        build: &Build,
    ) -> Result<((), String), JobError> {
        if studio.state != StudioState::Starting {
            studio.epoch += 1;
            studio.state = StudioState::Starting;
        }
        studio.build = Some(build.id.clone());
        studio.template_version = Some(build.template_version);
        studio.failure = None;
        self.reconciler.settle(studio).await?;
        Ok(((), format!("incarnation {}", studio.epoch)))
    }

    async fn pod(
        &self,
        studio: &Studio,
        build: &Build,
        spec: &LaunchSpec,
    ) -> Result<(Placement, String), JobError> {
        let image =
            build.image.clone().ok_or_else(|| JobError::Failed("the build has no image".into()))?;
        let running = self.reconciler.runtime.observe_studio(&studio.id).await?;
        let connected = {
            let view = self.reconciler.agents.watch(&studio.id);
            let view = view.borrow();
            view.connected && view.epoch == studio.epoch
        };
        // An agent that is there has used its token up; a new one would lock it out.
        if let (PodState::Running(placement), true) = (running, connected) {
            return Ok((placement, "found running".into()));
        }
        let agents = &self.reconciler.agents;
        let mut agent_env: BTreeMap<String, String> = agents.connection_env().into_iter().collect();
        let attested = self.reconciler.runtime.attests().await?;
        if attested {
            agents.expect_pod(&studio.id, studio.epoch).await?;
        } else {
            let token = agents.issue_token(&studio.id, studio.epoch).await?;
            agent_env.insert("ATELIER_TOKEN".into(), token);
        }
        let ports = spec
            .entrypoints
            .iter()
            .filter_map(|entrypoint| entrypoint.port)
            .chain(spec.more_ports.iter().copied());
        let pod = PodSpec {
            studio: studio.id.clone(),
            project: studio.project.clone(),
            owner: studio.owner.clone(),
            epoch: studio.epoch,
            image,
            agent_env,
            attested,
            ports: ports.collect(),
            overrides: browser_path::filled_in(&spec.pod, studio),
            termination_grace: self.reconciler.limits.grace,
        };
        let placement = self.reconciler.runtime.ensure_studio(&pod).await?;
        let message = format!("{} on {}", placement.pod_name, placement.node_name);
        Ok((placement, message))
    }

    /// Waits for the agent's hello, or for the pod's end.
    async fn agent(&self, studio: &Studio) -> Result<((), String), JobError> {
        let here = |view: &AgentView| view.connected && view.epoch == studio.epoch;
        let longest = self.reconciler.limits.agent;
        self.wait(studio, longest, here).await?.ok_or_else(|| {
            let seconds = longest.as_secs();
            JobError::Failed(format!("the studio's agent did not report within {seconds} s; can it reach the control plane?"))
        })?;
        Ok(((), "connected".into()))
    }

    /// Waits until the agent's view fulfils a condition; `None`: the time was over. A pod that ends is an error.
    async fn wait(
        &self,
        studio: &Studio,
        longest: Duration,
        fulfilled: impl Fn(&AgentView) -> bool,
    ) -> Result<Option<()>, JobError> {
        let mut view = self.reconciler.agents.watch(&studio.id);
        let deadline = tokio::time::Instant::now() + longest;
        loop {
            if fulfilled(&view.borrow_and_update()) {
                return Ok(Some(()));
            }
            if let PodState::Ended { reason, .. } =
                self.reconciler.runtime.observe_studio(&studio.id).await?
            {
                return Err(JobError::Failed(format!("the pod has ended: {reason}")));
            }
            let look_again = tokio::time::Instant::now() + Duration::from_secs(1);
            tokio::select! {
                changed = view.changed() => changed.map_err(|_| JobError::Cancelled)?,
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                () = tokio::time::sleep_until(look_again) => (),
            }
        }
    }

    /// What the studio's owner may do in its project.
    async fn owners_right(&self, studio: &Studio) -> Result<Right, JobError> {
        let store = &self.reconciler.services.store;
        let gone = || {
            JobError::Failed(format!("{} is no user any more: hand the studio over", studio.owner))
        };
        let user = store.user(&studio.owner).await?.ok_or_else(gone)?;
        let groups = store.groups_of(&studio.owner).await?.into_iter().collect();
        let owner = Principal { login: user.login, admin: user.admin, groups, scope: Scope::Admin };
        let project = store.project(&studio.project).await?;
        let right = project.and_then(|project| project.right_of(&owner));
        right.ok_or_else(|| {
            JobError::Failed(format!(
                "{} has no right in project {} any more",
                studio.owner, studio.project
            ))
        })
    }

    /// What earlier pods had that were lost with their files; answers what is to be told of it.
    async fn recover(&self, studio: &Studio) -> String {
        if self.reconciler.runtime.keeps_files() {
            return String::new();
        }
        let back = match self.reconciler.files.recover(studio).await {
            Ok(back) => back,
            // They stay for the start after this one, which they must not hold up either.
            Err(error) => {
                tracing::error!(studio = %studio.id, error = &error as &dyn std::error::Error, "shadow copies can't be brought back");
                return format!(
                    "; what a pod that was lost had is not back yet: {}",
                    chain(&error)
                );
            }
        };
        let of_lost = match back {
            Recovered { files: 0, .. } => String::new(),
            Recovered { files, beside: 0, .. } => {
                format!("; {files} files of a pod that was lost are back")
            }
            Recovered { files, beside, .. } => format!(
                "; {files} files of a pod that was lost are back, {beside} of them beside newer ones"
            ),
        };
        let missing = back.missing.join(", ");
        if missing.is_empty() { of_lost } else { format!("{of_lost}; not back: {missing}") }
    }

    /// Server → studio, with progress while files move.
    async fn fill(&self, studio: &Studio) -> Result<((), String), JobError> {
        let (sender, progress) = watch::channel(FileProgress::default());
        let filling = self.reconciler.files.fill(studio, sender);
        let tell = |now: FileProgress| async move {
            self.task.step(StartStep::Files, StepStatus::Progress, &in_words(now)).await?;
            Ok(())
        };
        let last = progress.clone();
        told(filling, progress, Duration::from_secs(1), tell).await??;
        let last = *last.borrow();
        Ok(((), in_words(last)))
    }

    /// Waits until all that are exposed are ready.
    async fn readiness(
        &self,
        studio: &Studio,
        waited_for: &[String],
    ) -> Result<((), String), JobError> {
        let ready = |view: &AgentView, id: &String| {
            view.entrypoints
                .iter()
                .any(|entrypoint| entrypoint.id == *id && entrypoint.level == ReadinessLevel::Ready)
        };
        let all = |view: &AgentView| waited_for.iter().all(|id| ready(view, id));
        if self.wait(studio, self.reconciler.limits.readiness, all).await?.is_some() {
            return Ok(((), format!("{} ready", waited_for.join(", "))));
        }
        let view = self.reconciler.agents.watch(&studio.id).borrow().clone();
        let late = view.entrypoints.iter().filter(|entrypoint| waited_for.contains(&entrypoint.id));
        let late = late.filter(|entrypoint| entrypoint.level != ReadinessLevel::Ready);
        let late: Vec<String> =
            late.map(|entrypoint| format!("{}: {}", entrypoint.id, entrypoint.reason)).collect();
        let seconds = self.reconciler.limits.readiness.as_secs();
        Err(JobError::Failed(format!("not ready within {seconds} s: {}", late.join("; "))))
    }
}

fn in_words(progress: FileProgress) -> String {
    let FileProgress { mounts_done, mounts, files, bytes } = progress;
    format!("{mounts_done} of {mounts} mounts, {files} files, {bytes} bytes")
}
