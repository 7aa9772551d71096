//! What the last look found to be elsewhere.

use super::Side;
use crate::{
    RelPath,
    error::Error,
    index::{Difference, Scanned},
    moves::{Before, Move},
    state::Remembered,
};

/// One path of a move.
pub(crate) struct Spelled {
    pub from: RelPath,
    pub to: RelPath,
    pub what: Remembered,
}

impl Side {
    /// The folder that moved, and everything below it.
    pub(crate) fn spell(
        &self,
        one: &Move,
        mut visit: impl FnMut(Spelled) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut visit = |from: RelPath, what: Remembered| {
            // The other side may have asked for it.
            let to = from.rebased(&one.from, &one.to);
            let to = to.map_err(|error| Error::protocol(error.to_string()))?;
            visit(Spelled { from, to, what })
        };
        visit(one.from.clone(), self.memory.get(&one.from)?)?;
        self.memory.below(&one.from, visit)
    }

    /// As if the last look had not found that these moved, but what is where. It is not remembered: perhaps nothing comes of it, and
    /// the next look finds them again.
    pub(crate) fn spell_out(&mut self, moves: &[Move]) -> Result<(), Error> {
        let mut differences = Vec::new();
        for one in moves {
            self.spell(one, |Spelled { from, to, what }| {
                let now = what.seen.map(Scanned::from);
                differences.push((from, Difference { now: None, agreed: what.agreed }));
                differences.push((to, Difference { now, agreed: None }));
                Ok(())
            })?;
            self.seen.moved.remove(&one.to);
        }
        self.seen.differences.extend(differences);
        Ok(())
    }

    /// What is remembered of what was seen at a path.
    pub(super) fn remembered(&self, path: &RelPath) -> Result<Remembered, Error> {
        if self.gone.cover(path) {
            return Ok(Remembered::default());
        }
        match self.moved.before(path) {
            Before::Here => self.memory.get(path),
            Before::At(from) => self.memory.get(&from),
            Before::Nowhere => Ok(Remembered::default()),
        }
    }
}
