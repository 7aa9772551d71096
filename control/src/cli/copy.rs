//! `atelier cp`: single files between here and a running studio, past its zones.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use reqwest::Method;

use super::{
    client::{self, Client},
    error::CliError,
    find::Named,
    output::Output,
    streams::Input,
    zone::body,
};

const FIELDS: &[&str] = &["name", "size", "modified_at"];

/// Copies a file from a running studio, or into one. One of both is STUDIO:PATH, absolute or below the workspace; `-` is
/// standard input or output.
#[derive(Debug, clap::Args)]
pub(super) struct CopyArgs {
    from: String,
    to: String,
    /// Key of the studio's project.
    #[arg(short, long)]
    project: Option<String>,
}

/// Where a file is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Studio { studio: String, path: String },
    Here(PathBuf),
    Streams,
}

impl Place {
    /// What begins with `.` or `/` is here, whatever else it has.
    fn of(text: &str) -> Self {
        match text.split_once(':') {
            _ if text == "-" => Self::Streams,
            Some((studio, path)) if !text.starts_with(['.', '/']) && !studio.is_empty() => {
                Self::Studio { studio: studio.to_owned(), path: path.to_owned() }
            }
            _ => Self::Here(PathBuf::from(text)),
        }
    }
}

pub(super) async fn copy(
    client: &Client,
    args: CopyArgs,
    input: Input,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let id =
        async |studio: String| Named { studio, project: args.project.clone() }.id(client).await;
    match (Place::of(&args.from), Place::of(&args.to)) {
        (Place::Studio { studio, path }, to) if !matches!(to, Place::Studio { .. }) => {
            let studio = id(studio).await?;
            let request = client.request(Method::GET, &["studios", &studio, "files", "content"]);
            let response = client::send(request.query(&[("path", &path)])).await?;
            match to {
                Place::Here(to) => save(response, &target(&to, &path)?).await,
                _ => pass_on(response, &mut *output.out).await,
            }
        }
        (from, Place::Studio { studio, mut path }) if !matches!(from, Place::Studio { .. }) => {
            let file = match from {
                Place::Here(file) => Some(file),
                _ => None,
            };
            if path.is_empty() || path.ends_with('/') {
                let name = file.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
                path.push_str(name.ok_or_else(|| CliError::usage("say the file's name there"))?);
            }
            let studio = id(studio).await?;
            let request = client.request(Method::PUT, &["studios", &studio, "files", "content"]);
            let request = request.query(&[("path", &path)]).body(body(input, file)?);
            output.item(&client::json(request).await?, FIELDS)
        }
        _ => Err(CliError::usage("one of both, and one alone, is STUDIO:PATH")),
    }
}

/// Into a folder, a file keeps its name.
fn target(to: &Path, path: &str) -> Result<PathBuf, CliError> {
    if !to.is_dir() {
        return Ok(to.to_owned());
    }
    let name = Path::new(path).file_name();
    Ok(to.join(name.ok_or_else(|| CliError::usage(format!("{path:?} names no file")))?))
}

/// The file is there as a whole, or as it was before.
async fn save(response: reqwest::Response, to: &Path) -> Result<(), CliError> {
    let failed = || CliError::io(format!("can't write {}", to.display()));
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = to.with_file_name(name);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).open(&part).map_err(failed())?;
    let mut done = pass_on(response, &mut file).await;
    if done.is_ok() {
        done = file.sync_all().and_then(|()| fs::rename(&part, to)).map_err(failed());
    }
    if done.is_err() {
        // What is reported is why it failed; a rest that stays has a name that says what it is.
        drop(fs::remove_file(&part));
    }
    done
}

async fn pass_on(
    mut response: reqwest::Response,
    to: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    while let Some(piece) = response.chunk().await? {
        to.write_all(&piece).map_err(CliError::io("can't write what comes"))?;
    }
    to.flush().map_err(CliError::io("can't write what comes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let there =
            |studio: &str, path: &str| Place::Studio { studio: studio.into(), path: path.into() };
        assert_eq!(Place::of("mine:/tmp/a:b"), there("mine", "/tmp/a:b"));
        assert_eq!(Place::of("mine:"), there("mine", ""));
        for here in ["./a:b", "/a:b", "a", ":a", "../a:b"] {
            assert_eq!(Place::of(here), Place::Here(here.into()));
        }
        assert_eq!(Place::of("-"), Place::Streams);
    }
}
