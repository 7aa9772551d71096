//! What has to be done now and then, whether anybody asks for it or not.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::services::Services;

/// How often it is looked after.
const PERIOD: Duration = Duration::from_hours(1);

/// Runs until shut down.
pub async fn run(services: Arc<Services>, shutdown: CancellationToken) {
    let mut period = tokio::time::interval(PERIOD);
    while shutdown.run_until_cancelled(period.tick()).await.is_some() {
        if let Err(error) = services.zones.expire_trash(services.clock.now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the trash can't be emptied");
        }
    }
}
