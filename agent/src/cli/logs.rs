//! `atelier-agent logs`.

use std::io::Write;

use proto::agent::v1::{Channel, ReadLogRequest, log_message::What};
use serde_json::json;

use super::client::Client;

pub(super) async fn show(
    client: &Client,
    entrypoint_id: String,
    follow: bool,
    tail_lines: u32,
    as_json: bool,
) -> anyhow::Result<u8> {
    let request = ReadLogRequest { entrypoint_id, follow, since_ms: 0, tail_lines, from: 0 };
    let mut messages = client.logs().read(request).await?.into_inner();
    let mut out = std::io::stdout();
    while let Some(message) = messages.message().await? {
        match message.what {
            Some(What::Chunk(chunk)) if as_json => {
                let channel = if chunk.channel() == Channel::Stderr { "stderr" } else { "stdout" };
                let text = String::from_utf8_lossy(&chunk.data);
                let piece = json!({ "offset": chunk.offset, "at_ms": chunk.at_ms, "restart": chunk.restart, "channel": channel, "text": text });
                writeln!(out, "{piece}")?;
            }
            Some(What::Chunk(chunk)) => out.write_all(&chunk.data)?,
            Some(What::Gap(gap)) if as_json => {
                writeln!(out, "{}", json!({ "gap": [gap.from, gap.to] }))?;
            }
            Some(What::Gap(gap)) => {
                writeln!(std::io::stderr(), "[{} bytes are no longer kept]", gap.to - gap.from)?;
            }
            None => {}
        }
        out.flush()?;
    }
    Ok(0)
}
