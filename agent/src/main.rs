//! `atelier-agent`: without a command it is process 1 of a studio; see the crate's documentation.

use std::io::Write;
use std::process::ExitCode;

use agent::cli::{self, Arguments};
use agent::config::Config;
use anyhow::Context;
use clap::Parser;
use tracing_subscriber::EnvFilter;

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
    let filter = EnvFilter::try_from_env("ATELIER_AGENT_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let config = Config::from_env().context("the agent's configuration")?;
    Ok(agent::run(config)?)
}
