//! A running studio whose pod is gone: killed, out of memory, the machine started again.

use super::{JobError, StudioReconciler, stop};
use crate::{
    domain::studio::{Studio, StudioState},
    runtime::PodState,
};

/// Says why, keeps its files for the next start, and settles that it is stopped.
pub(super) async fn settle(
    reconciler: &StudioReconciler,
    mut studio: Studio,
) -> Result<(), JobError> {
    let reason = match reconciler.runtime.observe_studio(&studio.id).await? {
        PodState::Running(_) => return Ok(()),
        PodState::Ended { reason, .. } => reason,
        PodState::Absent => "it was removed by somebody else".into(),
    };
    reconciler.services.store.drop_wish(&studio.id, studio.task.as_ref()).await?;
    let what = stop::end_pod(reconciler, &studio).await?;
    let kept = kept(reconciler, &studio).await;
    studio.state = StudioState::Stopped;
    studio.failure = Some(format!("the pod has ended: {reason} ({what}){kept}"));
    studio.started_at = None;
    reconciler.settle(&studio).await
}

/// What is told of its shadow copies. They are there or not, whatever can be said of them now.
async fn kept(reconciler: &StudioReconciler, studio: &Studio) -> String {
    if reconciler.runtime.keeps_files() {
        return String::new();
    }
    match reconciler.files.shadowed(studio).await {
        Ok(0) => String::new(),
        Ok(count) => format!("; {count} files that were not synchronised come with the next start"),
        Err(error) => {
            tracing::warn!(studio = %studio.id, %error, "its shadow copies can't be looked at");
            String::new()
        }
    }
}
