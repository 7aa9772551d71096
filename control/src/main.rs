//! `atelier`: the control plane and its client in one program.

use std::process::ExitCode;

use clap::Parser as _;

/// Gives back what one synchronisation of many files needed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    control::cli::run(control::cli::Cli::parse())
}
