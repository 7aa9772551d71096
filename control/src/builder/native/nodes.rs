//! A node becomes layers: what was made before, files put together, or what a runner makes.

use images::plan::{FileEntry, Fragment, Node, Run, Work};
use tokio_util::sync::CancellationToken;

use super::{
    NativeBuilder,
    base::Base,
    cache::{self, NodeRecord, packing_name},
    disk, is_independent, layer_failed, registry_failed, say,
    stack::Stack,
};
use crate::builder::{
    BuildError, LogSink,
    layer::{self, Content, Entry, Kind, Layer, Owners},
    places::STUDIO_PREFIX,
    registry::Image,
    runner::Made,
};

impl NativeBuilder {
    /// The node's layers, made if they are not known or not there any more.
    pub(super) async fn node(
        &self,
        node: &Node,
        base: &Base,
        stack: &Stack,
        no_cache: bool,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<NodeRecord, BuildError> {
        let key = self.key_of(node, base, stack);
        let _only_one = self.busy.lock(&key).await;
        let run = match &node.work {
            Work::Run(run) => run,
            Work::Files(files) => return self.files(&key, node, files, log).await,
        };
        if !no_cache && let Some(known) = self.cache.node(&key).map_err(disk)? {
            if Self::unless_cancelled(cancel, self.is_there(&known)).await? {
                say(log, &node.name, "built before").await;
                return Ok(known);
            }
            say(log, &node.name, "built before, but the registry has lost it").await;
        }
        say(log, &node.name, "running").await;
        let record = self.run(node, run, base, stack, log, cancel).await?;
        self.cache.keep_node(&key, &record).map_err(disk)?;
        Ok(record)
    }

    /// Over all that the node's layers depend on. Files depend on nothing; a script that owns its folder on the base alone; a
    /// Dockerfile's statements on all that they see.
    fn key_of(&self, node: &Node, base: &Base, stack: &Stack) -> String {
        let packing = packing_name(self.settings.packing);
        match &node.work {
            Work::Files(files) => cache::key(&("files", packing, files)),
            Work::Run(_) if is_independent(node) => {
                cache::key(&("run", packing, base.digest(), &node.work))
            }
            Work::Run(_) => {
                let below: Vec<_> = stack.layers.iter().map(|(_, layer)| &layer.diff_id).collect();
                cache::key(&("run", packing, base.digest(), &node.work, below, &stack.config))
            }
        }
    }

    async fn files(
        &self,
        key: &str,
        node: &Node,
        files: &[FileEntry],
        log: &dyn LogSink,
    ) -> Result<NodeRecord, BuildError> {
        if let Some(known) = self.cache.node(key).map_err(disk)?
            && known.layers.iter().all(|layer| self.cache.blob(&layer.blob.digest).exists())
        {
            return Ok(known);
        }
        say(log, &node.name, &format!("{} files", files.len())).await;
        let entry = |file: &FileEntry| {
            let content = Content::Bytes(file.content.0.clone());
            let kind = Kind::File { content, executable: file.executable };
            Entry::new(format!("{STUDIO_PREFIX}/{}", file.path), kind)
        };
        let layer = self.write_layer(files.iter().map(entry).collect()).await?;
        let record = NodeRecord { layers: vec![layer], config: None, pushed: Vec::new() };
        self.cache.keep_node(key, &record).map_err(disk)?;
        Ok(record)
    }

    async fn run(
        &self,
        node: &Node,
        run: &Run,
        base: &Base,
        stack: &Stack,
        log: &dyn LogSink,
        cancel: &CancellationToken,
    ) -> Result<NodeRecord, BuildError> {
        let runner =
            self.runner.as_ref().expect("the plan was checked, and nothing runs without one");
        let below = if is_independent(node) {
            base.image.clone()
        } else {
            Self::unless_cancelled(cancel, self.push_below(base, stack)).await?
        };
        let scratch = self.cache.scratch().map_err(disk)?;
        let made = runner.run(node, run, &below, &scratch.0, log, cancel).await?;
        let made = match (made, &run.fragment) {
            (Made::Folder(folder), Fragment::Script { folder: name, .. }) => {
                let at = format!("{STUDIO_PREFIX}/{name}");
                let entries = tokio::task::spawn_blocking(move || {
                    layer::of_folder(&folder, &at, Owners::Root)
                });
                let entries = entries.await.map_err(|error| disk(error.into()))?;
                let layer = self.write_layer(entries.map_err(layer_failed)?).await?;
                NodeRecord { layers: vec![layer], config: None, pushed: Vec::new() }
            }
            (Made::Folder(_), Fragment::Dockerfile(_)) => {
                let why = "the runner answered a Dockerfile with a folder".into();
                return Err(BuildError::Failed { block: node.block, node: node.name.clone(), why });
            }
            (Made::Image(image), _) => self.added(node, base, &below, &image).await?,
        };
        Ok(made)
    }

    /// What an image adds to the one below it.
    async fn added(
        &self,
        node: &Node,
        base: &Base,
        below: &Image,
        above: &Image,
    ) -> Result<NodeRecord, BuildError> {
        let platform = base.platform();
        let mut pushed = vec![above.to_string()];
        if *below != base.image {
            pushed.push(below.to_string());
        }
        let below = self.read_image(below, &platform).await.map_err(registry_failed)?;
        let above = self.read_image(above, &platform).await.map_err(registry_failed)?;
        let ids =
            |image: &Base| image.layers.iter().map(|it| it.diff_id.clone()).collect::<Vec<_>>();
        if !ids(&above).starts_with(&ids(&below)) {
            return Err(BuildError::Failed {
                block: node.block,
                node: node.name.clone(),
                why: "its image does not stand on the one that it was built on".into(),
            });
        }
        let layers = above.layers.get(below.layers.len()..).unwrap_or_default().to_vec();
        Ok(NodeRecord { layers, config: Some(above.config), pushed })
    }

    /// Whether every layer is here or in the registry.
    async fn is_there(&self, record: &NodeRecord) -> Result<bool, BuildError> {
        for layer in &record.layers {
            let here = self.cache.blob(&layer.blob.digest).exists();
            let there = || self.registry.has_blob(&self.settings.target, &layer.blob.digest);
            if !here && !there().await.map_err(registry_failed)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a layer and keeps it.
    pub(super) async fn write_layer(&self, entries: Vec<Entry>) -> Result<Layer, BuildError> {
        let scratch = self.cache.scratch().map_err(disk)?;
        let (file, packing) = (scratch.0.join("layer"), self.settings.packing);
        let path = file.clone();
        let written = tokio::task::spawn_blocking(move || layer::write(entries, packing, &path));
        let written = written.await.map_err(|error| disk(error.into()))?;
        let layer = written.map_err(layer_failed)?;
        self.cache.keep_blob(&file, &layer).map_err(disk)?;
        Ok(layer)
    }
}
