//! `atelier user`, `atelier group` and `atelier apikey`.

use reqwest::Method;
use serde_json::json;

use super::{
    client::{self, Client},
    error::CliError,
    output::Output,
};

const USER_FIELDS: &[&str] = &["login", "name", "email", "admin"];
const GROUP_FIELDS: &[&str] = &["name", "members"];
const KEY_FIELDS: &[&str] = &["id", "login", "label", "scope", "expires_at"];

/// Works with users.
#[derive(Debug, clap::Subcommand)]
pub(super) enum UserVerb {
    /// Lists them.
    List,
    /// Creates one, without a password.
    Create {
        login: String,
        /// Full name.
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "")]
        email: String,
        /// Makes an administrator.
        #[arg(long)]
        admin: bool,
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// Deletes one.
    Delete { login: String },
}

/// Works with groups.
#[derive(Debug, clap::Subcommand)]
pub(super) enum GroupVerb {
    /// Lists them.
    List,
    /// Creates one, or replaces its members.
    Set { name: String, members: Vec<String> },
    /// Deletes one.
    Delete { name: String },
}

/// Works with your API keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum KeyVerb {
    /// Lists them.
    List,
    /// Creates one and shows it, this once.
    Create {
        label: String,
        /// `read`, `write` or `admin`.
        #[arg(long, default_value = "write")]
        scope: String,
    },
    /// Ends one.
    Delete { id: String },
}

pub(super) async fn user(
    client: &Client,
    verb: UserVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        UserVerb::List => output.items(&client.list(&["users"], &[]).await?, USER_FIELDS),
        UserVerb::Create { login, name, email, admin, groups } => {
            let body = json!({"login": login, "name": name, "email": email, "admin": admin, "groups": groups});
            output.item(&client.post(&["users"], &body).await?, USER_FIELDS)
        }
        UserVerb::Delete { login } => client.delete(&["users", &login]).await,
    }
}

pub(super) async fn group(
    client: &Client,
    verb: GroupVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        GroupVerb::List => output.items(&client.list(&["groups"], &[]).await?, GROUP_FIELDS),
        GroupVerb::Set { name, members } => {
            let request = client.request(Method::PUT, &["groups", &name]);
            let group = client::json(request.json(&json!({"members": members}))).await?;
            output.item(&group, GROUP_FIELDS)
        }
        GroupVerb::Delete { name } => client.delete(&["groups", &name]).await,
    }
}

pub(super) async fn key(
    client: &Client,
    verb: KeyVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        KeyVerb::List => output.items(&client.list(&["api-keys"], &[]).await?, KEY_FIELDS),
        KeyVerb::Create { label, scope } => {
            let body = json!({"label": label, "scope": scope});
            let key = client.post(&["api-keys"], &body).await?;
            output.item(&key, &["id", "label", "scope", "key"])
        }
        KeyVerb::Delete { id } => client.delete(&["api-keys", &id]).await,
    }
}
