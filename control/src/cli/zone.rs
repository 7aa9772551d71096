//! `atelier zone`: files on the server, their history and their trash.

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::{Body, Method, RequestBuilder, header};
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    client::{self, Client},
    error::CliError,
    find::find,
    output::Output,
    streams::{Input, pieces},
};
use crate::domain::{
    ids::InvalidId,
    zone::{ZoneKind, ZoneRef},
};

const FILE_FIELDS: &[&str] = &["name", "kind", "size", "modified_at", "executable"];
const COMMIT_FIELDS: &[&str] = &["commit", "author", "at", "files", "message"];
const TRASH_FIELDS: &[&str] = &["id", "path", "kind", "size", "deleted_at", "reason"];
const ZONE_FIELDS: &[&str] = &["zone", "kind", "versioned"];

/// Works with the server's files. A zone is named by its text, such as `project:DEMO:notebooks`, or by `-z KIND`: with
/// `-s STUDIO` the one that the studio sees, with `-p PROJECT` the project's, else your own.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ZoneVerb {
    /// Lists a folder; without a zone, the zones of the studio, of the project, or your own.
    Ls(Place),
    /// Writes a file to standard output.
    Cat {
        #[command(flatten)]
        place: Place,
        /// As it was in this commit.
        #[arg(long)]
        commit: Option<String>,
    },
    /// Writes a file, from standard input or from -f.
    Put {
        #[command(flatten)]
        place: Place,
        #[arg(short, long)]
        file: Option<PathBuf>,
        /// Only over this version, as an earlier put has answered it.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
        /// Only where there is none yet.
        #[arg(long, conflicts_with = "if_match")]
        new: bool,
    },
    /// Deletes a file or folder; the trash keeps it.
    Rm {
        #[command(flatten)]
        place: Place,
        /// Only this version.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
    /// Makes a folder.
    Mkdir(Place),
    History(HistoryArgs),
    /// Shows what a commit changed.
    Show {
        #[command(flatten)]
        place: Place,
        #[arg(long)]
        commit: String,
    },
    Restore(RestoreArgs),
    Trash(TrashArgs),
}

/// Lists the commits that changed a zone, folder or file, newest first.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    place: Place,
    /// Most commits that are listed.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Brings a file or folder back as it was in a commit, or out of the trash.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    #[arg(long, required_unless_present = "trash", conflicts_with = "trash")]
    commit: Option<String>,
    /// Id of an item of the trash, or of something in an item that is a folder.
    #[arg(long, value_name = "ID")]
    trash: Option<String>,
}

/// Lists what was deleted or replaced and can be had back.
#[derive(Debug, clap::Args)]
pub(super) struct TrashArgs {
    /// With a PATH, what lay there or below.
    #[command(flatten)]
    place: Place,
    /// Lists what is in an item that is a folder.
    #[arg(long, value_name = "ID")]
    open: Option<String>,
}

/// A zone, and a path in it.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// ZONE and PATH; with -z the PATH alone.
    #[arg(value_name = "ZONE PATH", num_args = 0..=2)]
    words: Vec<String>,
    /// Id or name of a studio.
    #[arg(short, long)]
    studio: Option<String>,
    /// Key of a project.
    #[arg(short, long)]
    project: Option<String>,
    /// Kind of the zone, such as `notebooks`.
    #[arg(short = 'z', long = "zone", value_name = "KIND")]
    kind: Option<String>,
}

/// What the words of a [`Place`] say.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    zone: Option<String>,
    path: Option<String>,
}

impl Place {
    fn said(&self) -> Result<Said, CliError> {
        let (zone, path) = match (self.kind.is_some(), self.words.as_slice()) {
            (_, []) => (None, None),
            (true, [path]) => (None, Some(path)),
            (true, _) => return Err(CliError::usage("with -z KIND say a PATH alone")),
            (false, [zone]) => (Some(zone), None),
            (false, [zone, path, ..]) => (Some(zone), Some(path)),
        };
        if zone.is_some() && (self.studio.is_some() || self.project.is_some()) {
            return Err(CliError::usage("-s and -p go with -z KIND, not with a ZONE"));
        }
        // A slash at an end is a habit of shells' completion, not a part of the name.
        let path = path.map(|path| path.trim_end_matches('/').to_owned());
        Ok(Said { zone: zone.cloned(), path: path.filter(|path| !path.is_empty()) })
    }

    /// The zones to choose from.
    async fn zones(&self, client: &Client) -> Result<Vec<Value>, CliError> {
        if let Some(studio) = &self.studio {
            let within: Vec<_> = self.project.iter().map(|key| ("project", key.as_str())).collect();
            let id = find(client, &["studios"], &within, "name", studio).await?;
            return seen_by(&client.get(&["studios", &id]).await?);
        }
        match &self.project {
            Some(key) => client.list(&["projects", key, "zones"], &[]).await,
            None => client.list(&["users", "me", "zones"], &[]).await,
        }
    }

    /// The zone's text, and the path.
    async fn resolve(&self, client: &Client) -> Result<(String, Option<String>), CliError> {
        let Said { zone, path } = self.said()?;
        let kind = match (zone, &self.kind) {
            (Some(zone), _) => return Ok((zone, path)),
            (None, Some(kind)) => kind,
            (None, None) => {
                return Err(CliError::usage(
                    "say a ZONE, such as project:DEMO:notebooks, or -z KIND",
                ));
            }
        };
        let zones = self.zones(client).await?;
        let text = |zone: &Value, name: &str| {
            zone.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match zones.iter().find(|zone| text(zone, "kind") == *kind) {
            Some(zone) => Ok((text(zone, "zone"), path)),
            None => Err(CliError::usage(format!(
                "there is no zone {kind:?} here, but {}; -s STUDIO and -p PROJECT lead to others",
                zones.iter().map(|zone| text(zone, "kind")).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// As [`Self::resolve`], of verbs that need a path.
    async fn file(&self, client: &Client) -> Result<(String, String), CliError> {
        let (zone, path) = self.resolve(client).await?;
        let path = path.ok_or_else(|| CliError::usage("say the PATH of a file or folder"))?;
        Ok((zone, path))
    }
}

pub(super) async fn zone(
    client: &Client,
    verb: ZoneVerb,
    input: Input,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match verb {
        ZoneVerb::Ls(place) if place.kind.is_none() && place.words.is_empty() => {
            output.items(&place.zones(client).await?, ZONE_FIELDS)
        }
        ZoneVerb::Ls(place) => {
            let (zone, path) = place.resolve(client).await?;
            let query = [("path", path.as_deref().unwrap_or_default())];
            output.items(&client.list(&["zones", &zone, "files"], &query).await?, FILE_FIELDS)
        }
        ZoneVerb::Cat { place, commit } => {
            let (zone, path) = place.file(client).await?;
            let request = match &commit {
                Some(commit) => {
                    client.request(Method::GET, &["zones", &zone, "history", commit, "content"])
                }
                None => content(client, Method::GET, &zone),
            };
            let mut response = client::send(request.query(&[("path", path)])).await?;
            while let Some(piece) = response.chunk().await? {
                output.bytes(&piece)?;
            }
            Ok(())
        }
        ZoneVerb::Put { place, file, if_match, new } => {
            let (zone, path) = place.file(client).await?;
            let mut request = content(client, Method::PUT, &zone).query(&[("path", path)]);
            request = only_over(request, if_match.as_deref());
            if new {
                request = request.header(header::IF_NONE_MATCH, "*");
            }
            let written = client::json(request.body(body(input, file)?)).await?;
            changed(&written, &["etag", "commit"], output)
        }
        ZoneVerb::Rm { place, if_match } => {
            let (zone, path) = place.file(client).await?;
            let request = content(client, Method::DELETE, &zone).query(&[("path", path)]);
            client::send(only_over(request, if_match.as_deref())).await.map(drop)
        }
        ZoneVerb::Mkdir(place) => {
            let (zone, path) = place.file(client).await?;
            let request = client.request(Method::POST, &["zones", &zone, "folders"]);
            client::send(request.query(&[("path", path)])).await.map(drop)
        }
        ZoneVerb::History(HistoryArgs { place, limit }) => {
            let (zone, path) = place.resolve(client).await?;
            let query = [("path", path.as_deref().unwrap_or_default())];
            let commits = client.some(&["zones", &zone, "history"], &query, limit).await?;
            output.items(&commits, COMMIT_FIELDS)
        }
        ZoneVerb::Show { place, commit } => {
            let (zone, path) = place.resolve(client).await?;
            let commit = client.get(&["zones", &zone, "history", &commit]).await?;
            show(&commit, path.as_deref(), output)
        }
        ZoneVerb::Restore(RestoreArgs { place, commit, trash }) => {
            let restored = if let Some(id) = trash {
                let (zone, _) = place.resolve(client).await?;
                client.post(&["zones", &zone, "trash", &id, "restore"], &Value::Null).await?
            } else {
                let (zone, path) = place.file(client).await?;
                let body = json!({"path": path, "commit": commit});
                client.post(&["zones", &zone, "restore"], &body).await?
            };
            changed(&restored, &["path", "commit"], output)
        }
        ZoneVerb::Trash(TrashArgs { place, open }) => {
            let (zone, path) = place.resolve(client).await?;
            let at: Vec<&str> =
                ["zones", &zone, "trash"].into_iter().chain(open.as_deref()).collect();
            let mut items = client.list(&at, &[]).await?;
            if let Some(path) = path {
                items.retain(|item| is_at(item, &path));
            }
            output.items(&items, TRASH_FIELDS)
        }
    }
}

/// The zones that a studio sees: its own, its project's and its owner's.
fn seen_by(studio: &Value) -> Result<Vec<Value>, CliError> {
    let text = |name: &str| studio.get(name).and_then(Value::as_str).unwrap_or_default();
    let wrong =
        |error: InvalidId| CliError::Failed { why: format!("the server's studio: {error}") };
    let project = text("project").parse().map_err(wrong)?;
    let id = text("id").parse().map_err(wrong)?;
    let owner = text("owner").parse().map_err(wrong)?;
    let zones = ZoneKind::ALL.into_iter().map(|kind| {
        let zone = ZoneRef::of_studio(kind, &project, &id, &owner).to_string();
        json!({"zone": zone, "kind": kind.name(), "versioned": kind.versioned()})
    });
    Ok(zones.collect())
}

fn content(client: &Client, method: Method, zone: &str) -> RequestBuilder {
    client.request(method, &["zones", zone, "content"])
}

fn only_over(request: RequestBuilder, etag: Option<&str>) -> RequestBuilder {
    match etag {
        Some(etag) => request.header(header::IF_MATCH, format!("\"{}\"", etag.trim_matches('"'))),
        None => request,
    }
}

/// A body that is read while it is sent. Where reading fails, the request breaks off, and the server writes nothing.
pub(super) fn body(input: Input, file: Option<PathBuf>) -> Result<Body, CliError> {
    let input = match file {
        Some(file) => {
            let opened = std::fs::File::open(&file);
            let reading = CliError::io(format!("can't read {}", file.display()));
            Box::new(opened.map_err(reading)?)
        }
        None => input,
    };
    Ok(Body::wrap_stream(ReceiverStream::<std::io::Result<Bytes>>::new(pieces(input))))
}

/// What a change came to, and what the server remarks on it.
fn changed(answer: &Value, fields: &[&str], output: &mut Output<'_>) -> Result<(), CliError> {
    output.item(answer, fields)?;
    if !output.json {
        for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            output.note(&format!("atelier: {}", warning.as_str().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Whether something lies at a path, or below.
fn is_at(thing: &Value, path: &str) -> bool {
    let at = thing.get("path").and_then(Value::as_str).unwrap_or_default();
    at.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A commit as git shows one; of a path, only what lies there.
fn show(commit: &Value, path: Option<&str>, output: &mut Output<'_>) -> Result<(), CliError> {
    let mut commit = commit.clone();
    if let (Some(path), Some(Value::Array(changes))) = (path, commit.get_mut("changes")) {
        changes.retain(|change| is_at(change, path));
    }
    output.item(&commit, COMMIT_FIELDS)?;
    for change in commit.get("changes").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or_default();
        output.say("")?;
        output.say(&format!("{} {}", text("change"), text("path")))?;
        output.text(text("diff"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Option<&str>, studio: Option<&str>, words: &[&str]) -> Option<Said> {
        let place = Place {
            words: words.iter().map(|&word| word.to_owned()).collect(),
            studio: studio.map(str::to_owned),
            project: None,
            kind: kind.map(str::to_owned),
        };
        place.said().ok()
    }

    #[test]
    fn a_place_is_a_zone_and_a_path_or_a_kind_and_a_path() {
        let of = |zone: Option<&str>, path: Option<&str>| {
            Some(Said { zone: zone.map(str::to_owned), path: path.map(str::to_owned) })
        };
        let zone = "project:DEMO:notebooks";
        assert_eq!(said(None, None, &[zone]), of(Some(zone), None));
        assert_eq!(said(None, None, &[zone, "a/b/"]), of(Some(zone), Some("a/b")));
        assert_eq!(said(Some("notebooks"), None, &["a"]), of(None, Some("a")));
        assert_eq!(said(Some("notebooks"), Some("mine"), &[]), of(None, None));
        assert_eq!(said(Some("notebooks"), None, &["a", "b"]), None);
        assert_eq!(said(None, Some("mine"), &[zone]), None, "both ways of naming it");
        assert_eq!(said(None, None, &[zone, "/"]), of(Some(zone), None));
    }
}
