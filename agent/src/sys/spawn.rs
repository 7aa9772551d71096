//! How a child process is set up before it becomes the program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use thiserror::Error;

use super::{AsyncPipe, Pty, Size};

/// What to run, and where.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// argv; the first is looked up in `PATH` of `env`.
    pub command: Vec<OsString>,
    /// All of it: nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    pub working_folder: PathBuf,
    /// Higher dies earlier when memory runs out.
    pub oom_score: i32,
}

/// What the child's standard streams lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// `/dev/null` for input, pipes for output.
    Nothing,
    /// Three pipes.
    Pipe,
    /// All three are a terminal of this size, and it controls the session.
    Terminal(Size),
}

/// Our ends of the child's streams.
#[derive(Debug)]
pub(crate) enum Streams {
    Pipes { stdin: Option<AsyncPipe>, stdout: AsyncPipe, stderr: AsyncPipe },
    Terminal { master: AsyncPipe },
}

/// Why a program did not start; for people.
#[derive(Debug, Error)]
pub(crate) enum SpawnError {
    #[error("there is no command to run")]
    Empty,
    #[error("the working folder {} does not exist", folder.display())]
    WorkingFolder { folder: PathBuf },
    #[error("{program:?} can't be started: {source}")]
    Program { program: OsString, source: io::Error },
    #[error("no pipe or terminal for the process: {source}")]
    Streams { source: io::Error },
}

/// A command that is ready to be forked, with our ends of its streams.
pub(super) fn prepare(program: &Program, input: Input) -> Result<(Command, Streams), SpawnError> {
    let name = program.command.first().filter(|name| !name.is_empty()).ok_or(SpawnError::Empty)?;
    if !program.working_folder.is_dir() {
        return Err(SpawnError::WorkingFolder { folder: program.working_folder.clone() });
    }
    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    let mut command = Command::new(name);
    command
        .args(program.command.iter().skip(1))
        .env_clear()
        .envs(&program.env)
        .current_dir(&program.working_folder);
    let streams = attach(&mut command, input).map_err(|source| SpawnError::Streams { source })?;
    let terminal = matches!(input, Input::Terminal(_));
    let parent = rustix::process::getpid();
    let mut score = [0_u8; 12];
    let score_length = write_decimal(program.oom_score, &mut score);
    // SAFETY: the closure runs between fork and exec in a process with one thread. It makes system calls only: no
    // allocation, no lock, no unwinding.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            if terminal {
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            if parent.as_raw_nonzero().get() != 1 {
                // Outside a PID namespace nobody else ends the children of an agent that was killed.
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() != Some(parent) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
            raise_oom_score(score.get(..score_length).unwrap_or_default());
            Ok(())
        });
    }
    Ok((command, streams))
}

fn attach(command: &mut Command, input: Input) -> io::Result<Streams> {
    match input {
        Input::Terminal(size) => {
            let Pty { master, slave } = Pty::open(size)?;
            command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
            Ok(Streams::Terminal { master: AsyncPipe::new(master)? })
        }
        Input::Nothing | Input::Pipe => {
            let stdin = if input == Input::Pipe {
                let (read, write) = pipe()?;
                command.stdin(read);
                Some(AsyncPipe::new(write)?)
            } else {
                command.stdin(Stdio::null());
                None
            };
            let (stdout, write) = pipe()?;
            command.stdout(write);
            let (stderr, write) = pipe()?;
            command.stderr(write);
            Ok(Streams::Pipes {
                stdin,
                stdout: AsyncPipe::new(stdout)?,
                stderr: AsyncPipe::new(stderr)?,
            })
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Best effort: a container may forbid it, and the process runs all the same.
fn raise_oom_score(decimal: &[u8]) {
    use rustix::fs::{Mode, OFlags, open};
    if let Ok(file) =
        open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    {
        rustix::io::write(&file, decimal).ok();
    }
}

fn write_decimal(value: i32, into: &mut [u8; 12]) -> usize {
    let text = value.to_string();
    let length = text.len().min(into.len());
    into.iter_mut().zip(text.as_bytes()).for_each(|(to, from)| *to = *from);
    length
}
