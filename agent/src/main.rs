//! `atelier-agent`: without a command it is process 1 of a studio; see the crate's documentation.

use std::io::Write;
use std::process::ExitCode;

use agent::cli::{self, Arguments};
use agent::config::Config;
use anyhow::Context;
use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of an agent that can't begin (`EX_SOFTWARE`): entrypoints rarely use it.
const FAILED: u8 = 70;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        None => serve(),
        Some(verb) => cli::run(verb),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            writeln!(std::io::stderr(), "atelier-agent: {error:#}").ok();
            ExitCode::from(FAILED)
        }
    }
}

fn serve() -> anyhow::Result<u8> {
    // Directives such as `info,agent=debug`. Not the kind with regular expressions: they are a quarter of a megabyte.
    let directives = std::env::var_os("ATELIER_AGENT_LOG").and_then(|text| text.into_string().ok());
    let targets: Targets =
        directives.as_deref().unwrap_or("info").parse().context("ATELIER_AGENT_LOG")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(targets).with(lines).init();
    let config = Config::from_env().context("the agent's configuration")?;
    Ok(agent::run(config)?)
}
