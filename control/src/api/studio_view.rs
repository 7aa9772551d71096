//! A studio as it is shown: what is kept, what its agent tells, what its image launches.

use images::launch::{ActionInput, Concurrency, InputKind, LaunchSpec};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{State, problem::Result};
use crate::{
    app::{AppError, studios::StudioRight},
    domain::{
        agent::{AgentView, ReadinessLevel},
        ids::{Login, ProjectKey, StudioId, TaskId, TemplateId},
        mounts::MountSettings,
        studio::{DesiredState, Studio, StudioState},
        task::TaskEvent,
        zone::{ZoneKind, ZoneRef},
    },
};

/// A user's instance of a template in a project.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StudioView {
    pub id: StudioId,
    pub project: ProjectKey,
    pub name: String,
    pub owner: Login,
    pub template: TemplateId,
    pub template_label: String,
    pub state: StudioState,
    pub desired: DesiredState,
    /// Why the last start failed.
    pub failure: Option<String>,
    /// The task that starts or stops it, or did so last.
    pub task: Option<TaskId>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// Its template has a newer image than the one it runs.
    pub restart_to_update: bool,
    pub my_right: StudioRight,
    pub entrypoints: Vec<EntrypointView>,
    pub actions: Vec<ActionView>,
    pub mounts: Vec<MountView>,
    /// Events of the start, while it starts.
    pub start_progress: Vec<TaskEvent>,
    /// Conflicts that wait for an answer.
    pub conflicts: usize,
    /// Questions that wait for an answer.
    pub questions: usize,
    /// What its agent wants people to know, newest last.
    pub notices: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StudioEntrypoint)]
pub struct EntrypointView {
    pub id: String,
    pub label: String,
    pub port: Option<u16>,
    /// It is a tab of the studio.
    pub exposed: bool,
    /// Absolute, for a browser; while the studio is not stopped.
    pub url: Option<String>,
    pub readiness: ReadinessLevel,
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    pub reason: Option<String>,
    pub restarts: u32,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StudioAction)]
pub struct ActionView {
    pub id: String,
    pub name: String,
    pub inputs: Vec<InputView>,
    /// What a second run does while one runs: `refuse`, `queue` or `parallel`.
    #[schema(value_type = String)]
    pub concurrency: Concurrency,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StudioActionInput)]
pub struct InputView {
    pub name: String,
    pub label: String,
    /// `text`, `number`, `boolean` or `choice`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: InputKind,
    pub required: bool,
    pub default: String,
    pub choices: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StudioMount)]
pub struct MountView {
    pub id: String,
    /// Such as `project:DEMO:notebooks`.
    pub zone: String,
    pub target: String,
    pub sub_folder: String,
    pub one_way: bool,
    pub live: bool,
    pub merge: bool,
}

impl From<ActionInput> for InputView {
    fn from(input: ActionInput) -> Self {
        let ActionInput { name, label, kind, required, default, choices } = input;
        Self { name, label, kind, required, default, choices }
    }
}

/// Puts it together for somebody who has this right.
pub(super) async fn show(
    services: &State,
    studio: Studio,
    my_right: StudioRight,
) -> Result<StudioView> {
    let store = &services.store;
    let template = store.template(&studio.template).await.map_err(AppError::from)?;
    let newest = store.good_build(&studio.template).await.map_err(AppError::from)?;
    let live = studio.state != StudioState::Stopped;
    let build = if live { studio.build.clone() } else { newest.as_ref().map(|it| it.id.clone()) };
    let launch = match &build {
        Some(build) => services.builds.launch_of(build).await?,
        None => LaunchSpec::default(),
    };
    let agent = if live {
        services.agents.watch(&studio.id).borrow().clone()
    } else {
        AgentView::default()
    };
    let open = services.sync.open_issues_of(&studio.id).await?;
    let settings = store.mount_settings(&studio.id).await.map_err(AppError::from)?;
    let start_progress = match (&studio.task, studio.state) {
        (Some(task), StudioState::Starting) => services.tasks.events(task).await?,
        _ => Vec::new(),
    };
    let restart_to_update =
        studio.state == StudioState::Running && newest.map(|build| build.id) != studio.build;
    Ok(StudioView {
        entrypoints: entrypoints(services, &studio, &launch, &agent),
        mounts: mounts(&studio, &launch, &settings),
        actions: actions(launch),
        id: studio.id,
        project: studio.project,
        name: studio.name,
        owner: studio.owner,
        template: studio.template,
        template_label: template.map(|template| template.label).unwrap_or_default(),
        state: studio.state,
        desired: studio.desired,
        failure: studio.failure,
        task: studio.task,
        created_at: studio.created_at,
        started_at: studio.started_at,
        restart_to_update,
        my_right,
        start_progress,
        conflicts: open.conflicts.len(),
        questions: open.questions.len(),
        notices: agent.notices,
    })
}

fn entrypoints(
    services: &State,
    studio: &Studio,
    launch: &LaunchSpec,
    agent: &AgentView,
) -> Vec<EntrypointView> {
    let absent = match studio.state {
        StudioState::Stopped => ReadinessLevel::Stopped,
        StudioState::Starting | StudioState::Running | StudioState::Stopping => {
            ReadinessLevel::Unknown
        }
    };
    let one = |entrypoint: &images::launch::Entrypoint| {
        let told = agent.entrypoints.iter().find(|told| told.id == entrypoint.id);
        let port = entrypoint.port.filter(|_| studio.state != StudioState::Stopped);
        EntrypointView {
            id: entrypoint.id.clone(),
            label: entrypoint.label.clone(),
            port: entrypoint.port,
            exposed: entrypoint.exposed,
            url: port.map(|port| services.app_urls.url(studio, port, &entrypoint.landing)),
            readiness: told.map_or(absent, |told| told.level),
            since: told.map(|told| told.since),
            reason: told.map(|told| told.reason.clone()).filter(|reason| !reason.is_empty()),
            restarts: told.map_or(0, |told| told.restarts),
        }
    };
    launch.entrypoints.iter().map(one).collect()
}

fn actions(launch: LaunchSpec) -> Vec<ActionView> {
    let one = |action: images::launch::Action| ActionView {
        id: action.id,
        name: action.name,
        inputs: action.inputs.into_iter().map(InputView::from).collect(),
        concurrency: action.concurrency,
    };
    launch.actions.into_iter().map(one).collect()
}

fn mounts(
    studio: &Studio,
    launch: &LaunchSpec,
    settings: &[(String, MountSettings)],
) -> Vec<MountView> {
    let one = |mount: &images::launch::Mount| {
        let kind = mount.zone.parse::<ZoneKind>().ok()?;
        let zone = ZoneRef::of_studio(kind, &studio.project, &studio.id, &studio.owner);
        Some(MountView {
            id: crate::domain::launch::mount_id(&mount.target),
            zone: zone.to_string(),
            target: mount.target.clone(),
            sub_folder: mount.sub_folder.clone(),
            one_way: mount.one_way,
            live: mount.live,
            merge: mount.merge,
        })
    };
    let mut mounts: Vec<MountView> = launch.mounts.iter().filter_map(one).collect();
    for (name, settings) in settings {
        if let Some(mount) = mounts.iter_mut().find(|mount| mount.id == *name) {
            mount.live = settings.live.unwrap_or(mount.live);
            mount.merge = settings.merge.unwrap_or(mount.merge) && !mount.one_way;
        }
    }
    mounts
}
