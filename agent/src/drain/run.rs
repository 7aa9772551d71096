//! The steps of the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use proto::agent::v1::{Phase, event::What, exit::How, sync_wanted::Reason};
use tokio::time::{Instant, sleep, timeout_at};

use super::{DrainWanted, certificate};
use crate::agent::Agent;

const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// For sessions and actions, from TERM to KILL.
const SESSION_GRACE: Duration = Duration::from_secs(5);
/// For orphans, from TERM to KILL.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);
/// How long the control plane may take to read the last event.
const FAREWELL: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends everything. Returns the code to exit with.
pub(crate) async fn run(agent: &Arc<Agent>, wanted: DrainWanted) -> u8 {
    tracing::info!(reason = %wanted.reason, "the studio ends");
    let budget = Budget::new(agent, &wanted);
    let had_started = agent.launch.has_started();
    agent.launch.close();
    agent.sessions.close();
    agent.events.push(What::Phase(Phase::Draining.into()));
    if had_started {
        synchronise(agent, Reason::DrainBeforeStop, budget.sync_before).await;
    }
    // Seen before entrypoints are stopped: what they answer to our TERM is not their own result.
    let main_exit = agent.supervisor.main_exit();
    let sessions = agent.sessions.list();
    join_all(
        sessions.iter().map(|session| session.cancel(SESSION_GRACE.min(budget.session_grace))),
    )
    .await;
    if timeout_at(budget.stopped, agent.supervisor.stop_all()).await.is_err() {
        tracing::warn!("entrypoints did not end within the grace");
    }
    end_orphans(agent, budget.stopped).await;
    if had_started {
        synchronise(agent, Reason::DrainAfterStop, budget.end).await;
    }
    certificate::write(agent, &wanted.reason);
    agent.events.push(What::Phase(Phase::Ended.into()));
    farewell(agent).await;
    match main_exit.and_then(|exit| exit.how) {
        Some(How::Code(code)) => u8::try_from(code).unwrap_or(u8::MAX),
        Some(How::Signal(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        Some(How::NotStarted(_)) => 127,
        None => 0,
    }
}

/// The grace, cut so that a control plane that is away can't take the time that entrypoints need to end.
struct Budget {
    sync_before: Instant,
    session_grace: Duration,
    stopped: Instant,
    end: Instant,
}

impl Budget {
    fn new(agent: &Agent, wanted: &DrainWanted) -> Self {
        let of_manifest = agent
            .launch
            .plan()
            .map(|plan| plan.manifest.drain_grace_ms)
            .filter(|ms| *ms != 0)
            .map(|ms| Duration::from_millis(u64::from(ms)));
        let grace = wanted.grace.or(of_manifest).unwrap_or(DEFAULT_GRACE);
        let now = Instant::now();
        Self {
            sync_before: now + grace / 3,
            session_grace: grace / 6,
            stopped: now + grace * 2 / 3,
            end: now + grace,
        }
    }
}

/// Asks the control plane, through however many reconnections, until it has answered or the time is over.
async fn synchronise(agent: &Agent, reason: Reason, deadline: Instant) {
    let asked = timeout_at(deadline, agent.sync_requests.ask(reason));
    tokio::select! {
        outcome = asked => match outcome {
            Ok(outcome) if outcome.ok => {}
            Ok(outcome) => agent.events.notice(format!("files were not synchronised: {}", outcome.message)),
            Err(_) => agent.events.notice("files were not synchronised: nobody answered in time".to_owned()),
        },
        () = agent.drain.without_sync() => {}
    }
}

/// TERM to what is left, then KILL, until no child exists. KILL leaves only processes that the kernel holds.
async fn end_orphans(agent: &Agent, stopped: Instant) {
    let patience = Instant::now() + ORPHAN_GRACE;
    let deadline = stopped.max(patience) + ORPHAN_GRACE;
    crate::sys::signal_children(Signal::SIGTERM);
    let childless = async {
        while agent.reaper.reap() {
            if Instant::now() >= patience {
                crate::sys::signal_children(Signal::SIGKILL);
            }
            sleep(LOOK_EVERY).await;
        }
    };
    if timeout_at(deadline, childless).await.is_err() {
        tracing::error!("processes are left that can't be killed");
    }
}

/// Waits until a watcher has been given the last event, if there is one.
async fn farewell(agent: &Agent) {
    let last = agent.events.last_seq();
    let mut delivered = agent.events.delivered();
    let told = async {
        if delivered.wait_for(|seq| *seq >= last).await.is_ok() {
            // Given to the connection, which still has to write it.
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(FAREWELL, told).await.ok();
}
