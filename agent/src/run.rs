//! The agent's life, from its configuration to its exit code.

use std::io;
use std::sync::Arc;

use nix::sys::signal::Signal;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;
use crate::config::Config;
use crate::connection::{Dialer, TlsError, run_bulk, run_control};
use crate::drain::{self, DrainWanted};
use crate::{local, sys};

/// What keeps the agent from beginning.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("the event loop can't be set up")]
    Runtime { source: io::Error },
    #[error("signals can't be received")]
    Signals { source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What is meant for the programs, not for process 1.
const FORWARDED: &[Signal] = &[Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// Blocking work (files, synchronisation) that may run at once.
const BLOCKING_THREADS: usize = 8;

/// Runs until the end has been asked for and has come. Returns the code to exit with.
pub fn run(config: Config) -> Result<u8, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|source| RunError::Runtime { source })?;
    let code = runtime.block_on(live(config));
    // A blocking task may hang in a file system; nothing waits for it.
    runtime.shutdown_background();
    code
}

async fn live(config: Config) -> Result<u8, RunError> {
    let dialer = Dialer::new(&config)?;
    sys::become_subreaper();
    sys::prefer_to_live();
    let agent = Agent::new(config);
    let listen = |kind| signal(kind).map_err(|source| RunError::Signals { source });
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let wisher = agent.clone();
    agent.tasks.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // Later ones change nothing.
            let reason = "asked to end by a signal".to_owned();
            wisher.drain.want(DrainWanted { grace: None, reason, without_sync: false });
        }
    });
    let looking = local::serve(agent.clone());
    agent.tasks.spawn(async move {
        let Err(error) = looking.await;
        tracing::warn!(%error, "commands inside the container will find no agent");
    });
    for forwarded in FORWARDED {
        let mut received = listen(SignalKind::from_raw(*forwarded as i32))?;
        let supervisor = agent.supervisor.clone();
        agent.tasks.spawn(async move {
            while received.recv().await.is_some() {
                supervisor.signal_all(*forwarded);
            }
        });
    }
    let reaping = agent.reaper.clone().run();
    agent.tasks.spawn(run_control(agent.clone(), dialer.clone()));
    agent.tasks.spawn(run_bulk(agent.clone(), dialer));
    tokio::select! {
        code = end(&agent) => Ok(code),
        reaped = reaping => match reaped {
            Err(source) => Err(RunError::Signals { source }),
            Ok(never) => match never {},
        },
    }
}

async fn end(agent: &Arc<Agent>) -> u8 {
    let wanted = agent.drain.wanted().await;
    drain::run(agent, wanted).await
}
