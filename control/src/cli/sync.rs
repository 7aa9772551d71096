//! `atelier sync` and `atelier conflicts`: a studio's files and the server's.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{self, Client},
    error::CliError,
    find::{Named, id_of},
    output::Output,
    progress::{follow, succeeded},
};

const CONFLICT_FIELDS: &[&str] = &["mount", "path", "kind"];
const QUESTION_FIELDS: &[&str] = &["mount", "side", "deletions", "of"];

/// Synchronises a running studio's files with the server's. Exit code 3: conflicts or questions are left.
#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    named: Named,
    /// From the studio to the server alone.
    #[arg(long, group = "direction")]
    pull: bool,
    /// From the server to the studio alone.
    #[arg(long, group = "direction")]
    push: bool,
    /// Moves nothing, and says what would move.
    #[arg(long, group = "direction")]
    check: bool,
    /// This mount alone; may be said several times.
    #[arg(short, long = "mount")]
    mounts: Vec<String>,
    /// Decides conflicts: on all, or on those of the paths that follow.
    #[arg(long, value_enum, num_args = 1, conflicts_with = "check")]
    keep: Option<Keep>,
    /// Conflicts that --keep decides; as PATH, or as MOUNT:PATH where several mounts have it.
    #[arg(requires = "keep")]
    paths: Vec<String>,
    /// The many deletions in this mount were meant.
    #[arg(long, value_name = "MOUNT")]
    allow_mass_deletion: Vec<String>,
    /// The many deletions in this mount were not meant: the files come back.
    #[arg(long, value_name = "MOUNT")]
    undo_mass_deletion: Vec<String>,
    /// Longest time to wait, in seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    timeout: u64,
}

/// How a conflict ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Keep {
    /// The studio's version.
    Studio,
    /// The server's version.
    Server,
    /// Both: the studio's gets a name of its own.
    Both,
    /// One text with both changes, where they do not touch each other.
    Merge,
}

impl Keep {
    const fn name(self) -> &'static str {
        match self {
            Self::Studio => "studio",
            Self::Server => "server",
            Self::Both => "both",
            Self::Merge => "merge",
        }
    }
}

/// Works with conflicts that a synchronisation has left.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConflictsVerb {
    /// Lists them, with the questions that wait.
    List {
        #[command(flatten)]
        named: Named,
    },
    /// Shows how the studio's version differs from the server's.
    Diff {
        #[command(flatten)]
        named: Named,
        /// PATH, or MOUNT:PATH.
        path: String,
    },
    /// Decides on some, or on all, and synchronises.
    Resolve {
        #[command(flatten)]
        named: Named,
        #[arg(long, value_enum)]
        keep: Keep,
        /// As PATH, or as MOUNT:PATH.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        paths: Vec<String>,
        /// Every conflict there is.
        #[arg(long)]
        all: bool,
    },
}

pub(super) async fn sync(
    client: &Client,
    args: SyncArgs,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let studio = studio(client, &args.named).await?;
    let direction = match (args.pull, args.push, args.check) {
        (true, _, _) => "pull",
        (_, true, _) => "push",
        (_, _, true) => "check",
        _ => "both",
    };
    let resolutions = match args.keep {
        Some(keep) => decided(&open(client, &studio).await?, keep, &args.paths)?,
        None => Vec::new(),
    };
    let mut body = json!({
        "direction": direction,
        "resolutions": resolutions,
        "allow_mass_deletion": args.allow_mass_deletion,
        "undo_mass_deletion": args.undo_mass_deletion,
    });
    if !args.mounts.is_empty() {
        body["mounts"] = json!(args.mounts);
    }
    run(client, &studio, &body, Duration::from_secs(args.timeout), output).await
}

pub(super) async fn conflicts(
    client: &Client,
    verb: ConflictsVerb,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        ConflictsVerb::List { named } => {
            let open = open(client, &studio(client, &named).await?).await?;
            if output.json {
                output.value(&open)?;
            } else {
                output.items(items(&open, "conflicts"), CONFLICT_FIELDS)?;
                if !items(&open, "questions").is_empty() {
                    output.say("")?;
                    output.items(items(&open, "questions"), QUESTION_FIELDS)?;
                }
            }
            Ok(())
        }
        ConflictsVerb::Diff { named, path } => {
            let studio = studio(client, &named).await?;
            let open = open(client, &studio).await?;
            let conflict = chosen(items(&open, "conflicts"), &path)?;
            let request = client.request(Method::GET, &["studios", &studio, "conflicts", "diff"]);
            let which = [
                ("mount", text(conflict, "mount")),
                ("path_base64", text(conflict, "path_base64")),
            ];
            diff(&client::json(request.query(&which)).await?, output)
        }
        ConflictsVerb::Resolve { named, keep, paths, all: _ } => {
            let studio = studio(client, &named).await?;
            let decided = decided(&open(client, &studio).await?, keep, &paths)?;
            let body = json!({"direction": "both", "resolutions": decided});
            run(client, &studio, &body, Duration::from_hours(1), output).await
        }
    }
}

/// Here a studio that is not there is malformed use: 3 says that something is left.
async fn studio(client: &Client, named: &Named) -> Result<String, CliError> {
    named.id(client).await.map_err(|error| match error {
        CliError::Refused { status: 404, detail } => CliError::usage(detail),
        error => error,
    })
}

async fn open(client: &Client, studio: &str) -> Result<Value, CliError> {
    client.get(&["studios", studio, "conflicts"]).await
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The one conflict of this path. One of several mounts is never guessed.
fn chosen<'a>(conflicts: &'a [Value], wanted: &str) -> Result<&'a Value, CliError> {
    let full = |conflict: &Value| format!("{}:{}", text(conflict, "mount"), text(conflict, "path"));
    let mut found: Vec<&Value> = conflicts.iter().filter(|one| full(one) == wanted).collect();
    if found.is_empty() {
        found = conflicts.iter().filter(|one| text(one, "path") == wanted).collect();
    }
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(CliError::usage(format!("there is no conflict of {wanted:?}"))),
        several => Err(CliError::usage(format!(
            "{wanted:?} is in conflict in several mounts: say one of {}",
            several.iter().map(|one| full(one)).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// Resolutions of the conflicts as they were seen, so that what has changed since is not decided blindly. No path: all.
fn decided(open: &Value, keep: Keep, paths: &[String]) -> Result<Vec<Value>, CliError> {
    let conflicts = items(open, "conflicts");
    let chosen: Vec<&Value> = if paths.is_empty() {
        conflicts.iter().collect()
    } else {
        paths.iter().map(|path| chosen(conflicts, path)).collect::<Result<_, _>>()?
    };
    let resolution = |conflict: &Value| {
        let mut resolution = Map::new();
        for name in ["mount", "path_base64", "token"] {
            resolution.insert(name.into(), conflict.get(name).cloned().unwrap_or_default());
        }
        resolution.insert("keep".into(), keep.name().into());
        Value::Object(resolution)
    };
    Ok(chosen.into_iter().map(resolution).collect())
}

/// A synchronisation from its order to its result.
async fn run(
    client: &Client,
    studio: &str,
    body: &Value,
    longest: Duration,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let task = client.post(&["studios", studio, "sync"], body).await?;
    let task = follow(client, id_of(&task)?, longest, output).await?;
    succeeded(&task)?;
    let result = task.get("result").cloned().unwrap_or_default();
    if output.json {
        output.value(&result)?;
    } else {
        tell(&result, body.get("direction") == Some(&json!("check")), output)?;
    }
    let count = |name: &str| {
        items(&result, "mounts").iter().map(|mount| items(mount, name).len()).sum::<usize>()
    };
    left(count("conflicts"), count("questions"))
}

/// One line a change, conflict, question and file that was left out, and one for each commit.
fn tell(result: &Value, check: bool, output: &mut Output<'_>) -> Result<(), CliError> {
    let mut quiet = true;
    for mount in items(result, "mounts") {
        let name = text(mount, "mount");
        for (changes, to) in [("to_server", "server"), ("to_studio", "studio")] {
            for change in items(mount, changes) {
                quiet = false;
                let would = if check { "would be " } else { "" };
                let (change, path) = (text(change, "change"), text(change, "path"));
                output.say(&format!("{name}:{path}  {would}{change} on the {to}"))?;
            }
        }
        for conflict in items(mount, "conflicts") {
            quiet = false;
            let (path, kind) = (text(conflict, "path"), text(conflict, "kind"));
            output.say(&format!("{name}:{path}  conflict ({kind})"))?;
        }
        if let Some(files) =
            mount.get("brought_back").and_then(Value::as_u64).filter(|files| *files > 0)
        {
            quiet = false;
            output.say(&format!("{name}  {files} files came back out of the trash"))?;
        }
        for copy in items(mount, "kept_both").iter().filter_map(Value::as_str) {
            quiet = false;
            output.say(&format!("{name}:{copy}  keeps the studio's version"))?;
        }
        for question in items(mount, "questions") {
            quiet = false;
            let number =
                |name: &str| question.get(name).and_then(Value::as_u64).unwrap_or_default();
            output.say(&format!(
                "{name}  {} of {} files are deleted on the {}; was that meant? --allow-mass-deletion {name} or --undo-mass-deletion {name}",
                number("deletions"), number("of"), text(question, "side")
            ))?;
        }
        for skipped in items(mount, "skipped") {
            let (path, reason) = (text(skipped, "path"), text(skipped, "reason"));
            output.note(&format!("atelier: {name}:{path} is left out: {reason}"))?;
        }
    }
    for commit in items(result, "commits") {
        output.say(&format!("{}  commit {}", text(commit, "zone"), text(commit, "commit")))?;
        for warning in items(commit, "warnings").iter().filter_map(Value::as_str) {
            output.note(&format!("atelier: {warning}"))?;
        }
    }
    if quiet { output.say("Both sides are the same.") } else { Ok(()) }
}

/// Somebody has to decide.
fn left(conflicts: usize, questions: usize) -> Result<(), CliError> {
    if conflicts + questions == 0 {
        return Ok(());
    }
    Err(CliError::Left { conflicts, questions })
}

fn diff(comparison: &Value, output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        return output.value(comparison);
    }
    match comparison.get("diff").and_then(Value::as_str) {
        Some(diff) => output.text(diff)?,
        None => output.say("They can't be compared as text.")?,
    }
    if comparison.get("merge_clean") == Some(&Value::Bool(true)) {
        output.note("atelier: `--keep merge` would take both changes")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_chosen_by_path_and_never_guessed() {
        let of = |mount: &str, path: &str| json!({"mount": mount, "path": path, "path_base64": "eA==", "token": "t"});
        let open = json!({"conflicts": [of("a", "x"), of("b", "x"), of("b", "y")]});
        let paths = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
            decided(&open, Keep::Both, &paths)
        };
        assert_eq!(paths(&[]).unwrap().len(), 3);
        let one = json!({"mount": "b", "path_base64": "eA==", "token": "t", "keep": "both"});
        assert_eq!(paths(&["y"]).unwrap(), std::slice::from_ref(&one));
        assert_eq!(paths(&["b:x"]).unwrap(), [one]);
        assert!(paths(&["x"]).unwrap_err().to_string().contains("a:x, b:x"));
        assert_eq!(paths(&["z"]).unwrap_err().code(), 2);
    }

    #[test]
    fn what_is_left_has_a_code_of_its_own() {
        assert_eq!(left(0, 0).map_err(|error| error.code()), Ok(()));
        assert_eq!(left(1, 0).map_err(|error| error.code()), Err(3));
        assert_eq!(left(0, 2).map_err(|error| error.code()), Err(3));
    }
}
