//! The real engine on a mount.

use std::sync::Arc;

use sync::{CancelFlag, Context, Exclusions, StudioSide};

use super::{Link, Target};

/// Serves one run. Blocking; the error is for people.
pub(crate) fn serve(target: &Target, link: &mut Link, cancel: &CancelFlag) -> Result<(), String> {
    let exclusions = Exclusions::parse(target.exclusions.iter().map(String::as_str))
        .map_err(|error| format!("the mount's exclusions: {error}"))?;
    let side = StudioSide {
        root: target.root.clone(),
        state_dir: target.state_dir.clone(),
        identity: target.identity.clone(),
        one_way: target.one_way,
        exclusions,
    };
    let context = Context {
        cancel: cancel.clone(),
        watch: target.watched.as_ref().map(|watched| Arc::clone(&watched.watch)),
        ..Context::system()
    };
    sync::serve(&side, link, &context).map_err(|error| error.chain())
}
