//! `atelier-agent shell` and `atelier-agent run`.

use std::io::Write;

use anyhow::{Context, bail};
use proto::agent::v1::{
    AcknowledgeRequest, ActionInput, AttachRequest, Channel, Exit, InputRequest, ResizeRequest,
    RunActionRequest, StartRequest, exit::How, output::What,
};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::client::Client;
use super::terminal::{self, Raw};
use crate::ids::random_id;

pub(super) async fn shell(client: &Client) -> anyhow::Result<u8> {
    let request = StartRequest {
        request_id: random_id(),
        terminal: Some(terminal::size()),
        stdin: true,
        detach_timeout_ms: 60_000,
        ..StartRequest::default()
    };
    let session_id = client.process().start(request).await?.into_inner().session_id;
    let raw = Raw::enter()?;
    let code = tokio::select! {
        code = show(client, &session_id) => code,
        never = follow_size(client, &session_id) => never,
        never = feed(client, &session_id) => never,
    };
    drop(raw);
    code
}

pub(super) async fn command(client: &Client, command: Vec<String>) -> anyhow::Result<u8> {
    let request = StartRequest {
        request_id: random_id(),
        command,
        stdin: true,
        lossless: true,
        ..StartRequest::default()
    };
    let session_id = client.process().start(request).await?.into_inner().session_id;
    tokio::select! {
        code = show(client, &session_id) => code,
        never = feed(client, &session_id) => never,
    }
}

pub(super) async fn action(
    client: &Client,
    action_id: String,
    inputs: &[String],
) -> anyhow::Result<u8> {
    let inputs = inputs.iter().map(|input| {
        let (name, value) =
            input.split_once('=').with_context(|| format!("{input:?} is not NAME=VALUE"))?;
        Ok(ActionInput { name: name.to_owned(), value: value.to_owned() })
    });
    let inputs = inputs.collect::<anyhow::Result<_>>()?;
    let request = RunActionRequest { request_id: random_id(), action_id, inputs };
    let session_id = client.actions().run(request).await?.into_inner().session_id;
    show(client, &session_id).await
}

/// Prints a session's output to its end; the code to exit with is the session's.
async fn show(client: &Client, session_id: &str) -> anyhow::Result<u8> {
    let request = AttachRequest { session_id: session_id.to_owned(), from: 0, terminal: None };
    let mut output = client.process().attach(request).await?.into_inner();
    while let Some(message) = output.message().await? {
        match message.what {
            Some(What::Data(data)) if data.channel() == Channel::Stderr => {
                std::io::stderr().write_all(&data.data)?;
            }
            Some(What::Data(data)) => {
                let mut out = std::io::stdout();
                out.write_all(&data.data)?;
                out.flush()?;
            }
            Some(What::Gap(gap)) => {
                writeln!(std::io::stderr(), "[{} bytes are no longer kept]", gap.to - gap.from)?;
            }
            Some(What::Exit(exit)) => {
                let request = AcknowledgeRequest { session_id: session_id.to_owned() };
                client.process().acknowledge(request).await?;
                return code(&exit);
            }
            None => {}
        }
    }
    bail!("the agent has gone")
}

fn code(exit: &Exit) -> anyhow::Result<u8> {
    match &exit.how {
        Some(How::Code(code)) => Ok(u8::try_from(*code).unwrap_or(u8::MAX)),
        Some(How::Signal(signal)) => Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        Some(How::NotStarted(reason)) => bail!("{reason}"),
        None => bail!("how it ended is not known"),
    }
}

/// Carries standard input to the session. Ends only by an error: the session's end is its output's.
async fn feed(client: &Client, session_id: &str) -> anyhow::Result<u8> {
    let (send, pieces) = mpsc::channel(4);
    let input = async {
        let mut process = client.process();
        process.input(ReceiverStream::new(pieces)).await
    };
    let read = async {
        let mut stdin = tokio::io::stdin();
        let mut first = session_id.to_owned();
        loop {
            let mut data = bytes::BytesMut::with_capacity(16 << 10);
            let end = stdin.read_buf(&mut data).await.unwrap_or(0) == 0;
            let piece =
                InputRequest { session_id: std::mem::take(&mut first), data: data.freeze(), end };
            if send.send(piece).await.is_err() || end {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        // Nobody reads any more: the exit tells the rest.
        _ = input => {}
        () = read => {}
    }
    std::future::pending().await
}

async fn follow_size(client: &Client, session_id: &str) -> anyhow::Result<u8> {
    let mut changed = signal(SignalKind::window_change())?;
    while changed.recv().await.is_some() {
        let request =
            ResizeRequest { session_id: session_id.to_owned(), terminal: Some(terminal::size()) };
        client.process().resize(request).await?;
    }
    std::future::pending().await
}
