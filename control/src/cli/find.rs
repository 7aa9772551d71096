//! People say names, the server wants ids.

use serde_json::Value;

use super::{client::Client, error::CliError};

/// A studio, as verbs take it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Named {
    /// Id or name of the studio.
    pub studio: String,
    /// Key of its project.
    #[arg(short, long)]
    pub project: Option<String>,
}

impl Named {
    pub(super) async fn id(&self, client: &Client) -> Result<String, CliError> {
        let within: Vec<_> = self.project.iter().map(|key| ("project", key.as_str())).collect();
        find(client, &["studios"], &within, "name", &self.studio).await
    }

    /// The whole studio.
    pub(super) async fn studio(&self, client: &Client) -> Result<Value, CliError> {
        client.get(&["studios", &self.id(client).await?]).await
    }
}

/// The id of something that the server has answered.
pub(super) fn id_of(item: &Value) -> Result<&str, CliError> {
    let id = item.get("id").and_then(Value::as_str);
    id.ok_or_else(|| CliError::Failed { why: "the server's answer has no id".into() })
}

/// The id of the one item that has this id, or else this name. Two of one name are never guessed between.
pub(super) async fn find(
    client: &Client,
    list: &[&str],
    query: &[(&str, &str)],
    name_field: &str,
    wanted: &str,
) -> Result<String, CliError> {
    let items = client.list(list, query).await?;
    let with = |field: &str| -> Vec<String> {
        let has = |item: &&Value| item.get(field).and_then(Value::as_str) == Some(wanted);
        let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
        items.iter().filter(has).filter_map(id).collect()
    };
    let mut found = with("id");
    if found.is_empty() {
        found = with(name_field);
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(CliError::Refused { status: 404, detail: format!("there is no {wanted:?}") }),
        several => Err(CliError::usage(format!(
            "{wanted:?} is the {name_field} of several: say one of {}",
            several.join(", ")
        ))),
    }
}
