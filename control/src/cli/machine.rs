//! What verbs that work on this machine take from it.

use std::{collections::BTreeMap, path::PathBuf};

/// `~/.cache/atelier`, or where such things are kept on this machine.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let kept = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    Some(kept.or_else(home)?.join("atelier"))
}

/// What a credential helper finds its own things by.
pub(super) fn helper_environment() -> BTreeMap<String, String> {
    let known = ["PATH", "HOME", "XDG_RUNTIME_DIR"].into_iter();
    let value = |name: &str| std::env::var_os(name)?.into_string().ok();
    known.filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}
