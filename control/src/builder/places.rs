//! Where things are in every image.

/// The agent. Not below the studio prefix, where blocks have their folders.
pub(crate) const AGENT_PATH: &str = "opt/atelier/agent";
/// The studio prefix.
pub(crate) const STUDIO_PREFIX: &str = "opt/studio";
/// Who a container is, unless the cluster says otherwise: not root, and in root's group, as every user of `OpenShift` is.
pub(crate) const USER: &str = "1000:0";
