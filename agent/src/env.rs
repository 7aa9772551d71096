//! Variables of the studio's processes.
//!
//! In order, later ones win: the container's environment, facts of the agent, user-level prefixes, the manifest's variables,
//! its expanded ones, and an entrypoint's own. `${NAME}` is expanded in `expanded_env` and in command lines; a name that
//! is not set stays as it is written, for the shell that may come after us.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;

use proto::agent::v1::{EnvVar, LaunchManifest};

use crate::config::Config;

/// What the agent knows before a manifest.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    base: BTreeMap<OsString, OsString>,
    studio_id: String,
    pod_name: String,
    pod_uid: String,
    user: String,
}

impl Facts {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            base: config.env.clone(),
            studio_id: config.studio_id.clone(),
            pod_name: config.pod_name.clone(),
            pod_uid: config.pod_uid.clone(),
            user: user_name(),
        }
    }
}

/// A container may run under any number: those of some platforms have no name.
fn user_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "studio".to_owned(), |user| user.name)
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// User-level prefixes, relative to HOME: what is installed without privileges lands there. `pip install` picks the user's
/// site by itself where the interpreter's is not writable; `PIP_USER` would break virtual environments.
const PREFIXES: &[(&str, &str)] = &[
    ("PYTHONUSERBASE", ".local"),
    ("NPM_CONFIG_PREFIX", ".local"),
    ("R_LIBS_USER", ".local/lib/R"),
    ("CONDA_ENVS_PATH", ".conda/envs"),
    ("CONDA_PKGS_DIRS", ".conda/pkgs"),
];

/// First in PATH, relative to HOME.
const USER_BIN: &str = ".local/bin";

/// The variables, complete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env(BTreeMap<OsString, OsString>);

impl Env {
    pub(crate) fn new(facts: &Facts, manifest: &LaunchManifest, listen_address: IpAddr) -> Self {
        let mut env = Self(facts.base.clone());
        let home = &manifest.home;
        for (name, value) in [
            ("ATELIER_STUDIO_ID", facts.studio_id.as_str()),
            ("ATELIER_POD_NAME", &facts.pod_name),
            ("ATELIER_POD_ID", &facts.pod_uid),
            ("ATELIER_LISTEN_ADDRESS", &listen_address.to_string()),
            ("ATELIER_WORKSPACE", &manifest.workspace),
            ("HOME", home),
            ("USER", &facts.user),
            ("LOGNAME", &facts.user),
        ] {
            env.set(name, value);
        }
        for (name, value) in [
            ("K8S_POD_NAME", facts.pod_name.as_str()),
            ("K8S_POD_ID", &facts.pod_uid),
            ("LANG", "C.UTF-8"),
        ] {
            env.set_missing(name, value);
        }
        for (name, folder) in PREFIXES {
            env.set_missing(name, &format!("{home}/{folder}"));
        }
        env.extend(&manifest.env);
        env.extend_expanded(&manifest.expanded_env);
        // Last, so that a PATH of the manifest keeps the user's own tools in front.
        let path = env
            .get("PATH")
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| DEFAULT_PATH.to_owned());
        let user_bin = format!("{home}/{USER_BIN}");
        if !path.split(':').any(|part| part == user_bin) {
            env.set("PATH", &format!("{user_bin}:{path}"));
        }
        env
    }

    /// Folders below HOME that tools expect to exist.
    pub(crate) fn user_folders() -> impl Iterator<Item = &'static str> {
        [USER_BIN, ".local/lib/R"].into_iter()
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }

    fn set_missing(&mut self, name: &str, value: &str) {
        self.0.entry(name.into()).or_insert_with(|| value.into());
    }

    pub(crate) fn extend(&mut self, variables: &[EnvVar]) {
        for variable in variables {
            self.set(&variable.name, &variable.value);
        }
    }

    fn extend_expanded(&mut self, variables: &[EnvVar]) {
        for variable in variables {
            let value = self.expand(&variable.value);
            self.set(&variable.name, &value);
        }
    }

    /// Replaces every `${NAME}` that is set.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            expanded.push_str(before);
            let known =
                after.split_once('}').and_then(|(name, tail)| Some((self.get(name)?, tail)));
            if let Some((value, tail)) = known {
                expanded.push_str(&value);
                rest = tail;
            } else {
                expanded.push_str("${");
                rest = after;
            }
        }
        expanded.push_str(rest);
        expanded
    }

    pub(crate) fn into_map(self) -> BTreeMap<OsString, OsString> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            base: [("PATH", "/usr/bin"), ("KEPT", "1"), ("K8S_POD_NAME", "pod-7")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            studio_id: "abcdefgh".into(),
            pod_name: "pod-7".into(),
            pod_uid: "uid".into(),
            user: "jo".into(),
        }
    }

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.into(), value: value.into() }
    }

    #[test]
    fn raw_and_expanded_values_stand_side_by_side() {
        let manifest = LaunchManifest {
            home: "/h".into(),
            workspace: "/h/w".into(),
            env: vec![variable("DKU_PATH", "/web/app_${K8S_POD_NAME}")],
            expanded_env: vec![
                variable("ATELIER_BASE_PATH", "${DKU_PATH}/x"),
                variable("Y", "/web/app_${K8S_POD_NAME}/y"),
            ],
            ..LaunchManifest::default()
        };
        let env = Env::new(&facts(), &manifest, "127.3.2.1".parse().unwrap());
        assert_eq!(env.get("DKU_PATH").unwrap(), "/web/app_${K8S_POD_NAME}");
        assert_eq!(env.get("Y").unwrap(), "/web/app_pod-7/y");
        assert_eq!(env.get("KEPT").unwrap(), "1");
        assert_eq!(env.get("PATH").unwrap(), "/h/.local/bin:/usr/bin");
        assert_eq!(env.get("ATELIER_LISTEN_ADDRESS").unwrap(), "127.3.2.1");
        assert_eq!(env.expand("a ${USER} ${NOBODY} ${ $X ${USER"), "a jo ${NOBODY} ${ $X ${USER");
    }
}
