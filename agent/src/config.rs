//! What the runtime tells the agent through its environment, read once.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `ATELIER_CONTROL_PLANE` | `host:port`, several separated by commas; one is picked at random for each attempt |
//! | `ATELIER_CONTROL_PLANE_NAME` | name in the control plane's certificate; the host that was dialled when absent |
//! | `ATELIER_CA` | certificates to trust: PEM, or a path to it |
//! | `ATELIER_TOKEN`, `ATELIER_TOKEN_FILE` | credential; a file is read anew for every attempt, because tokens rotate |
//! | `ATELIER_STUDIO_ID`, `ATELIER_EPOCH` | which studio, and its incarnation |
//! | `ATELIER_STATE_DIR` | folder of the agent's own; `/run/atelier` when absent, created with mode 0700 |
//! | `K8S_POD_NAME`, `K8S_POD_ID` | name and identity of the pod or its stand-in |
//!
//! What children must not see of these is in [`HIDDEN`]. Everything else of the environment is theirs too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

/// Removed from the environment of children: means to reach the control plane as the agent.
const HIDDEN: &[&str] = &[
    "ATELIER_CONTROL_PLANE",
    "ATELIER_CONTROL_PLANE_NAME",
    "ATELIER_CA",
    "ATELIER_TOKEN",
    "ATELIER_TOKEN_FILE",
    "ATELIER_AGENT_LOG",
];

const DEFAULT_STATE_DIR: &str = "/run/atelier";

/// A setting that is missing or wrong.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{name} is not set")]
    Missing { name: &'static str },
    #[error("{name} is not what it must be: {reason}")]
    Invalid { name: &'static str, reason: String },
    #[error("{} can't be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the state folder {} can't be made", path.display())]
    StateDir { path: PathBuf, source: io::Error },
}

/// Where the first credential comes from.
#[derive(Clone)]
pub enum Token {
    Value(String),
    File(PathBuf),
}

impl Token {
    /// The credential as it is now.
    pub fn read(&self) -> Result<String, ConfigError> {
        match self {
            Self::Value(token) => Ok(token.clone()),
            Self::File(path) => fs::read_to_string(path)
                .map(|token| token.trim().to_owned())
                .map_err(|source| ConfigError::Read { path: path.clone(), source }),
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port`, at least one.
    pub control_planes: Vec<String>,
    pub control_plane_name: Option<String>,
    /// PEM.
    pub ca: String,
    pub token: Token,
    pub studio_id: String,
    pub epoch: u64,
    pub state_dir: PathBuf,
    pub pod_name: String,
    pub pod_uid: String,
    /// The environment that children start from.
    pub env: BTreeMap<OsString, OsString>,
}

impl Config {
    /// From the process's environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(&std::env::vars_os().collect())
    }

    fn from_vars(vars: &BTreeMap<OsString, OsString>) -> Result<Self, ConfigError> {
        let get = |name: &'static str| text(vars, name);
        let need = |name: &'static str| get(name)?.ok_or(ConfigError::Missing { name });
        let control_planes: Vec<String> = need("ATELIER_CONTROL_PLANE")?
            .split(',')
            .map(|address| address.trim().to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        if control_planes.is_empty() || control_planes.iter().any(|address| !address.contains(':'))
        {
            let reason = "it must be host:port, or several separated by commas".to_owned();
            return Err(ConfigError::Invalid { name: "ATELIER_CONTROL_PLANE", reason });
        }
        let token = match (get("ATELIER_TOKEN")?, get("ATELIER_TOKEN_FILE")?) {
            (Some(token), _) => Token::Value(token),
            (None, Some(path)) => Token::File(path.into()),
            (None, None) => return Err(ConfigError::Missing { name: "ATELIER_TOKEN" }),
        };
        let epoch = need("ATELIER_EPOCH")?;
        let epoch = epoch.parse().map_err(|_| ConfigError::Invalid {
            name: "ATELIER_EPOCH",
            reason: format!("{epoch:?} is not a whole number"),
        })?;
        let pod_name = match get("K8S_POD_NAME")? {
            Some(name) => name,
            None => nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned(),
        };
        Ok(Self {
            control_planes,
            control_plane_name: get("ATELIER_CONTROL_PLANE_NAME")?,
            ca: read_ca(need("ATELIER_CA")?)?,
            token,
            studio_id: need("ATELIER_STUDIO_ID")?,
            epoch,
            state_dir: prepare_state_dir(&state_dir(vars)?)?,
            pod_uid: get("K8S_POD_ID")?.unwrap_or_else(|| pod_name.clone()),
            pod_name,
            env: children_env(vars),
        })
    }
}

/// Where the agent of this container keeps its state; also asked by the commands that talk to it.
pub fn state_dir_from_env() -> Result<PathBuf, ConfigError> {
    state_dir(&std::env::vars_os().collect())
}

fn state_dir(vars: &BTreeMap<OsString, OsString>) -> Result<PathBuf, ConfigError> {
    Ok(text(vars, "ATELIER_STATE_DIR")?
        .map_or_else(|| PathBuf::from(DEFAULT_STATE_DIR), PathBuf::from))
}

fn text(
    vars: &BTreeMap<OsString, OsString>,
    name: &'static str,
) -> Result<Option<String>, ConfigError> {
    match vars.get(std::ffi::OsStr::new(name)) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => match value.to_str() {
            Some(value) => Ok(Some(value.to_owned())),
            None => Err(ConfigError::Invalid { name, reason: "it is not UTF-8".to_owned() }),
        },
    }
}

fn read_ca(value: String) -> Result<String, ConfigError> {
    if value.contains("-----BEGIN") {
        return Ok(value);
    }
    let path = PathBuf::from(value);
    fs::read_to_string(&path).map_err(|source| ConfigError::Read { path, source })
}

fn prepare_state_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| ConfigError::StateDir { path: path.to_owned(), source })
}

fn children_env(vars: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let hidden = |name: &OsString| HIDDEN.iter().any(|hidden| name == hidden);
    vars.iter()
        .filter(|(name, _)| !hidden(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(dir: &Path) -> BTreeMap<OsString, OsString> {
        let dir = dir.join("state");
        [
            ("ATELIER_CONTROL_PLANE", "a:1, b:2"),
            ("ATELIER_CA", "-----BEGIN CERTIFICATE-----"),
            ("ATELIER_TOKEN", "secret"),
            ("ATELIER_STUDIO_ID", "abcdefgh"),
            ("ATELIER_EPOCH", "3"),
            ("ATELIER_STATE_DIR", dir.to_str().unwrap()),
            ("K8S_POD_NAME", "pod-1"),
            ("LANG", "C.UTF-8"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    #[test]
    fn reads_all_and_hides_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::from_vars(&vars(dir.path())).unwrap();
        assert_eq!(config.control_planes, ["a:1", "b:2"]);
        assert_eq!((config.epoch, config.pod_uid.as_str()), (3, "pod-1"));
        assert!(config.env.contains_key(std::ffi::OsStr::new("LANG")));
        assert!(!config.env.contains_key(std::ffi::OsStr::new("ATELIER_TOKEN")));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_missing_or_wrong_setting_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (name, value, expected) in [
            ("ATELIER_TOKEN", "", "ATELIER_TOKEN is not set"),
            (
                "ATELIER_EPOCH",
                "x",
                "ATELIER_EPOCH is not what it must be: \"x\" is not a whole number",
            ),
            (
                "ATELIER_CONTROL_PLANE",
                "host",
                "ATELIER_CONTROL_PLANE is not what it must be: it must be host:port, or several separated by commas",
            ),
        ] {
            let mut vars = vars(dir.path());
            vars.insert(name.into(), value.into());
            assert_eq!(Config::from_vars(&vars).unwrap_err().to_string(), expected);
        }
    }
}
