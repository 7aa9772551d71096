//! Confines this process by Landlock and becomes another program: `atelier confine … -- PROGRAM`.
//!
//! A process can confine only itself, and between fork and exec hardly anything may be done; so a program of its own does
//! it. What is not named is neither read nor written: other studios, zones, the store.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use crate::process_identity::ProcessIdentity;

/// What every program needs to run at all.
const SYSTEM_READ_ONLY: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/proc", "/sys"];
/// Devices that are nobody's.
const SYSTEM_READ_WRITE: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
];

/// Arguments of the hidden command.
#[derive(Debug, clap::Args)]
pub struct ConfineArgs {
    /// Where the program's identity is written before it starts.
    #[arg(long)]
    pid_file: PathBuf,
    /// Folder that the program may read and write.
    #[arg(long)]
    read_write: Vec<PathBuf>,
    /// Folder or file that the program may read and execute.
    #[arg(long)]
    read_only: Vec<PathBuf>,
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("the process can't be confined")]
    Landlock(#[from] landlock::RulesetError),
    #[error("{what}")]
    Io { what: &'static str, source: io::Error },
}

/// Confines this process and becomes the program; returns only when that failed.
pub fn run(args: &ConfineArgs) -> ConfineError {
    let failed = |what| move |source| ConfineError::Io { what, source };
    match restrict(args) {
        Ok(RulesetStatus::FullyEnforced) => log_line("confined by Landlock"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            log_line("confined by Landlock as far as this kernel can");
        }
        Ok(RulesetStatus::NotEnforced) => log_line("not confined: this kernel has no Landlock"),
        Err(error) => return error,
    }
    let written = ProcessIdentity::of(std::process::id().cast_signed()).and_then(|identity| {
        let fresh = args.pid_file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(&identity)?)?;
        std::fs::rename(&fresh, &args.pid_file)
    });
    if let Err(error) = written.map_err(failed("the process can't be written down")) {
        return error;
    }
    let (program, arguments) = args.program.split_first().expect("clap requires a program");
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing is spawned: this process becomes the program"
    )]
    let error = std::process::Command::new(program).args(arguments).exec();
    failed("the program can't be executed")(error)
}

/// Into the studio's agent log, which is this process's standard error.
#[expect(clippy::print_stderr, reason = "standard error is the agent's log here")]
fn log_line(text: &str) {
    eprintln!("{text}");
}

fn restrict(args: &ConfineArgs) -> Result<RulesetStatus, ConfineError> {
    let abi = ABI::V6;
    let (all, read) = (AccessFs::from_all(abi), AccessFs::from_read(abi));
    let exists = |path: &&Path| path.exists();
    let system = |paths: &'static [&'static str]| paths.iter().map(Path::new).filter(exists);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(system(&SYSTEM_READ_ONLY), read))?
        .add_rules(path_beneath_rules(system(&SYSTEM_READ_WRITE), all))?
        .add_rules(path_beneath_rules(args.read_only.iter().filter(|path| path.exists()), read))?
        .add_rules(path_beneath_rules(&args.read_write, all))?
        .restrict_self()?;
    Ok(status.ruleset)
}
