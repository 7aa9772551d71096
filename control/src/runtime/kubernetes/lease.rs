//! One program at a time acts for an installation: who holds its Lease. A second one by mistake, on a copy of the first one's
//! data, is told so and changes nothing; where the first is gone it takes over when the Lease is over.
//!
//! Times of others' clocks are not compared: a Lease is over when it was not renewed for its time, as seen from here.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{cluster::Cluster, names};
use crate::{
    clock::{Clock as _, SystemClock},
    runtime::RuntimeError,
};

/// How long it holds after it was renewed.
const LIFE: Duration = Duration::from_secs(15);
/// How often it is renewed, and asked for.
const PERIOD: Duration = Duration::from_secs(5);
/// How soon it is tried again where somebody was faster or the cluster is away.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a start or a stop waits to know who holds it: as long as for a cluster that is away.
const PATIENCE: Duration = Duration::from_mins(2);

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holder {
    /// Not known, or not any more: the cluster is away.
    Unknown,
    This,
    Other(String),
}

/// The Lease of an installation, as this program has it.
pub(super) struct Leadership(watch::Receiver<Holder>);

/// How a Lease was last seen, and since when it is so.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Leadership {
    /// Begins to ask for it. `holder` is the same for this program when it is started again, and for no other one.
    pub(super) fn begin(
        cluster: &Cluster,
        installation: &str,
        holder: String,
        tracker: &TaskTracker,
        closed: &CancellationToken,
    ) -> Self {
        let (sender, receiver) = watch::channel(Holder::Unknown);
        let asking = Asking {
            cluster: cluster.clone(),
            name: format!("atelier-{installation}"),
            installation: installation.to_owned(),
            holder,
        };
        let closed = closed.clone();
        tracker.spawn(async move {
            tokio::select! {
                () = asking.run(sender) => (),
                () = closed.cancelled() => (),
            }
        });
        Self(receiver)
    }

    /// Waits until this program may act; an error where another one does. Cancel safe.
    pub(super) async fn held(&self) -> Result<(), RuntimeError> {
        let what = "the cluster does not say whether this program may act";
        let mut holder = self.0.clone();
        let known = holder.wait_for(|holder| *holder != Holder::Unknown);
        match tokio::time::timeout(PATIENCE, known).await {
            Ok(Ok(known)) => match &*known {
                Holder::Other(name) => Err(RuntimeError::Refused {
                    what: "another program acts for this installation",
                    why: format!("{name} holds its Lease"),
                    hint: "stop one of the two".into(),
                }),
                Holder::This | Holder::Unknown => Ok(()),
            },
            Ok(Err(_)) => {
                let source = "it ends".into();
                Err(RuntimeError::Unavailable { what, source })
            }
            Err(elapsed) => Err(RuntimeError::Unavailable { what, source: Box::new(elapsed) }),
        }
    }
}

struct Asking {
    cluster: Cluster,
    name: String,
    installation: String,
    holder: String,
}

impl Asking {
    async fn run(&self, told: watch::Sender<Holder>) {
        let mut seen: Option<Seen> = None;
        let mut renewed = Instant::now();
        loop {
            // Before the request: from then on others count.
            let begun = Instant::now();
            let now = self.once(&mut seen).await;
            let pause = match now {
                Ok(holder) => {
                    if holder == Holder::This {
                        renewed = begun;
                    }
                    if let (Holder::Other(name), true) = (&holder, *told.borrow() == Holder::This) {
                        tracing::error!(name, "another program acts for this installation now");
                    }
                    let pause = if holder == Holder::Unknown { AGAIN } else { PERIOD };
                    told.send_if_modified(|known| {
                        let differs = *known != holder;
                        *known = holder;
                        differs
                    });
                    pause
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the Lease of this installation can't be renewed now"
                    );
                    if renewed.elapsed() > LIFE {
                        told.send_replace(Holder::Unknown);
                    }
                    AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks once; takes or renews the Lease where it may.
    async fn once(&self, seen: &mut Option<Seen>) -> Result<Holder, RuntimeError> {
        let what = "asking who acts for this installation";
        let Some(lease) = self.cluster.get_once::<Lease>(what, &self.name).await? else {
            return self.take(None).await;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let version = lease.metadata.resource_version.clone();
        if seen.as_ref().is_none_or(|seen| seen.version != version) {
            *seen = Some(Seen { version: version.clone(), since: Instant::now() });
        }
        let since = seen.as_ref().map_or_else(Instant::now, |seen| seen.since);
        if holder == self.holder || holder.is_empty() || since.elapsed() > LIFE {
            return self.take(version).await;
        }
        Ok(Holder::Other(holder))
    }

    /// Writes it as ours, if nobody has written it since.
    async fn take(&self, version: Option<String>) -> Result<Holder, RuntimeError> {
        let made = version.is_none();
        let lease = self.lease(version.as_deref());
        let put = self.cluster.put_once::<Lease>("renewing the Lease", &self.name, &lease, made);
        Ok(if put.await? { Holder::This } else { Holder::Unknown })
    }

    fn lease(&self, version: Option<&str>) -> Value {
        let now = SystemClock.now().to_offset(time::UtcOffset::UTC);
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.cluster.namespace,
                "resourceVersion": version,
                "labels": {names::INSTALLATION: self.installation},
            },
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": LIFE.as_secs(),
                "renewTime": micros(now),
            },
        })
    }
}

/// As Kubernetes wants it: with exactly six digits of a second.
fn micros(now: OffsetDateTime) -> String {
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    let text = whole.format(&Rfc3339).unwrap_or_default();
    format!("{}.{:06}Z", text.trim_end_matches('Z'), now.microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_six_digits_of_a_second() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_000_042_000).unwrap();
        assert_eq!(micros(at), "2023-11-14T22:13:20.000042Z");
    }
}
