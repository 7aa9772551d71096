//! Base images out of Debian packages, without an image to begin with: `debootstrap` into a folder, one layer, a config.
//!
//! What was made is kept by recipe, and pushed again from there. Packages are those of the day: the same recipe made anew may be
//! another image, and is named by another digest; templates name their base by digest.

mod clean;
mod recipe;

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::FlockOperation, io::Errno};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    BuildError, LogLine, LogSink, LogStream,
    layer::{self, Layer, Owners, Packing},
    process::{self, Job},
    registry::{Content, Descriptor, Image, Manifest, Registry, media_types},
    scratch::Scratch,
};
use crate::spawn;
pub use recipe::{Recipe, RecipeError};

/// See `buildah::script`: what Python compiles stays compiled without times.
const EPOCH: &str = "315532800";
const PAUSE: Duration = Duration::from_millis(200);
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Makes base images, and keeps them below a folder.
pub struct BaseImages {
    pub registry: Registry,
    pub folder: PathBuf,
    /// For the package manager: proxies.
    pub env: BTreeMap<String, String>,
    pub packing: Packing,
}

/// What a recipe became.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    layer: Layer,
    config: Value,
}

impl BaseImages {
    /// Makes the image unless it is kept, and pushes it under a name; answers with its name by digest.
    pub async fn build(
        &self,
        recipe: &Recipe,
        to: &Image,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Image, BuildError> {
        let (notes, scratch) = (self.folder.join("running"), self.folder.join("tmp"));
        fs::create_dir_all(&notes).map_err(failed)?;
        let _alone = self.alone(log, cancel).await?;
        // Of a program that was killed, since no other works here.
        process::end_leftovers(&notes).map_err(failed)?;
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(failed)?;
        }
        fs::create_dir(&scratch).map_err(failed)?;
        let file = self.folder.join(format!("{}.json", recipe.key(self.packing)));
        let known = if no_cache { None } else { self.known(&file)? };
        let record = if let Some(record) = known {
            say(log, "made before").await;
            record
        } else {
            let record = self.make(recipe, &notes, log, cancel).await?;
            self.keep(&file, &record).map_err(failed)?;
            record
        };
        let pushing = self.push(&record, to);
        let image =
            cancel.run_until_cancelled(pushing).await.unwrap_or(Err(BuildError::Cancelled))?;
        say(log, &format!("image {image}")).await;
        Ok(image)
    }

    /// Waits until no other program makes base images in this folder; it ends with what is returned.
    async fn alone(
        &self,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<fs::File, BuildError> {
        let lock = fs::File::create(self.folder.join("lock")).map_err(failed)?;
        let mut said = false;
        loop {
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::WOULDBLOCK) => (),
                Err(error) => return Err(failed(error.into())),
            }
            if !said {
                say(log, "another program makes one: waits for it").await;
                said = true;
            }
            let pause = cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            pause.ok_or(BuildError::Cancelled)?;
        }
    }

    fn known(&self, file: &Path) -> Result<Option<Record>, BuildError> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // One of another program, or one whose layer was removed, is made again.
        let record: Option<Record> = serde_json::from_slice(&bytes).ok();
        Ok(record.filter(|record| self.blob(&record.layer).exists()))
    }

    async fn make(
        &self,
        recipe: &Recipe,
        notes: &Path,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<Record, BuildError> {
        let scratch = Scratch::below(&self.folder.join("tmp")).map_err(failed)?;
        let tree = scratch.0.join("tree");
        // In a mount namespace of its own: what it mounts is gone with it, also when it is killed.
        let mut command = spawn::command("unshare");
        command
            .args(["--mount", "--propagation", "private", "debootstrap", "--variant=minbase"])
            .arg(format!("--include={}", recipe.packages()))
            .arg(&recipe.suite)
            .arg(&tree)
            .arg(&recipe.mirror)
            .envs(&self.env)
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("SOURCE_DATE_EPOCH", EPOCH);
        let secrets = process::secrets(self.env.values().chain([&recipe.mirror]));
        let ended = Job { node: "debootstrap", notes, secrets }.run(command, log, cancel).await?;
        if !ended.status.success() {
            let (block, node) = (0, "debootstrap".to_owned());
            return Err(BuildError::Failed { block, node, why: ended.why() });
        }
        let (packing, out) = (self.packing, scratch.0.join("layer"));
        let written = tokio::task::spawn_blocking(move || {
            clean::tidy(&tree).map_err(failed)?;
            let entries = layer::of_folder(&tree, "", Owners::Kept).map_err(layer_failed)?;
            let layer = layer::write(entries, packing, &out).map_err(layer_failed)?;
            fs::File::open(&out).and_then(|file| file.sync_all()).map_err(failed)?;
            Ok::<_, BuildError>((layer, out))
        });
        let (layer, out) = written.await.map_err(|error| failed(error.into()))??;
        fs::rename(out, self.blob(&layer)).map_err(failed)?;
        let config = config(recipe, &layer);
        Ok(Record { layer, config })
    }

    fn keep(&self, file: &Path, record: &Record) -> io::Result<()> {
        let scratch = Scratch::below(&self.folder.join("tmp"))?;
        let path = scratch.0.join("record");
        let mut fresh = fs::File::create(&path)?;
        fresh.write_all(&serde_json::to_vec(record)?)?;
        fresh.sync_all()?;
        fs::rename(path, file)
    }

    async fn push(&self, record: &Record, to: &Image) -> Result<Image, BuildError> {
        let at = &to.repository;
        let pushed = async {
            let content = Content::File(self.blob(&record.layer));
            self.registry.ensure_blob(at, &record.layer.blob, None, &content).await?;
            let config = serde_json::to_vec(&record.config).expect("a JSON value can be written");
            let blob = Descriptor::of(media_types::CONFIG, &config);
            self.registry.ensure_blob(at, &blob, None, &Content::Bytes(config.into())).await?;
            let manifest = Manifest::new(blob, vec![record.layer.blob.clone()]);
            let bytes = serde_json::to_vec(&manifest).expect("documents have string keys alone");
            // A name with a digest is no tag.
            let tags: &[&str] = if to.digest().is_some() { &[] } else { &[&to.reference] };
            self.registry.put_manifest(at, media_types::MANIFEST, bytes.into(), tags).await
        };
        let pushed = pushed.await.map_err(|error| BuildError::Environment {
            what: "the base image can't be pushed".into(),
            source: Box::new(error),
        })?;
        Ok(Image::by_digest(at, &pushed.digest))
    }

    fn blob(&self, layer: &Layer) -> PathBuf {
        self.folder.join(layer.blob.digest.hex())
    }
}

fn config(recipe: &Recipe, layer: &Layer) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "config": {
            "Cmd": ["/bin/bash"],
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
            ],
            "Labels": {"atelier.base": format!("{} {}", recipe.suite, recipe.packages())},
        },
        "created": CREATED,
        "history": [{"created": CREATED, "created_by": format!("debootstrap {}", recipe.suite)}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    })
}

async fn say(log: &dyn LogSink, text: &str) {
    let stream = LogStream::Build;
    log.line(LogLine { node: "base image".into(), stream, text: text.to_owned() }).await;
}

fn failed(source: io::Error) -> BuildError {
    let what = match source.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free some room and build again",
        _ => "a folder of base images can't be used",
    };
    BuildError::Environment { what: what.into(), source: Box::new(source) }
}

fn layer_failed(source: layer::LayerError) -> BuildError {
    BuildError::Environment { what: "a layer can't be made".into(), source: Box::new(source) }
}
