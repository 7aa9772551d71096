//! `atelier-agent`: see the crate's documentation.

use std::process::ExitCode;

use anyhow::Context;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match serve() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("atelier-agent: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn serve() -> anyhow::Result<u8> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("ATELIER_AGENT_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let config = agent::config::Config::from_env().context("the agent's configuration")?;
    Ok(agent::run(config)?)
}
