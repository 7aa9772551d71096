//! From what a build launches to what this pod launches: addresses, variables, secrets.

use std::{collections::BTreeMap, time::Duration};

use images::launch::{self, LaunchSpec};

use super::browser_path;
use crate::{
    app::secrets::StudioSecrets,
    domain::{
        launch::{
            Action, Concurrency, Entrypoint, Launch, Mount, Probe, Readiness, RestartPolicy,
            mount_id,
        },
        permission::Right,
        studio::Studio,
        zone::{ZoneKind, ZoneRef},
    },
    runtime::Placement,
};

/// Of one entrypoint.
const LOG_LIMIT_BYTES: u64 = 1 << 20;
const PROBE_PERIOD: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What all launches of this installation share.
#[derive(Clone)]
pub struct LaunchContext {
    pub secrets: StudioSecrets,
    pub drain_grace: Duration,
}

impl LaunchContext {
    /// What the agent of this pod is told to run. `owners_right`: what the studio's owner may do in its project.
    pub(super) fn launch(
        &self,
        spec: &LaunchSpec,
        studio: &Studio,
        placement: &Placement,
        owners_right: Right,
    ) -> Launch {
        let browser_path = browser_path::of(studio);
        let secret = self.secrets.of(&studio.id);
        let env = environment(spec, studio, placement, &browser_path);
        let entrypoint = |entrypoint: &launch::Entrypoint| Entrypoint {
            id: entrypoint.id.clone(),
            label: entrypoint.label.clone(),
            command: entrypoint.command.clone(),
            working_folder: entrypoint.working_folder.clone(),
            env: entrypoint
                .env
                .iter()
                .map(|(name, value)| (name.clone(), fill(value, &env, &secret)))
                .collect(),
            port: entrypoint.port,
            exposed: entrypoint.exposed,
            readiness: readiness(entrypoint, &browser_path),
            restart: match entrypoint.restart {
                launch::Restart::Always => RestartPolicy::Always,
                launch::Restart::OnFailure => RestartPolicy::OnFailure,
                launch::Restart::Never => RestartPolicy::Never,
            },
            stop_grace: STOP_GRACE,
        };
        Launch {
            generation: 1,
            mounts: mounts(spec, studio, owners_right),
            entrypoints: spec.entrypoints.iter().map(entrypoint).collect(),
            actions: spec.actions.iter().map(action).collect(),
            env,
            expanded_env: BTreeMap::new(),
            workspace: placement.workspace.clone(),
            home: placement.home.clone(),
            listen_address: placement.listen_address,
            tunnel_ports: spec.more_ports.clone(),
            drain_grace: self.drain_grace,
            log_limit_bytes: LOG_LIMIT_BYTES,
        }
    }
}

/// The contracted variables, under both names.
fn environment(
    spec: &LaunchSpec,
    studio: &Studio,
    placement: &Placement,
    browser_path: &str,
) -> BTreeMap<String, String> {
    let mut env = spec.env.clone();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    set("DKU_CODE_STUDIO_BROWSER_PATH", browser_path);
    set("ATELIER_BASE_PATH", browser_path);
    let ports = spec
        .entrypoints
        .iter()
        .filter_map(|entrypoint| entrypoint.port)
        .chain(spec.more_ports.iter().copied());
    for port in ports {
        set(&format!("DKU_CODE_STUDIO_BROWSER_PATH_{port}"), &format!("{browser_path}/{port}"));
        set(&format!("ATELIER_BASE_PATH_{port}"), &format!("{browser_path}/{port}"));
    }
    for (name, value) in [
        ("NODE_NAME", &placement.node_name),
        ("POD_NAME", &placement.pod_name),
        ("POD_NAMESPACE", &placement.namespace),
        ("POD_ID", &placement.pod_uid),
    ] {
        set(&format!("K8S_{name}"), value);
        set(&format!("ATELIER_{name}"), value);
    }
    set("ATELIER_STUDIO_ID", studio.id.as_str());
    set("ATELIER_PROJECT_KEY", studio.project.as_str());
    set("ATELIER_OWNER", studio.owner.as_str());
    set("ATELIER_LISTEN_ADDRESS", &placement.listen_address.to_string());
    set("ATELIER_WORKSPACE", &placement.workspace);
    set("ATELIER_PREFIX", &placement.studio_prefix);
    set("HOME", &placement.home);
    let path = spec.path.iter().map(|folder| format!("{}/{folder}", placement.studio_prefix));
    let local = format!("{}/.local/bin", placement.home);
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(ToOwned::to_owned);
    let path: Vec<String> = std::iter::once(local).chain(path).chain(system).collect();
    set("PATH", &path.join(":"));
    env
}

/// Puts values in the place of `${NAME}`; unknown names stay as they are.
fn fill(text: &str, env: &BTreeMap<String, String>, secret: &str) -> String {
    let mut filled = text.replace("${ATELIER_STUDIO_SECRET}", secret);
    for (name, value) in env {
        filled = filled.replace(&format!("${{{name}}}"), value);
    }
    filled
}

fn readiness(entrypoint: &launch::Entrypoint, browser_path: &str) -> Option<Readiness> {
    let probe = match &entrypoint.readiness {
        launch::Readiness::Started => return None,
        launch::Readiness::Tcp => Probe::Tcp,
        launch::Readiness::Http(url) => Probe::Http {
            url: url.clone(),
            base_url: entrypoint
                .port
                .map_or_else(String::new, |port| format!("{browser_path}/{port}")),
            status_from: 200,
            status_to: 399,
        },
    };
    Some(Readiness { probe, period: PROBE_PERIOD, timeout: PROBE_TIMEOUT })
}

fn action(action: &launch::Action) -> Action {
    Action {
        id: action.id.clone(),
        name: action.name.clone(),
        command_line: action.command_line.clone(),
        working_folder: action.working_folder.clone(),
        timeout: (action.timeout_s > 0).then(|| Duration::from_secs(action.timeout_s.into())),
        concurrency: match action.concurrency {
            launch::Concurrency::Refuse => Concurrency::Refuse,
            launch::Concurrency::Queue => Concurrency::Queue,
            launch::Concurrency::Parallel => Concurrency::Parallel,
        },
    }
}

/// Mounts of the studio. Who may only read a project gets its zones one-way.
fn mounts(spec: &LaunchSpec, studio: &Studio, owners_right: Right) -> Vec<Mount> {
    let mount = |mount: &launch::Mount| {
        let kind: ZoneKind = mount.zone.parse().ok()?;
        let of_project = matches!(kind.scope(), crate::domain::zone::ZoneScope::Project);
        let one_way = mount.one_way || (of_project && owners_right < Right::Write);
        Some(Mount {
            id: mount_id(&mount.target),
            zone: ZoneRef::of_studio(kind, &studio.project, &studio.id, &studio.owner),
            sub_folder: mount.sub_folder.clone(),
            target: mount.target.clone(),
            one_way,
            exclusions: mount.exclusions.clone(),
            live: mount.live,
            merge: mount.merge && !one_way,
            shadow: mount.shadow && !one_way,
        })
    };
    spec.mounts.iter().filter_map(mount).collect()
}
