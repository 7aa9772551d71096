//! `atelier mount`: how a studio's mounts are set, whether changes are seen, what goes on, what was done.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{self, Client},
    error::CliError,
    events::Events,
    find::Named,
    output::Output,
    transfer::{self, size},
};

const FIELDS: &[&str] = &["id", "live", "merge", "server", "studio", "last", "totals"];

/// Works with a studio's mounts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum MountVerb {
    /// Lists them: how they are set, whether changes are seen on both sides, the last synchronisation, all since the server's start.
    List {
        #[command(flatten)]
        named: Named,
    },
    /// Sets one from now on, also while the studio runs; it stays so over restarts.
    Set {
        #[command(flatten)]
        named: Named,
        #[arg(short, long)]
        mount: String,
        /// Synchronise within a second of a change on either side.
        #[arg(long, value_name = "on|off", required_unless_present = "merge")]
        live: Option<Switch>,
        /// Merge what both sides changed in a text, where they do not touch each other.
        #[arg(long, value_name = "on|off")]
        merge: Option<Switch>,
    },
    /// Tells what goes on, until it is interrupted.
    Watch {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) async fn mount(
    client: &Client,
    verb: MountVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        MountVerb::List { named } => {
            let studio = named.id(client).await?;
            show(&client.list(&["studios", &studio, "mounts"], &[]).await?, output)
        }
        MountVerb::Set { named, mount, live, merge } => {
            let studio = named.id(client).await?;
            let mut body = Map::new();
            for (name, wanted) in [("live", live), ("merge", merge)] {
                if let Some(wanted) = wanted {
                    body.insert(name.into(), (wanted == Switch::On).into());
                }
            }
            let request = client.request(Method::PATCH, &["studios", &studio, "mounts", &mount]);
            let set = client::json(request.json(&body)).await?;
            if output.json { output.value(&set) } else { show(&[set], output) }
        }
        MountVerb::Watch { named } => watch(client, &named.id(client).await?, output).await,
    }
}

fn show(mounts: &[Value], output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        return output.value(&Value::Array(mounts.to_vec()));
    }
    output.items(&mounts.iter().map(row).collect::<Vec<_>>(), FIELDS)?;
    for mount in mounts {
        for (side, name) in [("server_sight", "on the server"), ("studio_sight", "in the studio")] {
            let reason = mount.pointer(&format!("/{side}/reason")).and_then(Value::as_str);
            if let Some(reason) = reason {
                let id = text(mount, "id");
                output.note(&format!("atelier: {id}: changes {name} are not seen: {reason}"))?;
            }
        }
        if let Some(why) = mount.pointer("/last/failure").and_then(Value::as_str) {
            output
                .note(&format!("atelier: {}: the last one broke off: {why}", text(mount, "id")))?;
        }
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// A line of the table.
fn row(mount: &Value) -> Value {
    let is_on = |name: &str| if mount.get(name) == Some(&Value::Bool(true)) { "on" } else { "off" };
    let last = match mount.get("last").filter(|last| !last.is_null()) {
        Some(last) => format!(
            "{} {}, {} ms{}: {}",
            text(last, "cause"),
            text(last, "began_at").get(..19).unwrap_or_default(),
            number(last, "took_ms"),
            if last.get("failure").is_some_and(Value::is_string) { ", broke off" } else { "" },
            moved(last)
        ),
        None => "-".to_owned(),
    };
    let totals = mount.get("totals").cloned().unwrap_or_default();
    let failed = match number(&totals, "failed") {
        0 => String::new(),
        failed => format!(" ({failed} broke off)"),
    };
    json!({
        "id": text(mount, "id"),
        "live": is_on("live"),
        "merge": is_on("merge"),
        "server": sight(mount.get("server_sight")),
        "studio": sight(mount.get("studio_sight")),
        "last": last,
        "totals": format!("{} runs{failed}: {}", number(&totals, "runs"), moved(&totals)),
    })
}

/// Both ways: files, and bytes on the network.
fn moved(run: &Value) -> String {
    let moved = run.get("moved").cloned().unwrap_or_default();
    let mut words = format!(
        "{} to the server ({}), {} to the studio ({})",
        number(&moved, "to_server"),
        size(number(&moved, "bytes_received")),
        number(&moved, "to_studio"),
        size(number(&moved, "bytes_sent")),
    );
    for what in ["conflicts", "merged"] {
        let count = number(&moved, what);
        if count > 0 {
            write!(words, ", {count} {what}").expect("a String takes all");
        }
    }
    words
}

fn sight(sight: Option<&Value>) -> String {
    match sight.filter(|sight| !sight.is_null()) {
        None => "-".into(),
        Some(sight) if sight.get("watching") == Some(&Value::Bool(true)) => "watching".into(),
        Some(sight) => match sight.get("look_every_ms").and_then(Value::as_u64) {
            Some(ms) => format!("looking every {} s", ms.div_ceil(1000)),
            None => "not watching".into(),
        },
    }
}

/// A mount where nothing goes on.
fn quiet(mount: &Value) -> String {
    let row = row(mount);
    let cells = ["live", "server", "studio", "last"];
    cells.map(|name| format!("{name} {}", text(&row, name))).join("; ")
}

/// One line a change of anything; JSON: one line a state of all.
async fn watch(client: &Client, studio: &str, output: &mut Output<'_>) -> Result<(), CliError> {
    let mut events = Events::new(client, &["studios", studio, "mounts", "events"]);
    let mut told: Vec<(String, String)> = Vec::new();
    loop {
        let event = events.next().await?;
        if event.name != "mounts" {
            continue;
        }
        let state = event.json()?;
        if output.json {
            output.bytes(format!("{state}\n").as_bytes())?;
            continue;
        }
        for mount in state.get("items").and_then(Value::as_array).into_iter().flatten() {
            let id = text(mount, "id").to_owned();
            let progress = mount.get("progress").filter(|progress| !progress.is_null());
            let line = progress.map_or_else(|| quiet(mount), transfer::words);
            match told.iter_mut().find(|(known, _)| *known == id) {
                Some((_, before)) if *before == line => continue,
                Some((_, before)) => before.clone_from(&line),
                None => told.push((id.clone(), line.clone())),
            }
            output.say(&format!("{id}  {line}"))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_one_line_with_whether_changes_are_seen() {
        let mount = json!({
            "id": "code", "live": true, "merge": false,
            "server_sight": {"watching": true}, "studio_sight": {"watching": false, "reason": "full", "look_every_ms": 2000},
            "last": null,
            "totals": {"runs": 2, "failed": 1, "moved": {"to_server": 3, "bytes_received": 2048, "merged": 1}},
        });
        let row = row(&mount);
        assert_eq!(row["live"], "on");
        assert_eq!(row["server"], "watching");
        assert_eq!(row["studio"], "looking every 2 s");
        assert_eq!(row["last"], "-");
        assert_eq!(
            row["totals"],
            "2 runs (1 broke off): 3 to the server (2.0 KiB), 0 to the studio (0 B), 1 merged"
        );
    }
}
