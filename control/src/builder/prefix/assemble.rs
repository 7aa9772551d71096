//! An image out of nodes: a folder of links, with the plan's files between them.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
};

use images::plan::{BuildPlan, Work};

use super::layout::Layout;

/// Makes the image, unless it is there with these very nodes; answers with its reference.
pub(super) fn image(
    layout: &Layout,
    plan: &BuildPlan,
    folders: &BTreeMap<String, PathBuf>,
) -> io::Result<String> {
    if let Some(reference) = layout.image_of(&plan.digest) {
        let present = layout.image(&reference);
        let same = |(name, node): (&String, &PathBuf)| {
            present.join(name).canonicalize().is_ok_and(|folder| folder == *node)
        };
        if folders.iter().all(same) {
            return Ok(reference);
        }
    }
    let (reference, image) = layout.new_image(&plan.digest)?;
    for (name, node) in folders {
        symlink(node, image.join(name))?;
    }
    for node in &plan.nodes {
        let Work::Files(files) = &node.work else { continue };
        for file in files {
            let path = image.join(&file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, &file.content.0)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    layout.commit_image(&plan.digest, &image)?;
    Ok(reference)
}
