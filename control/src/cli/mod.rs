//! The command line: one file a family of verbs, all of them over the server's REST interface.
//!
//! A verb answers on standard output, for people or with `--json` for programs; errors go to standard error. Exit codes:
//! [`error::CliError::code`].

mod client;
mod config;
pub mod error;
mod find;
mod login;
mod output;
mod people;
mod serve;
mod studio;
mod template;

use std::{
    io::{Read, Write},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::{config::Global, error::CliError, output::Output};
use crate::runtime::process::confine::{self, ConfineArgs};

/// Personal coding environments for data teams.
#[derive(Debug, Parser)]
#[command(name = "atelier", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a control plane for this machine, with a sample to begin with.
    Up(serve::UpArgs),
    /// Runs a control plane.
    Serve(serve::ServeArgs),
    Login(login::LoginArgs),
    #[command(subcommand)]
    Project(studio::ProjectVerb),
    #[command(subcommand)]
    Template(template::TemplateVerb),
    #[command(subcommand)]
    Build(template::BuildVerb),
    /// Works with studios.
    Studio {
        /// Key of the project.
        #[arg(short, long, global = true)]
        project: Option<String>,
        #[command(subcommand)]
        verb: studio::StudioVerb,
    },
    #[command(subcommand)]
    User(people::UserVerb),
    #[command(subcommand)]
    Group(people::GroupVerb),
    #[command(subcommand)]
    Apikey(people::KeyVerb),
    /// Writes completions for a shell.
    Completions {
        shell: clap_complete::Shell,
    },
    /// Confines this process and becomes another program. For the process runtime.
    #[command(hide = true)]
    Confine(ConfineArgs),
}

/// Runs what was asked for.
pub fn run(cli: Cli) -> ExitCode {
    if let Command::Confine(args) = &cli.command {
        fail(&confine::run(args));
        return ExitCode::FAILURE;
    }
    if let Some(done) = serve::intercept(&cli) {
        return done;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(CliError::io("can't begin")).and_then(|runtime| {
        runtime.block_on(execute(cli, &mut std::io::stdin(), &mut std::io::stdout()))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::from(&error)
        }
    }
}

/// A verb, with standard input and output as arguments.
async fn execute(
    cli: Cli,
    input: &mut (dyn Read + Send),
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let global = cli.global;
    let output = &mut Output { json: global.json, out };
    match cli.command {
        Command::Login(args) => login::run(&global, args, input, output).await,
        Command::Project(verb) => studio::project(&global.client()?, verb, output).await,
        Command::Template(verb) => template::template(&global.client()?, verb, output).await,
        Command::Build(verb) => template::build(&global.client()?, verb, output).await,
        Command::Studio { project, verb } => {
            studio::studio(&global.client()?, project.as_deref(), verb, output).await
        }
        Command::User(verb) => people::user(&global.client()?, verb, output).await,
        Command::Group(verb) => people::group(&global.client()?, verb, output).await,
        Command::Apikey(verb) => people::key(&global.client()?, verb, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "atelier", &mut script);
            output.bytes(&script)
        }
        Command::Confine(_) | Command::Up(_) | Command::Serve(_) => {
            unreachable!("run() has taken it")
        }
    }
}

/// Says why it did not work, with every cause.
#[expect(clippy::print_stderr, reason = "this is the command line")]
fn fail(error: &dyn std::error::Error) {
    eprint!("atelier: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
}

#[cfg(test)]
mod tests;
