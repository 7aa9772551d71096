//! The one place where the control plane starts processes.

use std::{ffi::OsStr, process::Stdio};

use tokio::process::Command;

/// A command in a process group of its own, with an empty environment and no standard input: what it needs is given to
/// it, what it leaves behind can be signalled as one.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).process_group(0);
    command
}
