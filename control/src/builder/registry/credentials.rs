//! Credentials from Docker's `config.json`: written there, or kept by a program that it names.
//! (<https://docs.docker.com/reference/cli/docker/login/#credential-stores>)

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{RegistryError, RegistrySettings};
use crate::spawn;

/// What a credential helper may take, which may have to ask a cloud.
const HELPER_TIME: Duration = Duration::from_secs(30);
/// What it may write.
const HELPER_LIMIT: u64 = 64 << 10;
/// Docker Hub's key in these files, for historical reasons.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Anonymous,
    Password {
        user: String,
        password: String,
    },
    /// To be exchanged for a token.
    IdentityToken(String),
    /// A token as it is.
    Token(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Credentials {
    /// Those for a registry; anonymous where the settings have none.
    pub(super) async fn of(
        registry: &str,
        settings: &RegistrySettings,
    ) -> Result<Self, RegistryError> {
        let Some(path) = &settings.docker_config else { return Ok(Self::Anonymous) };
        let config = read(path).await?;
        let keys = keys(registry);
        let helper = keys.iter().find_map(|key| config.helpers.get(key)).or(config.store.as_ref());
        if let Some(helper) = helper {
            let known = ask(helper, keys[0].as_str(), &settings.helper_env).await?;
            if known != Self::Anonymous {
                return Ok(known);
            }
        }
        keys.iter().find_map(|key| config.auths.get(key)).map_or(Ok(Self::Anonymous), Self::written)
    }

    fn written(entry: &Entry) -> Result<Self, RegistryError> {
        if !entry.registry_token.is_empty() {
            return Ok(Self::Token(entry.registry_token.clone()));
        }
        if !entry.identity_token.is_empty() {
            return Ok(Self::IdentityToken(entry.identity_token.clone()));
        }
        if entry.auth.is_empty() {
            // A helper's entry is empty: it only says that one has logged in.
            let (user, password) = (entry.username.clone(), entry.password.clone());
            let nobody = user.is_empty() && password.is_empty();
            return Ok(if nobody { Self::Anonymous } else { Self::Password { user, password } });
        }
        let wrong = |source| {
            failed("an entry of Docker's config.json is not base64 of user:password", source)
        };
        let bytes = STANDARD.decode(entry.auth.trim()).map_err(|error| wrong(error.into()))?;
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.into()))?;
        let (user, password) =
            text.split_once(':').ok_or_else(|| wrong("there is no colon in it".into()))?;
        // Docker pads old entries with NUL.
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Self::Password { user: user.to_owned(), password })
    }
}

/// Names that a registry may have in the file, the proper one first.
fn keys(registry: &str) -> Vec<String> {
    let mut keys =
        vec![registry.to_owned(), format!("https://{registry}"), format!("http://{registry}")];
    if matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        keys.insert(0, DOCKER_HUB.to_owned());
    }
    keys
}

async fn read(path: &Path) -> Result<Config, RegistryError> {
    let what = || format!("{} can't be read as Docker's config.json", path.display());
    let bytes = tokio::fs::read(path).await.map_err(|error| failed(what(), error.into()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(what(), error.into()))
}

/// Asks a credential helper. (<https://github.com/docker/docker-credential-helpers>)
async fn ask(
    helper: &str,
    registry: &str,
    env: &BTreeMap<String, String>,
) -> Result<Credentials, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let wrong =
        |source| failed(format!("{program} does not give credentials of {registry}"), source);
    let mut child = spawn::command(&program)
        .arg("get")
        .envs(env)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| wrong(error.into()))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(registry.as_bytes()).await?;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(HELPER_LIMIT).read_to_end(&mut answer).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, answer))
    };
    let (status, answer) = tokio::time::timeout(HELPER_TIME, talk)
        .await
        .map_err(|error| wrong(error.into()))?
        .map_err(|error| wrong(error.into()))?;
    if !status.success() {
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        // The protocol's own words for "I don't know that one".
        if text == "credentials not found in native keychain" {
            return Ok(Credentials::Anonymous);
        }
        return Err(wrong(format!("{status}: {text}").into()));
    }
    let helped: Helped = serde_json::from_slice(&answer).map_err(|error| wrong(error.into()))?;
    Ok(if helped.username == "<token>" {
        Credentials::IdentityToken(helped.secret)
    } else {
        Credentials::Password { user: helped.username, password: helped.secret }
    })
}

fn failed(
    what: impl Into<String>,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> RegistryError {
    RegistryError::Credentials { what: what.into(), source }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use serde_json::json;

    use super::{Credentials, RegistryError, RegistrySettings};

    #[tokio::test]
    async fn credentials_are_found_where_docker_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-vault");
        fs::write(
            &helper,
            "#!/bin/sh\nread -r name\ncase $name in\nhelped) echo '{\"Username\":\"h\",\"Secret\":\"s\"}';;\n\
             token) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\nunknown) echo credentials not found in native keychain; exit 1;;\n\
             *) echo locked; exit 1;; esac\n",
        )
        .unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("config.json");
        let written = json!({
            "auths": {
                "a:5000": {"auth": "dXNlcjpwYTpzcwA="},
                "https://b": {"username": "u", "password": "p"},
                "c": {"identitytoken": "i"},
                "unknown": {"registrytoken": "r"},
                "broken": {"auth": "%"},
            },
            "credHelpers": {"helped": "vault", "token": "vault", "unknown": "vault", "locked": "vault"},
        });
        fs::write(&config, written.to_string()).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let settings = RegistrySettings {
            docker_config: Some(config),
            helper_env: [("PATH".to_owned(), path)].into(),
            ..RegistrySettings::default()
        };
        let of = async |registry: &str| Credentials::of(registry, &settings).await;
        let password = |user: &str, password: &str| Credentials::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        assert!(of("a:5000").await.unwrap() == password("user", "pa:ss"));
        assert!(of("b").await.unwrap() == password("u", "p"));
        assert!(of("c").await.unwrap() == Credentials::IdentityToken("i".into()));
        assert!(of("helped").await.unwrap() == password("h", "s"));
        assert!(of("token").await.unwrap() == Credentials::IdentityToken("t".into()));
        assert!(of("unknown").await.unwrap() == Credentials::Token("r".into()));
        assert!(of("nobody").await.unwrap() == Credentials::Anonymous);
        for wrong in ["locked", "broken"] {
            let error = of(wrong).await.err().unwrap();
            assert!(matches!(error, RegistryError::Credentials { .. }), "{error}");
        }
    }
}
