//! `atelier login`: turns a password, a one-time link or a key into a kept API key.

use std::io::Read;

use reqwest::{Url, header, redirect::Policy};
use serde_json::json;

use super::{
    client::{self, Client, server_url},
    config::Global,
    error::CliError,
    output::Output,
};
use crate::http_client;

/// Logs in. A password, or an API key, is read from standard input.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// One-time link, as the server has printed it.
    #[arg(long, conflicts_with = "user")]
    link: Option<String>,
    /// Login name; standard input is then the password. Without it, standard input is an API key.
    #[arg(long)]
    user: Option<String>,
}

pub(super) async fn run(
    global: &Global,
    args: LoginArgs,
    input: &mut (dyn Read + Send),
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let link = args.link.as_deref().map(server_url).transpose()?;
    let server = match (&global.server, &link) {
        (Some(server), _) => server_url(server)?,
        (None, Some(link)) => link.join("/").expect("an http address has a root"),
        (None, None) => return Err(CliError::usage("say --server URL")),
    };
    let http = http_client::builder().redirect(Policy::none()).build()?;
    let session = if let Some(link) = link {
        cookie(&client::send(http.get(link)).await?)?
    } else if let Some(user) = args.user {
        let body = json!({"login": user, "password": secret(input)?});
        let login = api(&server, "auth/login");
        cookie(&client::send(http.post(login).json(&body)).await?)?
    } else {
        let key = match &global.api_key {
            Some(key) => key.clone(),
            None => secret(input)?,
        };
        return keep(global, &server, key, output).await;
    };
    let label = json!({"label": "atelier login", "scope": "admin"});
    let request = http
        .post(api(&server, "api-keys"))
        .header(header::COOKIE, session)
        .header(header::ORIGIN, server.origin().ascii_serialization())
        .json(&label);
    let answer = client::json(request).await?;
    let key = answer.get("key").and_then(serde_json::Value::as_str);
    let key = key.ok_or_else(|| CliError::Failed { why: "the server gave no key".into() })?;
    keep(global, &server, key.into(), output).await
}

/// Tries the key before it is kept.
async fn keep(
    global: &Global,
    server: &Url,
    key: String,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let me = Client::new(server.as_str(), key.clone())?.get(&["auth", "me"]).await?;
    let path = global.keep(server.as_str(), &key)?;
    output.item(&me, &["login", "name", "admin"])?;
    output.say(&format!("The key is kept in {}.", path.display()))
}

fn api(server: &Url, path: &str) -> Url {
    server.join(&format!("/api/v1/{path}")).expect("a fixed path")
}

fn secret(input: &mut (dyn Read + Send)) -> Result<String, CliError> {
    let mut text = String::new();
    let read = input.take(4096).read_to_string(&mut text);
    read.map_err(CliError::io("can't read standard input"))?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() { Err(CliError::usage("standard input is empty")) } else { Ok(text) }
}

fn cookie(response: &reqwest::Response) -> Result<String, CliError> {
    let value = response.headers().get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
    let pair = value.and_then(|value| value.split(';').next()).map(str::to_owned);
    pair.ok_or_else(|| CliError::Failed { why: "the server opened no session".into() })
}
