//! The agent's layer: made once for each agent, and put on top of every image.

use std::{fs, path::PathBuf, time::SystemTime};

use tokio::sync::Mutex;

use super::{NativeBuilder, disk};
use crate::builder::{
    BuildError,
    layer::{Content, Entry, Kind, Layer},
    places::AGENT_PATH,
};

/// The last layer that was made, with the file that it was made of.
pub(super) struct AgentLayer {
    binary: Option<PathBuf>,
    made: Mutex<Option<(Stamp, Layer)>>,
}

/// Tells that a file is another one.
type Stamp = (u64, SystemTime);

impl AgentLayer {
    pub(super) fn new(binary: Option<PathBuf>) -> Self {
        Self { binary, made: Mutex::default() }
    }
}

impl NativeBuilder {
    /// The layer of the agent as it is now; `None` where the base brings it.
    pub(super) async fn agent_layer(&self) -> Result<Option<Layer>, BuildError> {
        let Some(binary) = &self.agent.binary else { return Ok(None) };
        let mut made = self.agent.made.lock().await;
        let metadata = fs::metadata(binary).map_err(|error| missing(binary, error))?;
        let stamp = (metadata.len(), metadata.modified().map_err(disk)?);
        if let Some((_, layer)) = made.as_ref().filter(|(known, layer)| {
            *known == stamp && self.cache.blob(&layer.blob.digest).exists()
        }) {
            return Ok(Some(layer.clone()));
        }
        let content = Content::File(binary.clone(), metadata.len());
        let program = Kind::File { content, executable: true };
        let entry = Entry::new(AGENT_PATH, program);
        let layer = self.write_layer(vec![entry]).await?;
        *made = Some((stamp, layer.clone()));
        Ok(Some(layer))
    }
}

fn missing(binary: &std::path::Path, source: std::io::Error) -> BuildError {
    let what = format!("the agent's binary {} can't be read", binary.display());
    BuildError::Environment { what, source: Box::new(source) }
}
