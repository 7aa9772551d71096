//! `atelier exec` and `atelier action`: commands in a running studio.

use serde_json::{Map, Value, json};

use super::{
    client::Client,
    error::CliError,
    find::{Named, id_of},
    output::Output,
    session::At,
    streams::Input,
};

const ACTION_FIELDS: &[&str] = &["id", "name", "concurrency", "inputs"];

/// Runs a command in a running studio: its output, its exit code (128 + n where signal n ended it, 127 where it could
/// not be started; 125 where there is an error of ours).
#[derive(Debug, clap::Args)]
pub(super) struct ExecArgs {
    #[command(flatten)]
    named: Named,
    /// Passes standard input on.
    #[arg(short, long)]
    interactive: bool,
    /// Variable of its environment.
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Folder in the studio; the workspace by default.
    #[arg(short, long, default_value = "", hide_default_value = true)]
    working_folder: String,
    /// Ends it after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// The command and its arguments, after --.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Works with a running studio's actions.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ActionVerb {
    /// Lists them.
    List {
        #[command(flatten)]
        named: Named,
    },
    /// Runs one, with exit codes as of `exec`.
    Run {
        #[command(flatten)]
        named: Named,
        /// Its id or its name.
        action: String,
        /// Value of one of its inputs.
        #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = pair)]
        inputs: Vec<(String, String)>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".to_owned()),
    }
}

fn object(pairs: Vec<(String, String)>) -> Value {
    let pairs = pairs.into_iter().map(|(name, value)| (name, Value::String(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

pub(super) async fn exec(
    client: &Client,
    args: ExecArgs,
    input: Input,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let run = async {
        let studio = args.named.id(client).await?;
        let body = json!({
            "command": args.command,
            "stdin": args.interactive,
            "working_folder": args.working_folder,
            "env": object(args.env),
            "timeout_s": args.timeout,
            "lossless": true,
        });
        let session = client.post(&["studios", &studio, "sessions"], &body).await?;
        let at = At { client, studio: &studio, session: id_of(&session)? };
        at.follow(args.interactive.then_some(input), output).await
    };
    run.await.map_err(CliError::ours)
}

pub(super) async fn action(
    client: &Client,
    verb: ActionVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        ActionVerb::List { named } => {
            output.items(&actions(&named.studio(client).await?), ACTION_FIELDS)
        }
        ActionVerb::Run { named, action, inputs } => {
            let run = async {
                let studio = named.studio(client).await?;
                let id = chosen(&actions(&studio), &action)?;
                let path = ["studios", id_of(&studio)?, "actions", &id, "runs"];
                let session = client.post(&path, &json!({"inputs": object(inputs)})).await?;
                let before = session.get("queued_behind").and_then(Value::as_u64);
                if let Some(before) = before.filter(|&before| before > 0) {
                    output.note(&format!("atelier: it waits for {before} before it"))?;
                }
                let at = At { client, studio: id_of(&studio)?, session: id_of(&session)? };
                at.follow(None, output).await
            };
            run.await.map_err(CliError::ours)
        }
    }
}

fn actions(studio: &Value) -> Vec<Value> {
    studio.get("actions").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The id of the action that has this id, or else this name.
fn chosen(actions: &[Value], wanted: &str) -> Result<String, CliError> {
    let text = |action: &Value, field: &str| {
        action.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let by = |field: &str| actions.iter().find(|action| text(action, field) == wanted);
    if let Some(action) = by("id").or_else(|| by("name")) {
        return Ok(text(action, "id"));
    }
    let known: Vec<_> = actions.iter().map(|action| text(action, "name")).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let detail = format!("there is no action {wanted:?}; the studio has {known}");
    Err(CliError::Refused { status: 404, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_names_and_values() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err() && pair("=b").is_err());
        assert_eq!(object(vec![("a".into(), "b".into())]), json!({"a": "b"}));
    }

    #[test]
    fn an_action_is_named_by_its_id_first() {
        let actions = [json!({"id": "b", "name": "a"}), json!({"id": "a", "name": "Greet"})];
        assert_eq!(chosen(&actions, "a").unwrap(), "a");
        assert_eq!(chosen(&actions, "Greet").unwrap(), "a");
        let error = chosen(&actions, "none").unwrap_err();
        assert_eq!(error.code(), 3);
        assert!(error.to_string().contains("a, Greet"), "{error}");
    }
}
