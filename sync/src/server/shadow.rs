//! Keeps what the studio has and the zone lacks, beside the zone.

use super::{
    Run,
    ask::{Asker, Want},
};
use crate::{
    RelPath,
    entry::{Digest, Entry},
    error::Error,
    outcome::Skipped,
    shadow::{Kept, Store},
    studio::basis,
    transfer::{Announced, Receipt, receive},
    wire::{Pipe, StepReader},
};

impl Run<'_> {
    /// What came before this run broke off is there for the next one; what is told of it stays true in between.
    pub(super) fn keep_shadow(&mut self, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        let Some(shadow) = self.request.shadow.clone() else { return Ok(()) };
        let store = Store::open(&shadow.folder).map_err(Error::io("open shadow copies"))?;
        let there = store.names().map_err(Error::io("look at shadow copies"))?;
        let mut kept = self.changed_in_the_studio();
        let mut bytes = 0;
        kept.retain(|kept| {
            bytes += kept.entry.size();
            let fits = bytes <= shadow.limit_bytes;
            if !fits {
                bytes -= kept.entry.size();
                let reason = "it is too large for a shadow copy beside the others".to_owned();
                let path = kept.path.clone();
                self.outcome.skipped.push(Skipped { path, reason, special: false });
            }
            fits
        });
        let missing = |kept: &&Kept| {
            let digest = kept.entry.digest();
            digest.is_some_and(|digest| !there.contains(digest.to_string().as_bytes()))
        };
        let wanted: Vec<(RelPath, Entry)> = kept
            .iter()
            .filter(missing)
            .map(|kept| (kept.path.clone(), kept.entry.clone()))
            .collect();
        let came = self.fetch_into(&store, &wanted, pipe)?;
        for (path, entry) in came {
            let place = kept.iter_mut().find(|kept| kept.path == path);
            match (place, entry) {
                (Some(place), Some(entry)) => place.entry = entry,
                (Some(_), None) => kept.retain(|kept| kept.path != path),
                (None, _) => (),
            }
        }
        store.index(self.here.fs().as_ref(), &kept).map_err(Error::io("keep shadow copies"))
    }

    /// What it has otherwise than it was agreed, and than the zone has it now.
    fn changed_in_the_studio(&self) -> Vec<Kept> {
        let differs = |path: &RelPath, entry: &Entry| {
            self.base.get(path) != Some(entry) && self.server.get(path) != Some(entry)
        };
        let changed = self.studio.iter().filter(|(path, entry)| differs(path, entry));
        let kept = changed.map(|(path, entry)| Kept {
            path: path.clone(),
            entry: entry.clone(),
            base: self.base.get(path).cloned(),
        });
        kept.collect()
    }

    /// Answers what came of each that is not as it was listed: as it is now, or nothing.
    fn fetch_into(
        &self,
        store: &Store,
        wanted: &[(RelPath, Entry)],
        pipe: &mut Pipe<'_>,
    ) -> Result<Vec<(RelPath, Option<Entry>)>, Error> {
        let asked = wanted.iter().map(|(path, _)| Want {
            path,
            basis: self.basis_of(path),
            // Nobody would ask again for what came wrong.
            old: None,
        });
        let mut asker = Asker::new(self.here, asked.collect());
        let mut steps = StepReader::default();
        let mut otherwise = Vec::new();
        for (path, entry) in wanted {
            self.here.context.cancel.check()?;
            asker.ask(pipe)?;
            let sketched = asker.next();
            let announced = Announced { entry, modified_ms: -1 };
            let basis = |digest: Digest| basis(self.here, path, digest);
            let receipt =
                receive(self.here, pipe, &mut steps, &announced, sketched.as_deref(), basis)?;
            let fs = self.here.fs().as_ref();
            let came = match receipt {
                Receipt::Staged(staged) => {
                    let from = self.here.place.shelf(staged.shelf);
                    let digest = staged.entry.digest().unwrap_or(Digest([0; 32]));
                    store
                        .adopt(fs, from, staged.name.as_bytes(), digest)
                        .map_err(Error::at("keep a shadow copy of", path))?;
                    Some(staged.entry)
                }
                Receipt::Small(job) => {
                    store
                        .keep(fs, &job.content)
                        .map_err(Error::at("keep a shadow copy of", path))?;
                    Some(job.entry)
                }
                // The next look sees it as it is then.
                Receipt::Failed(_) | Receipt::Wrong => None,
            };
            if came.as_ref() != Some(entry) {
                otherwise.push((path.clone(), came));
            }
        }
        Ok(otherwise)
    }
}
