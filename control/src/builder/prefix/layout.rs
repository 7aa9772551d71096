//! Where nodes and images lie, and when they are whole.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use images::plan::NodeKey;

/// Folders below the builder's root.
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        for folder in ["nodes", "images", "pip-cache", "running", "tmp"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root: root.canonicalize()? })
    }

    /// The whole folder of a node.
    pub(super) fn node(&self, key: &NodeKey) -> Option<PathBuf> {
        self.root.join("nodes").join(&key.0).canonicalize().ok()
    }

    /// A new, empty folder for a node.
    pub(super) fn new_node(&self, key: &NodeKey) -> io::Result<PathBuf> {
        let folder = self.root.join("nodes").join(format!("{}-{}", key.0, random()));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// From now on this folder is the node. What was written reaches the disk first.
    pub(super) fn commit_node(&self, key: &NodeKey, folder: &Path) -> io::Result<()> {
        self.commit(folder, &self.root.join("nodes").join(&key.0))
    }

    fn commit(&self, folder: &Path, link: &Path) -> io::Result<()> {
        rustix::fs::syncfs(fs::File::open(folder)?)?;
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let fresh = self.root.join("tmp").join(random());
        symlink(name, &fresh)?;
        fs::rename(&fresh, link)?;
        fs::File::open(link.parent().unwrap_or(&self.root))?.sync_all()
    }

    pub(super) fn image(&self, reference: &str) -> PathBuf {
        self.root.join("images").join(reference)
    }

    /// The whole image of a digest: its reference.
    pub(super) fn image_of(&self, digest: &str) -> Option<String> {
        let target = fs::read_link(self.root.join("images").join(digest)).ok()?;
        target.to_str().map(ToOwned::to_owned)
    }

    pub(super) fn new_image(&self, digest: &str) -> io::Result<(String, PathBuf)> {
        let reference = format!("{digest}-{}", random());
        let folder = self.image(&reference);
        fs::create_dir(&folder)?;
        Ok((reference, folder))
    }

    pub(super) fn commit_image(&self, digest: &str, folder: &Path) -> io::Result<()> {
        self.commit(folder, &self.root.join("images").join(digest))
    }

    /// Whether the image and all nodes that it links to are there.
    pub(super) fn is_whole_image(&self, reference: &str) -> bool {
        fs::read_dir(self.image(reference)).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| entry.path().exists()))
        })
    }

    pub(super) fn pip_cache(&self) -> PathBuf {
        self.root.join("pip-cache")
    }

    /// Notes of scripts that run now.
    pub(super) fn running(&self) -> PathBuf {
        self.root.join("running")
    }

    /// A new, empty folder that its user removes.
    pub(super) fn scratch(&self) -> io::Result<PathBuf> {
        let folder = self.root.join("tmp").join(random());
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Removes images that are not kept, then the nodes that no image links to.
    pub(super) fn sweep(&self, keep: &BTreeSet<String>) -> io::Result<()> {
        let images = self.root.join("images");
        let mut nodes = BTreeSet::new();
        for entry in fs::read_dir(&images)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_symlink() {
                let target = fs::read_link(entry.path())?;
                if !target.to_str().is_some_and(|target| keep.contains(target)) {
                    fs::remove_file(entry.path())?;
                }
            } else if keep.contains(&name) {
                for link in fs::read_dir(entry.path())? {
                    nodes.extend(link?.path().canonicalize());
                }
            } else {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for entry in fs::read_dir(self.root.join("nodes"))? {
            let entry = entry?;
            let kept = entry.path().canonicalize().is_ok_and(|folder| nodes.contains(&folder));
            if !kept && entry.file_type()?.is_symlink() {
                fs::remove_file(entry.path())?;
            } else if !kept {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn random() -> String {
    data_encoding::BASE32_NOPAD.encode(&rand::random::<[u8; 5]>()).to_lowercase()
}
