//! Which server, and who we are there: flags and variables first, then what `login` has kept.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{client::Client, error::CliError};

/// What every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Global {
    /// Address of the server.
    #[arg(long, global = true, env = "ATELIER_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// API key; `login` keeps one.
    #[arg(
        long,
        global = true,
        env = "ATELIER_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub api_key: Option<String>,
    /// File with what `login` keeps [default: atelier/config.json in the user's configuration folder].
    #[arg(long, global = true, env = "ATELIER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answers in JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    server: Option<String>,
    api_key: Option<String>,
}

impl Global {
    /// The client for all verbs but `login`.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let kept = match (&self.server, &self.api_key) {
            (Some(_), Some(_)) => Kept::default(),
            _ => self.kept()?,
        };
        let server = self.server.clone().or_else(|| kept.server.clone());
        let server = server.ok_or_else(|| CliError::usage("say --server URL, or log in first"))?;
        // A key is a secret of the server that gave it, and is shown to no other.
        let ours = kept.server.as_deref() == Some(&server);
        let key = self.api_key.clone().or(kept.api_key.filter(|_| ours));
        let key = key.ok_or_else(|| CliError::usage("say --api-key KEY, or log in first"))?;
        Client::new(&server, key)
    }

    fn path(&self) -> Result<PathBuf, CliError> {
        if let Some(path) = &self.config {
            return Ok(path.clone());
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = set("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = folder.or_else(|| Some(Path::new(&set("HOME")?).join(".config")));
        let folder = folder.ok_or_else(|| CliError::usage("say --config FILE: HOME is not set"))?;
        Ok(folder.join("atelier/config.json"))
    }

    fn kept(&self) -> Result<Kept, CliError> {
        let path = self.path()?;
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                CliError::usage(format!("{} is not what login keeps: {error}", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(CliError::io(format!("can't read {}", path.display()))(error)),
        }
    }

    /// Keeps a key for later calls, readable by its owner alone.
    pub(super) fn keep(&self, server: &str, key: &str) -> Result<PathBuf, CliError> {
        let path = self.path()?;
        let failed = || CliError::io(format!("can't write {}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed())?;
        }
        let kept = Kept { server: Some(server.into()), api_key: Some(key.into()) };
        let bytes = serde_json::to_vec_pretty(&kept)?;
        let temporary = path.with_extension("new");
        // A file of an earlier attempt may have other permissions.
        fs::remove_file(&temporary).or_else(missing).map_err(failed())?;
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed())?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed())?;
        fs::rename(&temporary, &path).map_err(failed())?;
        Ok(path)
    }
}

fn missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
