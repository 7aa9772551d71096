//! `atelier`: the control plane and its client in one program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    control::cli::run(control::cli::Cli::parse())
}
