//! Commands for people inside the container. They talk to the agent that runs, over its socket.

mod client;
mod logs;
mod session;
mod status;
mod terminal;

use std::io::Write;

use anyhow::Context;
use clap::{Parser, Subcommand};
use proto::agent::v1::SyncNowRequest;

use client::Client;

/// Process 1 of a studio; with a command, a look into the one that runs.
#[derive(Debug, Parser)]
#[command(name = "atelier-agent", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Phase, connection, entrypoints, sessions.
    Status {
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// An interactive shell with the studio's variables.
    Shell,
    /// Runs an action, or a command with the studio's variables; exits with its code.
    Run {
        /// Id of the action.
        #[arg(long, conflicts_with = "line")]
        action: Option<String>,
        /// Input of the action.
        #[arg(long = "input", value_name = "NAME=VALUE", requires = "action")]
        inputs: Vec<String>,
        /// The command.
        #[arg(last = true, required_unless_present = "action")]
        line: Vec<String>,
    },
    /// Synchronises the studio's files with the server.
    Sync {
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// What an entrypoint has printed.
    Logs {
        /// Id of the entrypoint.
        entrypoint: String,
        /// Stay and print what comes.
        #[arg(short, long)]
        follow: bool,
        /// The last lines only.
        #[arg(long, value_name = "LINES", default_value_t = 0)]
        tail: u32,
        /// One JSON object a piece.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command. Returns the code to exit with.
pub fn run(verb: Verb) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(answer(verb));
    // A read of standard input can't be taken back.
    runtime.shutdown_background();
    // The agent's refusals are written for people; the status around them is not.
    code.map_err(|error| match error.downcast::<tonic::Status>() {
        Ok(status) => anyhow::anyhow!("{}", status.message()),
        Err(error) => error,
    })
}

async fn answer(verb: Verb) -> anyhow::Result<u8> {
    let client = Client::connect().await?;
    match verb {
        Verb::Status { json } => status::show(&client, json).await,
        Verb::Shell => session::shell(&client).await,
        Verb::Run { action: Some(action), inputs, line: _ } => {
            session::action(&client, action, &inputs).await
        }
        Verb::Run { action: None, inputs: _, line } => session::command(&client, line).await,
        Verb::Sync { json } => sync(&client, json).await,
        Verb::Logs { entrypoint, follow, tail, json } => {
            logs::show(&client, entrypoint, follow, tail, json).await
        }
    }
}

async fn sync(client: &Client, json: bool) -> anyhow::Result<u8> {
    let reply = client
        .local()
        .sync_now(SyncNowRequest { timeout_ms: 0 })
        .await
        .context("synchronising")?
        .into_inner();
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", serde_json::json!({ "ok": reply.ok, "message": reply.message }))?;
    } else if reply.message.is_empty() {
        writeln!(out, "{}", if reply.ok { "synchronised" } else { "not synchronised" })?;
    } else {
        writeln!(out, "{}", reply.message)?;
    }
    Ok(u8::from(!reply.ok))
}
