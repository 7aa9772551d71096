//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::runtime::process::confine::{self, ConfineArgs};

/// Personal coding environments for data teams.
#[derive(Debug, Parser)]
#[command(name = "atelier", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Confines this process and becomes another program. For the process runtime.
    #[command(hide = true)]
    Confine(ConfineArgs),
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Confine(args) => fail(&confine::run(&args)),
    }
}

/// Says why it did not work, with every cause.
#[expect(clippy::print_stderr, reason = "this is the command line")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("atelier: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
