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
    studio.state = StudioState::Stopped;
    studio.failure = Some(format!("the pod has ended: {reason} ({what})"));
    studio.started_at = None;
    reconciler.settle(&studio).await
}
