//! The task that owns one entrypoint.
//!
//! ```text
//!        ┌──────────── back-off ◀── policy ◀──┐
//!        ▼                                    │
//! port free? ─▶ spawn ─▶ STARTED ─▶ LISTENING ─▶ READY ⇄ DEGRADED ─▶ ended ─▶ EXITED / STOPPED
//! ```

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use proto::agent::v1::{Channel, Entrypoint, Exit, ReadinessLevel, exit::How};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::RestartBackoff;
use super::outcome::{describe, restarts};
use super::probe::{Finding, Prober};
use super::state::Reported;
use crate::launch::{Launch, Plan};
use crate::output::{Journal, pump};
use crate::sys::{Ended, Group, Input, Program, Reaper, Spawned, Streams, port_holder};

/// Above the agent's own and the default: what a studio runs dies first when memory runs out.
const OOM_SCORE: i32 = 500;
const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);
/// A probe may fail this often before a ready entrypoint counts as degraded.
const FORGIVEN_FAILURES: u32 = 2;
/// How often a dying group is looked at; `/proc` has no event for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the supervisor wants; the answer comes when it is so.
#[derive(Debug)]
pub(super) enum Command {
    Start(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    Restart(oneshot::Sender<()>),
    /// For the process group, if there is one.
    Signal(Signal),
}

/// Everything the task needs.
pub(super) struct Runner {
    pub(super) entrypoint: Entrypoint,
    /// Where the plan of the next start is.
    pub(super) launch: Launch,
    pub(super) plan: Arc<Plan>,
    pub(super) reaper: Reaper,
    pub(super) journal: Arc<Journal>,
    pub(super) reported: Reported,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// What comes after a process, or after the attempt at one.
enum Next {
    /// Start again after this time.
    After(Duration),
    /// Wait for a command.
    Rest,
    /// The supervisor let the handle go.
    Gone,
}

/// What a command that ended the process wants next, and whom to tell.
type Commanded = (Next, Option<oneshot::Sender<()>>);

impl Runner {
    /// Runs until the handle is dropped; then the process is stopped.
    pub(super) async fn run(mut self) {
        let mut backoff = RestartBackoff::default();
        let mut next = Next::After(Duration::ZERO);
        loop {
            match next {
                Next::Gone => return,
                Next::Rest => match self.commands.recv().await {
                    None => return,
                    Some(Command::Signal(_)) => next = Next::Rest,
                    Some(Command::Stop(done)) => {
                        self.reported
                            .change(ReadinessLevel::Stopped, "stopped by request".to_owned());
                        done.send(()).ok();
                        next = Next::Rest;
                    }
                    Some(Command::Start(done) | Command::Restart(done)) => {
                        done.send(()).ok();
                        backoff.reset();
                        next = Next::After(Duration::ZERO);
                    }
                },
                Next::After(wait) => {
                    next = tokio::select! {
                        () = sleep(wait) => self.start(&mut backoff).await,
                        command = self.commands.recv() => match command {
                            None => Next::Gone,
                            // There is nobody to hear it.
                            Some(Command::Signal(_)) => Next::After(wait),
                            Some(Command::Stop(done)) => {
                                self.reported.change(ReadinessLevel::Stopped, "stopped by request".to_owned());
                                done.send(()).ok();
                                Next::Rest
                            }
                            Some(Command::Start(done) | Command::Restart(done)) => {
                                done.send(()).ok();
                                backoff.reset();
                                Next::After(Duration::ZERO)
                            }
                        },
                    };
                }
            }
        }
    }

    /// One life of the process.
    async fn start(&mut self, backoff: &mut RestartBackoff) -> Next {
        if self.launch.is_closed() {
            self.reported.change(ReadinessLevel::Stopped, "the studio ends".to_owned());
            return Next::Rest;
        }
        if let Some(plan) = self.launch.plan() {
            self.plan = plan;
        }
        if let Some(reason) = self.port_in_use() {
            self.reported.change(ReadinessLevel::BackingOff, reason);
            return Next::After(backoff.next(Duration::ZERO));
        }
        let began = Instant::now();
        let (exit, next) = match self.reaper.spawn(&self.program(), Input::Nothing) {
            Err(error) => {
                let how = Some(How::NotStarted(error.to_string()));
                (Exit { how, ended_at_ms: crate::clock::wall_ms(), ..Exit::default() }, None)
            }
            Ok(spawned) => self.accompany(spawned).await,
        };
        let reason = match self.entrypoint.port {
            0 => describe(&exit),
            // It may have lost the race for its port, and said so only in its log.
            _ => match self.port_in_use() {
                Some(holder) => format!("{}; {holder}", describe(&exit)),
                None => describe(&exit),
            },
        };
        let again = restarts(self.entrypoint.restart(), &exit);
        self.reported.ended(exit);
        match next {
            Some((next, done)) => {
                if matches!(next, Next::After(_)) {
                    backoff.reset();
                    self.reported.count_restart();
                }
                self.reported.change(ReadinessLevel::Stopped, "stopped by request".to_owned());
                if let Some(done) = done {
                    done.send(()).ok();
                }
                next
            }
            None if again => {
                let wait = backoff.next(began.elapsed());
                let reason = format!("{reason}; next start in {:.1} s", wait.as_secs_f64());
                self.reported.count_restart();
                self.reported.change(ReadinessLevel::BackingOff, reason);
                Next::After(wait)
            }
            None => {
                self.reported.change(ReadinessLevel::Exited, reason);
                Next::Rest
            }
        }
    }

    fn program(&self) -> Program {
        let mut env = self.plan.env.clone();
        if self.entrypoint.port != 0 {
            env.set("ATELIER_PORT", &self.entrypoint.port.to_string());
        }
        env.extend(&self.entrypoint.env);
        Program {
            command: self.entrypoint.command.iter().map(|word| env.expand(word).into()).collect(),
            env: env.into_map(),
            working_folder: self.plan.folder(&self.entrypoint.working_folder),
            oom_score: OOM_SCORE,
        }
    }

    /// Who holds the port that the entrypoint needs.
    fn port_in_use(&self) -> Option<String> {
        let port = u16::try_from(self.entrypoint.port).ok().filter(|port| *port != 0)?;
        let address = SocketAddr::new(self.plan.listen_address, port);
        let error = TcpListener::bind(address).err()?;
        if error.kind() != std::io::ErrorKind::AddrInUse {
            // Some may bind what we may not; its own error will tell.
            return None;
        }
        let holder =
            port_holder(address).map_or_else(|| "somebody".to_owned(), |holder| holder.to_string());
        Some(format!("port {port} is already in use by {holder}"))
    }

    /// Watches a process until it has ended. `Some` when a command ended it.
    async fn accompany(&mut self, spawned: Spawned) -> (Exit, Option<Commanded>) {
        let Spawned { group, streams, mut ended } = spawned;
        self.reported.started(group.leader());
        let restart = self.reported.restarts();
        let (tell_ended, told) = watch::channel(false);
        let mut pumps = JoinSet::new();
        for (pipe, channel) in outputs(streams) {
            pumps.spawn(pump(Arc::new(pipe), channel, restart, self.journal.clone(), told.clone()));
        }
        let mut prober = Prober::new(&self.entrypoint, &self.plan);
        if prober.is_none() {
            self.reported.change(ReadinessLevel::Ready, "runs; it has no port to ask".to_owned());
        }
        let mut failures = 0;
        let (how, next) = loop {
            let probe = attempt(prober.as_mut(), self.reported.level());
            let finding = tokio::select! {
                how = &mut ended => break (how.ok(), None),
                command = self.commands.recv() => match command {
                    Some(Command::Start(done)) => {
                        done.send(()).ok();
                        continue;
                    }
                    Some(Command::Signal(signal)) => {
                        group.signal(signal);
                        continue;
                    }
                    command => break self.end_by(command, &group, &mut ended).await,
                },
                finding = probe => finding,
            };
            self.judge(finding, &mut failures);
        };
        let ended_at_ms = crate::clock::wall_ms();
        tell_ended.send_replace(true);
        // What the process leaves behind in its session would hold the port against the next start.
        end_group(&group, Duration::from_secs(2)).await;
        let mut complete = true;
        while let Some(joined) = pumps.join_next().await {
            complete &= joined.unwrap_or(false);
        }
        let how = how.map(|ended| match ended {
            Ended::Code(code) => How::Code(code),
            Ended::Signal(signal) => How::Signal(signal),
        });
        (
            Exit {
                how,
                pipes_left_open: !complete,
                ended_at_ms,
                cancelled: next.is_some(),
                ..Exit::default()
            },
            next,
        )
    }

    /// Stops the process as a command (or the end of commands) wants.
    async fn end_by(
        &mut self,
        command: Option<Command>,
        group: &Group,
        ended: &mut oneshot::Receiver<Ended>,
    ) -> (Option<Ended>, Option<Commanded>) {
        let grace = match self.entrypoint.stop_grace_ms {
            0 => DEFAULT_STOP_GRACE,
            ms => Duration::from_millis(u64::from(ms)),
        };
        // One TERM to the whole group, once: many servers take a second one for impatience.
        group.signal(Signal::SIGTERM);
        let how = if let Ok(how) = timeout(grace, &mut *ended).await {
            how
        } else {
            group.signal_session(Signal::SIGKILL);
            ended.await
        };
        let (done, next) = match command {
            Some(Command::Restart(done)) => (Some(done), Next::After(Duration::ZERO)),
            Some(Command::Stop(done) | Command::Start(done)) => (Some(done), Next::Rest),
            // A signal ends nothing here: the caller passes it on.
            Some(Command::Signal(_)) | None => (None, Next::Gone),
        };
        (how.ok(), Some((next, done)))
    }

    fn judge(&mut self, finding: Finding, failures: &mut u32) {
        let was_ready =
            matches!(self.reported.level(), ReadinessLevel::Ready | ReadinessLevel::Degraded);
        match finding {
            Finding::Ready => {
                *failures = 0;
                self.reported.change(ReadinessLevel::Ready, String::new());
            }
            Finding::Listening { reason } | Finding::Nothing { reason } if was_ready => {
                *failures += 1;
                if *failures > FORGIVEN_FAILURES {
                    self.reported.change(ReadinessLevel::Degraded, reason);
                }
            }
            Finding::Listening { reason } => {
                self.reported.change(ReadinessLevel::Listening, reason);
            }
            Finding::Nothing { reason } => self.reported.change(ReadinessLevel::Started, reason),
        }
    }
}

async fn attempt(prober: Option<&mut Prober>, level: ReadinessLevel) -> Finding {
    match prober {
        Some(prober) => {
            sleep(prober.pause(level == ReadinessLevel::Ready)).await;
            prober.attempt().await
        }
        None => std::future::pending().await,
    }
}

async fn end_group(group: &Group, grace: Duration) {
    let deadline = Instant::now() + grace;
    if group.alive() {
        group.signal_session(Signal::SIGTERM);
    }
    while group.alive() {
        if Instant::now() >= deadline {
            group.signal_session(Signal::SIGKILL);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn outputs(streams: Streams) -> Vec<(crate::sys::AsyncPipe, Channel)> {
    match streams {
        Streams::Pipes { stdin: _, stdout, stderr } => {
            vec![(stdout, Channel::Stdout), (stderr, Channel::Stderr)]
        }
        Streams::Terminal { master } => vec![(master, Channel::Pty)],
    }
}
