//! Writing that a folder went with all that is in it: its pages are dropped, and read for the tally alone.

use super::update::{Update, Updates, Updating, Word};
use crate::{RelPath, entry::Entry};

impl Updating<'_, '_> {
    /// Nothing is remembered of a folder any more, nor of what is below it.
    pub(super) fn drop_tree(&mut self, folder: &RelPath) -> Result<(), redb::Error> {
        for (key, page) in self.take(folder)? {
            self.count(&key, &page, |updating, path, entry| {
                updating.tallier.remove(&mut updating.tally, path, entry);
                updating.void.extend(Entry::digest(entry));
            })?;
        }
        let update = Update { seen: Word::Now(None), agreed: Word::Now(None) };
        self.run(&Updates::from([(folder.clone(), update)]))
    }
}
