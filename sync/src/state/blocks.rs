//! Block lists by the content they belong to.

use redb::{
    ReadableDatabase, ReadableTable, ReadableTableMetadata as _, TableDefinition, WriteTransaction,
};

use super::{State, broken};
use crate::{delta::BlockList, entry::Digest, error::Error};

pub(super) const BLOCKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("blocks");

impl State {
    /// `None`: not known; then there is no delta against this content.
    pub(crate) fn blocks(&self, content: Digest) -> Result<Option<BlockList>, Error> {
        let read = || -> Result<_, redb::Error> {
            let table = self.db().begin_read()?.open_table(BLOCKS)?;
            Ok(table.get(content.0.as_slice())?.and_then(|value| BlockList::decode(value.value())))
        };
        // A list that is another's would be believed where its content is not looked at.
        let is_its = |list: &BlockList| list.digest().is_none_or(|digest| digest == content);
        Ok(read().map_err(broken("read"))?.filter(is_its))
    }

    /// Remembers the blocks of a content that may become the agreed one. Not durable by itself: the next commit is.
    pub(crate) fn keep_blocks(&self, content: Digest, blocks: &BlockList) -> Result<(), Error> {
        let write = || -> Result<(), redb::Error> {
            let mut writing = self.db().begin_write()?;
            writing.set_durability(redb::Durability::None)?;
            writing.open_table(BLOCKS)?.insert(content.0.as_slice(), blocks.encode().as_slice())?;
            writing.commit()?;
            Ok(())
        };
        write().map_err(broken("written"))
    }
}

pub(super) fn forget(writing: &WriteTransaction, contents: &[Digest]) -> Result<(), redb::Error> {
    if contents.is_empty() {
        return Ok(());
    }
    let mut table = writing.open_table(BLOCKS)?;
    if table.is_empty()? {
        return Ok(());
    }
    for content in contents {
        let known = table.get(content.0.as_slice())?.is_some();
        if known {
            table.remove(content.0.as_slice())?;
        }
    }
    Ok(())
}
