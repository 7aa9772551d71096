//! Stop: synchronise, end entrypoints, synchronise what they wrote while ending, gone.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{JobError, StudioReconciler, chain};
use crate::{
    app::tasks::Ending,
    domain::{
        agent::AgentPhase,
        studio::{Studio, StudioState},
        task::{StepStatus, TaskKind},
    },
    runtime::PodState,
};

/// Stops the studio, and settles that it is stopped.
pub(super) async fn run(reconciler: &StudioReconciler, mut studio: Studio) -> Result<(), JobError> {
    let tasks = &reconciler.services.tasks;
    let task = match &studio.task {
        Some(id) if tasks.get(id).await?.kind == TaskKind::StopStudio => {
            Some(tasks.resume(id).await)
        }
        _ => None,
    };
    studio.state = StudioState::Stopping;
    reconciler.settle(&studio).await?;
    let outcome = end_pod(reconciler, &studio).await;
    let message = match &outcome {
        Ok(message) => message.clone(),
        Err(error) => chain(error),
    };
    if let Some(task) = &task {
        let status = if outcome.is_ok() { StepStatus::Done } else { StepStatus::Failed };
        task.event("stop", status, &message).await?;
    }
    // Where it failed it is tried again by the period, with the same task.
    outcome?;
    studio.state = StudioState::Stopped;
    studio.started_at = None;
    reconciler.settle(&studio).await?;
    end_task(reconciler, &studio, message).await
}

/// Ends the task that asked for the stop, if there is one.
pub(super) async fn end_task(
    reconciler: &StudioReconciler,
    studio: &Studio,
    message: String,
) -> Result<(), JobError> {
    let tasks = &reconciler.services.tasks;
    if let Some(id) = &studio.task {
        let task = tasks.get(id).await?;
        if task.kind == TaskKind::StopStudio && task.ended_at.is_none() {
            let result = serde_json::json!({"studio": studio.id, "message": message});
            tasks.resume(id).await.end(Ending::Succeeded(result)).await?;
        }
    }
    Ok(())
}

/// Ends the pod with its files brought back where that can be done; answers with what is to be told. Files that could not be
/// brought back stay where the runtime can keep them.
pub(super) async fn end_pod(
    reconciler: &StudioReconciler,
    studio: &Studio,
) -> Result<String, JobError> {
    let PodState::Running(_) = reconciler.runtime.observe_studio(&studio.id).await? else {
        let unsaved = studio.epoch > 0 && was_never_brought_back(reconciler, studio).await;
        reconciler.runtime.remove_studio(&studio.id, Duration::ZERO, unsaved).await?;
        reconciler.agents.forget(&studio.id).await?;
        return Ok("its pod had ended before".into());
    };
    let drained = drain(reconciler, studio).await?;
    let result = reconciler.files.final_result(&studio.id, studio.epoch).await;
    let keep = !drained || result.as_ref().is_none_or(|result| !result.left_behind.is_empty());
    reconciler.runtime.remove_studio(&studio.id, reconciler.limits.grace, keep).await?;
    reconciler.agents.forget(&studio.id).await?;
    Ok(match result {
        Some(result) if result.left_behind.is_empty() && result.kept_both == 0 => {
            "all files are back".into()
        }
        Some(result) if result.left_behind.is_empty() => {
            format!("all files are back; {} conflicts were kept as two files", result.kept_both)
        }
        Some(result) => format!("not brought back: {}", result.left_behind.join(", ")),
        None => "its files could not be brought back; they are kept for the next start".into(),
    })
}

/// Whether the last incarnation ended without its files.
async fn was_never_brought_back(reconciler: &StudioReconciler, studio: &Studio) -> bool {
    let result = reconciler.files.final_result(&studio.id, studio.epoch).await;
    result.is_none_or(|result| !result.left_behind.is_empty())
}

/// Asks the agent to end; `true` when it came to its end by itself.
async fn drain(reconciler: &StudioReconciler, studio: &Studio) -> Result<bool, JobError> {
    let mut view = reconciler.agents.watch(&studio.id);
    let connected = view.wait_for(|view| view.connected && view.epoch == studio.epoch);
    match tokio::time::timeout(reconciler.limits.agent_return, connected).await {
        Ok(Ok(_)) => (),
        // Without the control plane the agent ends by SIGTERM alone, and waits in vain for somebody to take its files.
        Ok(Err(_)) | Err(_) => return Ok(false),
    }
    let grace = reconciler.limits.grace;
    if let Err(error) =
        reconciler.agents.drain(&studio.id, grace, "the studio is stopped", false).await
    {
        tracing::warn!(studio = %studio.id, error = &error as &dyn std::error::Error, "the agent can't be told to end");
        return Ok(false);
    }
    let done = CancellationToken::new();
    let ended = async {
        loop {
            if view.borrow_and_update().phase == AgentPhase::Ended {
                break;
            }
            if !matches!(
                reconciler.runtime.observe_studio(&studio.id).await,
                Ok(PodState::Running(_))
            ) {
                break;
            }
            // Whatever comes first; the loop looks at both.
            drop(tokio::time::timeout(Duration::from_millis(200), view.changed()).await);
        }
        done.cancel();
    };
    Ok(tokio::time::timeout(grace + reconciler.limits.agent_return, ended).await.is_ok()
        && done.is_cancelled())
}
