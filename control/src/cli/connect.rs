//! `atelier connect`: the addresses of a studio's applications, and a browser on one.

use std::time::Duration;

use serde_json::{Value, json};

use super::{client::Client, error::CliError, find::Named, output::Output};
use crate::spawn;

/// How long a browser may take to be launched. What takes longer is a browser in this terminal, and goes on.
const LAUNCH: Duration = Duration::from_secs(5);

/// Prints the addresses of a studio's applications; on a screen, opens the one that was named, or the only one.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectArgs {
    #[command(flatten)]
    named: Named,
    /// Id or label of an entrypoint.
    entrypoint: Option<String>,
    /// Opens no browser.
    #[arg(long)]
    print: bool,
}

pub(super) async fn connect(
    client: &Client,
    args: ConnectArgs,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let studio = args.named.studio(client).await?;
    let found = addresses(&studio, args.entrypoint.as_deref())?;
    if output.json {
        return output.value(&Value::Array(found));
    }
    let url = |item: &Value| item.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    match found.as_slice() {
        [one] => output.say(&url(one))?,
        several => output.items(several, &["id", "label", "readiness", "url"])?,
    }
    match found.as_slice() {
        [one] if output.screen && !args.print => open(&url(one), output).await,
        _ => Ok(()),
    }
}

/// What can be opened: the one that is wanted, or all.
fn addresses(studio: &Value, wanted: Option<&str>) -> Result<Vec<Value>, CliError> {
    let all = studio.get("entrypoints").and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str) == wanted;
    let mut found: Vec<Value> = all.iter().filter(|entry| is(entry, "id")).cloned().collect();
    if found.is_empty() {
        found = all.into_iter().filter(|e| wanted.is_none() || is(e, "label")).collect();
    }
    if let (true, Some(wanted)) = (found.is_empty(), wanted) {
        let detail = format!("the studio has no entrypoint {wanted:?}");
        return Err(CliError::Refused { status: 404, detail });
    }
    found.retain(|entry| entry.get("url").and_then(Value::as_str).is_some());
    if found.is_empty() {
        let state = studio.get("state").and_then(Value::as_str).unwrap_or("in no state");
        let detail = match state {
            "RUNNING" => "the studio exposes no such application".to_owned(),
            _ => format!("the studio is {state}: start it with `atelier studio start`"),
        };
        return Err(CliError::Refused { status: 409, detail });
    }
    Ok(found
        .iter()
        .map(|entry| {
            json!({"id": entry["id"], "label": entry["label"], "readiness": entry["readiness"], "url": entry["url"]})
        })
        .collect())
}

/// Where there is no browser, the address that was printed is enough.
async fn open(url: &str, output: &mut Output<'_>) -> Result<(), CliError> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut browser = spawn::command(program);
    browser.envs(std::env::vars_os()).arg(url);
    browser.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    match tokio::time::timeout(LAUNCH, browser.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(_) => output.note("atelier: no browser could be opened; open the address yourself"),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_found_by_id_or_label() {
        let studio = json!({"state": "RUNNING", "entrypoints": [
            {"id": "a", "label": "b", "url": "http://1", "readiness": "ready"},
            {"id": "b", "label": "Lab", "url": "http://2", "readiness": "ready"},
            {"id": "c", "label": "Hidden"},
        ]});
        let urls = |wanted: Option<&str>| {
            let found = addresses(&studio, wanted).map_err(|error| error.code())?;
            Ok::<_, u8>(found.iter().map(|one| one["url"].as_str().unwrap().to_owned()).collect())
        };
        assert_eq!(urls(None), Ok(vec!["http://1".to_owned(), "http://2".to_owned()]));
        assert_eq!(urls(Some("b")), Ok(vec!["http://2".to_owned()]), "ids come first");
        assert_eq!(urls(Some("Lab")), Ok(vec!["http://2".to_owned()]));
        assert_eq!(urls(Some("Hidden")), Err(5));
        assert_eq!(urls(Some("none")), Err(3));
        let stopped = json!({"state": "STOPPED", "entrypoints": [{"id": "a", "label": "b"}]});
        let why = addresses(&stopped, None).unwrap_err().to_string();
        assert!(why.contains("studio start"), "{why}");
    }
}
