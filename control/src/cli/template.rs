//! `atelier template` and `atelier build`.

use std::{fs, path::PathBuf};

use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{
    client::{self, Client},
    error::CliError,
    find::find,
    output::Output,
};

const FIELDS: &[&str] = &["id", "label", "version", "image_ready", "updated_at"];
const BUILD_FIELDS: &[&str] =
    &["id", "template", "template_version", "state", "failure", "created_at"];

/// Works with templates; TEMPLATE is an id or a label.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TemplateVerb {
    /// Lists them.
    List,
    /// Shows one.
    Get { template: String },
    /// Creates or updates one, by its label, from a YAML or JSON file.
    Apply {
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Says what is wrong with a YAML or JSON file, and keeps nothing.
    Validate {
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Builds its image.
    Build {
        template: String,
        /// Shows the log, and waits for the end.
        #[arg(long)]
        follow: bool,
        /// Builds what is unchanged too.
        #[arg(long)]
        no_cache: bool,
    },
    /// Writes one as a zip, with its resources.
    Export {
        template: String,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Reads such a zip.
    Import { file: PathBuf },
    /// Deletes one.
    Delete { template: String },
}

/// Works with builds.
#[derive(Debug, clap::Subcommand)]
pub(super) enum BuildVerb {
    /// Lists them, of one template or of all.
    List {
        #[arg(long)]
        template: Option<String>,
    },
    /// Shows a build's log.
    Log {
        build: String,
        /// Waits for more until the build ends.
        #[arg(short, long)]
        follow: bool,
    },
    /// Cancels a build.
    Cancel { build: String },
}

pub(super) async fn template(
    client: &Client,
    verb: TemplateVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let id = async |template: String| find(client, &["templates"], &[], "label", &template).await;
    match verb {
        TemplateVerb::List => output.items(&client.list(&["templates"], &[]).await?, FIELDS),
        TemplateVerb::Get { template } => {
            let found = client.get(&["templates", &id(template).await?]).await?;
            output.item(&found, FIELDS)
        }
        TemplateVerb::Apply { file } => {
            let text = fs::read(&file).map_err(reading(&file))?;
            let request = client.request(Method::POST, &["templates", "apply"]);
            let request = request.header(header::CONTENT_TYPE, "application/yaml").body(text);
            output.item(&client::json(request).await?, FIELDS)
        }
        TemplateVerb::Validate { file } => validate(client, &file, output).await,
        TemplateVerb::Build { template, follow, no_cache } => {
            let path = ["templates", &id(template).await?, "builds"];
            let build = client.post(&path, &json!({"no_cache": no_cache})).await?;
            if !follow {
                return output.item(&build, BUILD_FIELDS);
            }
            let build_id = build.get("id").and_then(Value::as_str).unwrap_or_default();
            // The log is for people; a program gets the build as it ended.
            log(client, build_id, true, (!output.json).then_some(&mut *output)).await?;
            let build = client.get(&["builds", build_id]).await?;
            output.item(&build, BUILD_FIELDS)?;
            match build.get("state").and_then(Value::as_str) {
                Some("succeeded") => Ok(()),
                state => Err(CliError::Failed {
                    why: format!("the build is {}", state.unwrap_or("in no state")),
                }),
            }
        }
        TemplateVerb::Export { template, output: file } => {
            let path = ["templates", &id(template).await?, "export"];
            let zip = client::send(client.request(Method::GET, &path)).await?.bytes().await?;
            fs::write(&file, zip).map_err(CliError::io(format!("can't write {}", file.display())))
        }
        TemplateVerb::Import { file } => {
            let zip = fs::read(&file).map_err(reading(&file))?;
            let request = client.request(Method::POST, &["templates", "import"]);
            let request = request.header(header::CONTENT_TYPE, "application/zip").body(zip);
            output.item(&client::json(request).await?, FIELDS)
        }
        TemplateVerb::Delete { template } => {
            client.delete(&["templates", &id(template).await?]).await
        }
    }
}

/// Problems are the answer, and an exit code for scripts.
async fn validate(
    client: &Client,
    file: &std::path::Path,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let text = fs::read_to_string(file).map_err(reading(file))?;
    let spec: Value = serde_norway::from_str(&text)
        .map_err(|error| CliError::usage(format!("{} is not YAML: {error}", file.display())))?;
    let verdict = client.post(&["templates", "validate"], &json!({"spec": spec})).await?;
    let problems = verdict.get("problems").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.json {
        output.value(&verdict)?;
    } else if !problems.is_empty() {
        output.items(&problems, &["block", "field", "reason"])?;
    }
    match problems.len() {
        0 => output.say("The template is valid."),
        count => Err(CliError::usage(format!("{} has problems: {count}", file.display()))),
    }
}

pub(super) async fn build(
    client: &Client,
    verb: BuildVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        BuildVerb::List { template } => {
            let id = match template {
                Some(template) => {
                    Some(find(client, &["templates"], &[], "label", &template).await?)
                }
                None => None,
            };
            let query: Vec<_> = id.iter().map(|id| ("template", id.as_str())).collect();
            output.items(&client.list(&["builds"], &query).await?, BUILD_FIELDS)
        }
        BuildVerb::Log { build, follow } => log(client, &build, follow, Some(output)).await,
        BuildVerb::Cancel { build } => {
            let build = client.post(&["builds", &build, "cancel"], &Value::Null).await?;
            output.item(&build, BUILD_FIELDS)
        }
    }
}

/// Passes the log on as it comes.
async fn log(
    client: &Client,
    build: &str,
    follow: bool,
    mut output: Option<&mut Output<'_>>,
) -> Result<(), CliError> {
    let request = client.request(Method::GET, &["builds", build, "log"]);
    let request = request.query(&[("follow", follow)]).header(header::ACCEPT, "text/plain");
    let mut response = client::send(request).await?;
    while let Some(chunk) = response.chunk().await? {
        if let Some(output) = output.as_deref_mut() {
            output.bytes(&chunk)?;
        }
    }
    Ok(())
}

fn reading(file: &std::path::Path) -> impl FnOnce(std::io::Error) -> CliError {
    CliError::io(format!("can't read {}", file.display()))
}
