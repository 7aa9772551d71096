//! An agreement on top of nothing, which is recorded piece by piece as a first copy goes on, and counts when it is whole.
//!
//! Until then nothing is agreed: whoever breaks off leaves pages whose agreed states are void with the next generation.

use redb::Durability;

use super::{Agreed, META, State, Tally, Updates, broken, json, tally::Tallier, update::Updating};
use crate::{error::Error, fs::FileSystem};

/// So much of it is recorded.
pub(crate) struct Anew<'s> {
    state: &'s State,
    generation: u32,
    tally: Tally,
    tallier: Tallier,
    studio_root: [u8; 16],
}

impl State {
    /// Forgets what was agreed.
    pub(crate) fn begin_anew(
        &self,
        fs: &dyn FileSystem,
        studio_root: [u8; 16],
    ) -> Result<Anew<'_>, Error> {
        let generation = self.generation()? + 1;
        fs.record().map_err(Error::io("forget the agreed state"))?;
        self.write("written", |writing| {
            let mut meta = writing.open_table(META)?;
            meta.remove("agreed")?;
            meta.insert("generation", json(&generation).as_slice())?;
            Ok(())
        })?;
        let (tally, tallier) = (Tally::default(), Tallier::new(studio_root));
        Ok(Anew { state: self, generation, tally, tallier, studio_root })
    }
}

impl Anew<'_> {
    /// Records more. Not on the disk before the end.
    pub(crate) fn add(&mut self, fs: &dyn FileSystem, updates: &Updates) -> Result<(), Error> {
        if updates.is_empty() {
            return Ok(());
        }
        fs.record().map_err(Error::io("remember what was copied"))?;
        let mut write = || -> Result<(), redb::Error> {
            let mut writing = self.state.db().begin_write()?;
            writing.set_durability(Durability::None)?;
            let mut updating =
                Updating::new(&writing, self.generation, self.tally, &mut self.tallier)?;
            updating.run(updates)?;
            let tally = updating.finish(&writing)?;
            writing.commit()?;
            self.tally = tally;
            Ok(())
        };
        write().map_err(broken("written"))
    }

    /// From now on it counts.
    pub(crate) fn finish(self, fs: &dyn FileSystem) -> Result<(), Error> {
        let Self { state, tally, studio_root, .. } = self;
        fs.record().map_err(Error::io("remember the agreed state"))?;
        state.write("written", |writing| {
            let mut meta = writing.open_table(META)?;
            meta.insert("agreed", json(&Agreed { tally, studio_root }).as_slice())?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RelPath,
        entry::{Digest, Entry},
        fs::RealFileSystem,
        state::{Update, Word},
    };

    fn updates(names: std::ops::Range<usize>, entry: Option<&Entry>) -> Updates {
        let update = |number: usize| {
            let path = RelPath::try_from(format!("d/{number:04}").as_str()).unwrap();
            (path, Update { agreed: Word::Now(entry.cloned()), ..Update::default() })
        };
        names.map(update).collect()
    }

    fn file(text: &str) -> Entry {
        Entry::File { size: 1, digest: Digest::of(text.as_bytes()), executable: false }
    }

    fn agreed(state: &State) -> usize {
        let mut count = 0;
        state.memory().unwrap().each(|what| what.agreed.is_some(), |_, _| count += 1).unwrap();
        count
    }

    #[test]
    fn pieces_come_to_what_is_recorded_at_once_and_count_when_they_are_whole() {
        let fs = &RealFileSystem;
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (pieces, whole) =
            (State::open(here.path()).unwrap(), State::open(there.path()).unwrap());
        pieces.agree(fs, &[], &[], &updates(0..50, Some(&file("old"))), false, [1; 16]).unwrap();
        let mut anew = pieces.begin_anew(fs, [2; 16]).unwrap();
        assert!(pieces.agreed().unwrap().is_none());
        for begin in (0..3_000).step_by(1_000) {
            anew.add(fs, &updates(begin..begin + 1_000, Some(&file("new")))).unwrap();
        }
        // The other side says that these are not agreed.
        anew.add(fs, &updates(2_900..3_000, None)).unwrap();
        assert!(pieces.agreed().unwrap().is_none());
        anew.finish(fs).unwrap();
        whole.agree(fs, &[], &[], &updates(0..2_900, Some(&file("new"))), true, [2; 16]).unwrap();
        assert_eq!(pieces.agreed().unwrap().unwrap().tally, whole.agreed().unwrap().unwrap().tally);
        assert_eq!((agreed(&pieces), agreed(&whole)), (2_900, 2_900));
    }

    #[test]
    fn what_was_broken_off_is_void() {
        let folder = tempfile::tempdir().unwrap();
        let (state, fs) = (State::open(folder.path()).unwrap(), &RealFileSystem);
        let mut anew = state.begin_anew(fs, [1; 16]).unwrap();
        anew.add(fs, &updates(0..10, Some(&file("broken off")))).unwrap();
        drop(anew);
        let mut anew = state.begin_anew(fs, [1; 16]).unwrap();
        anew.add(fs, &updates(5..20, Some(&file("again")))).unwrap();
        anew.finish(fs).unwrap();
        assert_eq!(agreed(&state), 15);
        assert_eq!(state.agreed().unwrap().unwrap().tally.files, 15);
        drop(state);
        // The digest is that of what is there.
        std::fs::File::create(folder.path().join("memory.open")).unwrap();
        assert_eq!(agreed(&State::open(folder.path()).unwrap()), 15);
    }
}
