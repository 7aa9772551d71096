//! `atelier project` and `atelier studio`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    client::Client,
    error::CliError,
    find::find,
    output::Output,
    progress::{follow, succeeded},
};

const FIELDS: &[&str] = &["id", "project", "name", "owner", "template_label", "state", "failure"];
const PROJECT_FIELDS: &[&str] = &["key", "name", "my_right"];
const TASK_FIELDS: &[&str] = &["id", "kind", "subject", "state", "failure"];

/// Works with projects.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ProjectVerb {
    /// Lists them.
    List,
    /// Shows one.
    Get { key: String },
    /// Creates one.
    Create { key: String, name: String },
    /// Deletes one.
    Delete { key: String },
}

/// Works with studios; STUDIO is an id or a name.
#[derive(Debug, clap::Subcommand)]
pub(super) enum StudioVerb {
    /// Lists them.
    List,
    /// Shows one.
    Get { studio: String },
    /// Creates one in the project of -p.
    Create {
        name: String,
        /// Id or label of its template.
        #[arg(short, long)]
        template: String,
    },
    /// Starts one, and shows how it goes until it runs.
    Start {
        studio: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stops one, once its files are back on the server.
    Stop {
        studio: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Stops one and starts it again, with its template's newest image.
    Restart {
        studio: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Deletes one.
    Delete { studio: String },
}

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// Answers with the task at once.
    #[arg(long)]
    no_wait: bool,
    /// Longest time to wait, in seconds.
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    timeout: u64,
}

pub(super) async fn project(
    client: &Client,
    verb: ProjectVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        ProjectVerb::List => output.items(&client.list(&["projects"], &[]).await?, PROJECT_FIELDS),
        ProjectVerb::Get { key } => {
            output.item(&client.get(&["projects", &key]).await?, PROJECT_FIELDS)
        }
        ProjectVerb::Create { key, name } => {
            let body = json!({"key": key, "name": name, "description": "", "permissions": []});
            output.item(&client.post(&["projects"], &body).await?, PROJECT_FIELDS)
        }
        ProjectVerb::Delete { key } => client.delete(&["projects", &key]).await,
    }
}

pub(super) async fn studio(
    client: &Client,
    project: Option<&str>,
    verb: StudioVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let within: Vec<_> = project.iter().map(|key| ("project", *key)).collect();
    let id = async |studio: String| find(client, &["studios"], &within, "name", &studio).await;
    match verb {
        StudioVerb::List => output.items(&client.list(&["studios"], &within).await?, FIELDS),
        StudioVerb::Get { studio } => {
            output.item(&client.get(&["studios", &id(studio).await?]).await?, FIELDS)
        }
        StudioVerb::Create { name, template } => {
            let project = project.ok_or_else(|| CliError::usage("say -p PROJECT"))?;
            let template = find(client, &["templates"], &[], "label", &template).await?;
            let body = json!({"name": name, "template": template});
            let studio = client.post(&["projects", project, "studios"], &body).await?;
            output.item(&studio, FIELDS)
        }
        StudioVerb::Start { studio, wait } => {
            ordered(client, &id(studio).await?, "start", &wait, output).await
        }
        StudioVerb::Stop { studio, wait } => {
            ordered(client, &id(studio).await?, "stop", &wait, output).await
        }
        StudioVerb::Restart { studio, wait } => {
            ordered(client, &id(studio).await?, "restart", &wait, output).await
        }
        StudioVerb::Delete { studio } => client.delete(&["studios", &id(studio).await?]).await,
    }
}

/// Gives an order, and sees to its end unless that is not asked for.
async fn ordered(
    client: &Client,
    studio: &str,
    order: &str,
    wait: &Wait,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let task = client.post(&["studios", studio, order], &Value::Null).await?;
    if wait.no_wait {
        return output.item(&task, TASK_FIELDS);
    }
    let id = task.get("id").and_then(Value::as_str).unwrap_or_default();
    let task = follow(client, id, Duration::from_secs(wait.timeout), output).await?;
    output.item(&task, TASK_FIELDS)?;
    succeeded(&task)
}
