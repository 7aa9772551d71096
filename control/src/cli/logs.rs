//! `atelier logs`: what a studio's entrypoints print.

use data_encoding::BASE64;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    client::Client,
    error::CliError,
    events::Events,
    find::{Named, id_of},
    output::Output,
};
use crate::clock::{Clock as _, SystemClock};

/// Shows what an entrypoint prints; of a stopped studio, what was kept.
#[derive(Debug, clap::Args)]
pub(super) struct LogsArgs {
    #[command(flatten)]
    named: Named,
    /// Its id or label; may be left out where there is one.
    entrypoint: Option<String>,
    /// Stays for what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only what was written since a time (2026-01-31T12:00:00Z) or for so long (90s, 10m, 2h, 1d).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only the last lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

pub(super) async fn logs(
    client: &Client,
    args: LogsArgs,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let since = args.since.as_deref().map(|text| since(text, SystemClock.now())).transpose()?;
    let studio = args.named.studio(client).await?;
    let entrypoint = entrypoint(&studio, args.entrypoint.as_deref())?;
    let studio = id_of(&studio)?;
    let mut query = vec![("follow", args.follow.to_string())];
    query.extend(since.map(|since| ("since", since)));
    query.extend(args.tail.map(|tail| ("tail", tail.to_string())));
    let mut events = Events::new(client, &["studios", studio, "logs", &entrypoint]).query(query);
    loop {
        let Some(event) = events.next_or_end().await? else {
            // A server that is restarted ends its streams too.
            let goes_on = args.follow && runs(&client.get(&["studios", studio]).await?);
            if goes_on {
                continue;
            }
            return Ok(());
        };
        let said = event.json()?;
        let number = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
        match event.name.as_str() {
            "chunk" => {
                let data = said.get("data").and_then(Value::as_str).unwrap_or_default();
                let data = BASE64.decode(data.as_bytes()).map_err(|error| CliError::Failed {
                    why: format!("the server's log is no base64: {error}"),
                })?;
                if output.json {
                    let text = String::from_utf8_lossy(&data);
                    let line = json!({"at": said["at"], "channel": said["channel"], "restart": said["restart"], "text": text});
                    output.bytes(format!("{line}\n").as_bytes())?;
                } else {
                    output.bytes(&data)?;
                }
            }
            "gap" => output.note(&format!(
                "atelier: {} bytes are no longer there",
                number("to").saturating_sub(number("from"))
            ))?,
            _ => {}
        }
    }
}

fn runs(studio: &Value) -> bool {
    studio.get("state").and_then(Value::as_str) == Some("RUNNING")
}

/// The id of the entrypoint that is meant.
fn entrypoint(studio: &Value, wanted: Option<&str>) -> Result<String, CliError> {
    let all = studio.get("entrypoints").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| {
        entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let Some(wanted) = wanted else {
        return match all.as_slice() {
            [one] => Ok(text(one, "id")),
            [] => Err(CliError::usage("the studio has no entrypoint now: say its id")),
            several => Err(CliError::usage(format!(
                "say which: {}",
                several.iter().map(|entry| text(entry, "id")).collect::<Vec<_>>().join(", ")
            ))),
        };
    };
    let by = |name: &str| all.iter().find(|entry| text(entry, name) == wanted);
    // One that the studio no longer has may have left a log.
    Ok(by("id").or_else(|| by("label")).map_or_else(|| wanted.to_owned(), |e| text(e, "id")))
}

/// As the server wants it.
fn since(text: &str, now: OffsetDateTime) -> Result<String, CliError> {
    let wrong = || CliError::usage(format!("--since {text:?} is no time and no length of time"));
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return at.format(&Rfc3339).map_err(|_| wrong());
    }
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return Err(wrong()),
    };
    let count = text.strip_suffix(unit).ok_or_else(wrong)?;
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let at = now.checked_sub(Duration::seconds(i64::from(count) * seconds)).ok_or_else(wrong)?;
    at.format(&Rfc3339).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_length() {
        let now = OffsetDateTime::from_unix_timestamp(86400).unwrap();
        assert_eq!(since("1970-01-01T00:00:05Z", now).unwrap(), "1970-01-01T00:00:05Z");
        assert_eq!(since("90s", now).unwrap(), "1970-01-01T23:58:30Z");
        assert_eq!(since("1d", now).unwrap(), "1970-01-01T00:00:00Z");
        for text in ["", "s", "5", "-5s", "5ss", "yesterday"] {
            assert_eq!(since(text, now).unwrap_err().code(), 2, "{text}");
        }
    }

    #[test]
    fn an_entrypoint_is_left_out_only_where_there_is_one() {
        let one = json!({"entrypoints": [{"id": "a", "label": "Lab"}]});
        assert_eq!(entrypoint(&one, None).unwrap(), "a");
        assert_eq!(entrypoint(&one, Some("Lab")).unwrap(), "a");
        assert_eq!(entrypoint(&one, Some("gone")).unwrap(), "gone");
        let two = json!({"entrypoints": [{"id": "a"}, {"id": "b"}]});
        assert!(entrypoint(&two, None).unwrap_err().to_string().contains("a, b"));
    }
}
