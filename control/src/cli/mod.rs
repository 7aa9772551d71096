//! The command line: one file a family of verbs, all of them over the server's REST interface.
//!
//! A verb answers on standard output, for people or with `--json` for programs; errors go to standard error. Exit codes:
//! [`error::CliError::code`].

mod audit;
mod base_image;
mod client;
mod config;
mod connect;
mod copy;
pub mod error;
mod events;
mod exec;
mod find;
mod image_args;
mod login;
mod logs;
mod machine;
mod mount;
mod output;
mod people;
mod progress;
mod serve;
mod session;
mod shell;
mod streams;
mod studio;
mod sync;
mod template;
mod transfer;
mod zone;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::{config::Global, error::CliError, output::Output, streams::Input, zone::ZoneVerb};
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
    Connect(connect::ConnectArgs),
    Exec(exec::ExecArgs),
    #[command(subcommand)]
    Action(exec::ActionVerb),
    Shell(shell::ShellArgs),
    Logs(logs::LogsArgs),
    Cp(copy::CopyArgs),
    Sync(sync::SyncArgs),
    #[command(subcommand)]
    Conflicts(sync::ConflictsVerb),
    #[command(subcommand)]
    Mount(mount::MountVerb),
    History(zone::HistoryArgs),
    Trash(zone::TrashArgs),
    Restore(zone::RestoreArgs),
    #[command(subcommand)]
    Zone(zone::ZoneVerb),
    #[command(subcommand)]
    User(people::UserVerb),
    #[command(subcommand)]
    Group(people::GroupVerb),
    #[command(subcommand)]
    Apikey(people::KeyVerb),
    Audit(audit::AuditArgs),
    #[command(subcommand)]
    BaseImage(base_image::BaseImageVerb),
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
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        let screen = out.is_terminal() && err.is_terminal();
        let output = &mut Output { json: cli.global.json, out: &mut out, err: &mut err, screen };
        runtime.block_on(execute(cli, Box::new(std::io::stdin()), output))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CliError::Exited { .. }) {
                fail(&error);
            }
            ExitCode::from(&error)
        }
    }
}

/// A verb, with standard input and output as arguments.
async fn execute(cli: Cli, mut input: Input, output: &mut Output<'_>) -> Result<(), CliError> {
    let global = cli.global;
    match cli.command {
        Command::BaseImage(verb) => base_image::run(verb, output).await,
        Command::Login(args) => login::run(&global, args, &mut *input, output).await,
        Command::Project(verb) => studio::project(&global.client()?, verb, output).await,
        Command::Template(verb) => template::template(&global.client()?, verb, output).await,
        Command::Build(verb) => template::build(&global.client()?, verb, output).await,
        Command::Studio { project, verb } => {
            studio::studio(&global.client()?, project.as_deref(), verb, output).await
        }
        Command::Connect(args) => connect::connect(&global.client()?, args, output).await,
        Command::Exec(args) => exec::exec(&global.client()?, args, input, output).await,
        Command::Action(verb) => exec::action(&global.client()?, verb, output).await,
        Command::Shell(args) => shell::shell(&global.client()?, args, input, output).await,
        Command::Logs(args) => logs::logs(&global.client()?, args, output).await,
        Command::Cp(args) => copy::copy(&global.client()?, args, input, output).await,
        Command::Sync(args) => sync::sync(&global.client()?, args, output).await,
        Command::Conflicts(verb) => sync::conflicts(&global.client()?, verb, output).await,
        Command::Audit(args) => audit::audit(&global.client()?, args, output).await,
        Command::Mount(verb) => mount::mount(&global.client()?, verb, output).await,
        Command::Zone(verb) => zone::zone(&global.client()?, verb, input, output).await,
        // The same, where they are looked for.
        Command::History(args) => {
            zone::zone(&global.client()?, ZoneVerb::History(args), input, output).await
        }
        Command::Trash(args) => {
            zone::zone(&global.client()?, ZoneVerb::Trash(args), input, output).await
        }
        Command::Restore(args) => {
            zone::zone(&global.client()?, ZoneVerb::Restore(args), input, output).await
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
