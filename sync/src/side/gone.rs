//! What the last look found to be gone as a whole, and what is known of a folder that is to go.

use super::Side;
use crate::{
    RelPath,
    error::Error,
    gone::GoneTree,
    index::{Difference, Scanned},
    state::Remembered,
};

impl Side {
    /// A folder, with what was agreed of it.
    pub(crate) fn agreed_tree(&self, folder: &RelPath) -> Result<GoneTree, Error> {
        let mut entries = Vec::new();
        self.remembered_tree(folder, |path, what| {
            entries.extend(what.agreed.map(|entry| (path, entry)));
        })?;
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(GoneTree { path: folder.clone(), entries })
    }

    /// How many entries [`Self::agreed_tree`] has.
    pub(super) fn agreed_count(&self, folder: &RelPath) -> Result<u64, Error> {
        let mut count = 0;
        self.remembered_tree(folder, |_, what| count += u64::from(what.agreed.is_some()))?;
        Ok(count)
    }

    /// What the last look saw below a folder that is there; all of it is as it was agreed.
    pub(crate) fn seen_tree(&self, folder: &RelPath) -> Result<Vec<(RelPath, Scanned)>, Error> {
        let mut seen = Vec::new();
        self.memory.below(folder, |path, what| {
            seen.extend(what.seen.map(|known| (path, Scanned::from(known))));
            Ok(())
        })?;
        Ok(seen)
    }

    /// As if the last look had not found that these are gone as a whole, but of each path in them that it is. It is not remembered:
    /// the next look finds it again.
    pub(crate) fn spell_out_gone(&mut self, folders: &[RelPath]) -> Result<(), Error> {
        let mut differences = Vec::new();
        for folder in folders {
            self.remembered_tree(folder, |path, what| {
                let difference = |agreed| Difference { now: None, agreed: Some(agreed) };
                differences.extend(what.agreed.map(|agreed| (path, difference(agreed))));
            })?;
            self.seen.gone.remove(folder);
        }
        self.seen.differences.extend(differences);
        Ok(())
    }

    fn remembered_tree(
        &self,
        folder: &RelPath,
        mut visit: impl FnMut(RelPath, Remembered),
    ) -> Result<(), Error> {
        visit(folder.clone(), self.memory.get(folder)?);
        self.memory.below(folder, |path, what| {
            visit(path, what);
            Ok(())
        })
    }
}
