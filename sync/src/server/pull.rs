//! Studio → server: contents are asked for ahead, so that the network does not wait for the disk nor the other way round.

use std::{collections::VecDeque, fs::File, io};

use proto::sync::v1::{self as pb, message::Body};

use super::{
    Run,
    ask::{Asker, Want},
};
use crate::{
    FETCH_LIMIT_BYTES, RelPath, Side as Which,
    apply::{Applier, Ready},
    entry::{Digest, Entry},
    error::Error,
    plan::{Action, Ended, Operation, Source},
    side::Side,
    studio::basis,
    threads,
    transfer::{
        Announced, Job, Receipt, SMALL_BYTES, Staged, copy_local, read_copy, receive, write_given,
    },
    wire::{Pipe, StepReader},
};

/// A content that the server has itself.
enum Copy {
    Small(Vec<u8>),
    Large,
    /// It is not there, or not that any more.
    Other,
}

enum Staging {
    Small(Job),
    Done(Staged),
    Other,
}

fn open(here: &Side, operation: &Operation) -> io::Result<File> {
    match &operation.action {
        Action::PutFile { source: Source::Local(path), .. } => here.root.file(path),
        Action::PutFile { source: Source::Trash(thing), .. } => thing.open(here.place.trash()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Copy {
    /// By a thread that runs ahead.
    fn ahead(here: &Side, operation: &Operation) -> Self {
        let Action::PutFile { entry, source: Source::Local(_) | Source::Trash(_), .. } =
            &operation.action
        else {
            return Self::Other;
        };
        if entry.size() >= SMALL_BYTES {
            return Self::Large;
        }
        let content = open(here, operation).ok().and_then(|file| read_copy(&file, entry));
        content.map_or(Self::Other, Self::Small)
    }

    fn stage(
        self,
        here: &Side,
        operation: &Operation,
        entry: &Entry,
        modified_ms: i64,
    ) -> io::Result<Staging> {
        let file = match self {
            Self::Small(content) => {
                let (name, entry) = (here.place.new_name(), entry.clone());
                return Ok(Staging::Small(Job { name, content, entry, modified_ms }));
            }
            Self::Other => return Ok(Staging::Other),
            Self::Large => open(here, operation),
        };
        let Ok(file) = file else { return Ok(Staging::Other) };
        let staged = copy_local(here, file, entry, modified_ms)?;
        Ok(staged.map_or(Staging::Other, Staging::Done))
    }
}

impl Run<'_> {
    pub(super) fn pull(
        &mut self,
        applier: &mut Applier<'_, '_>,
        operations: &[Operation],
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let mut asker = Asker::new(self.here, self.wants(operations));
        let mut steps = StepReader::default();
        let mut begun = 0;
        // Contents that have to come once more, whole.
        let mut again: Vec<&Operation> = Vec::new();
        let mut batches: VecDeque<&[Operation]> = VecDeque::new();
        let (here, mut at) = (self.here, 0);
        threads::ahead(
            operations,
            |operation| Copy::ahead(here, operation),
            |operation, copy| {
                here.context.cancel.check()?;
                asker.ask(pipe)?;
                let ready = match &operation.action {
                    Action::MakeFolder => Ready::MakeFolder,
                    Action::Delete => Ready::Delete,
                    Action::DeleteTree => Ready::DeleteWhole,
                    Action::SetExecutable(executable) => Ready::SetExecutable(*executable),
                    Action::PutLink { target } => Ready::PutLink(target.clone()),
                    Action::MoveFolder { from } => Ready::MoveFolder(from.clone()),
                    Action::PutFile { entry, source: Source::Peer(_), modified_ms } => {
                        let sketched = asker.next();
                        let sketched = sketched.as_deref();
                        let basis = |digest| basis(self.here, &operation.path, digest);
                        let announced = Announced { entry, modified_ms: *modified_ms };
                        let (meter, size) = (&here.context.meter, entry.size());
                        meter.begin(&operation.path, size, size < SMALL_BYTES);
                        match receive(here, pipe, &mut steps, &announced, sketched, basis)? {
                            Receipt::Staged(staged) => {
                                self.received(operation, &staged.entry);
                                Ready::PutFile(staged)
                            }
                            Receipt::Small(job) => {
                                self.received(operation, &job.entry);
                                applier.stage(operation.path.clone(), job)?;
                                Ready::Coming
                            }
                            Receipt::Failed(reason) => {
                                meter.end(0);
                                Ready::Failed(Ended::Skipped(reason))
                            }
                            Receipt::Wrong => {
                                meter.end(0);
                                again.push(operation);
                                Ready::Failed(Ended::Changed)
                            }
                        }
                    }
                    Action::PutFile {
                        entry,
                        source: Source::Local(_) | Source::Trash(_),
                        modified_ms,
                    } => match copy.stage(here, operation, entry, *modified_ms) {
                        Ok(Staging::Small(job)) => {
                            applier.stage(operation.path.clone(), job)?;
                            Ready::Coming
                        }
                        Ok(Staging::Done(staged)) => Ready::PutFile(staged),
                        Ok(Staging::Other) => {
                            again.push(operation);
                            Ready::Failed(Ended::Changed)
                        }
                        Err(error) => Ready::Failed(Ended::Skipped(error.to_string())),
                    },
                    Action::PutFile { entry, source: Source::Given(content), .. } => {
                        let executable = matches!(entry, Entry::File { executable: true, .. });
                        match write_given(self.here, content, executable) {
                            Ok(staged) => Ready::PutFile(staged),
                            Err(error) => Ready::Failed(Ended::Skipped(error.to_string())),
                        }
                    }
                };
                if !matches!(ready, Ready::Coming) {
                    applier.add(operation.path.clone(), ready);
                }
                if applier.is_full() || at + 1 == operations.len() {
                    batches.push_back(operations.get(begun..=at).unwrap_or_default());
                    begun = at + 1;
                    let (before, last) = if begun == operations.len() {
                        let (before, last) = applier.finish()?;
                        (before, Some(last))
                    } else {
                        (applier.commit()?, None)
                    };
                    for ended in before.into_iter().chain(last) {
                        let batch = batches.pop_front().unwrap_or_default();
                        self.batch_ended(batch, ended, &again);
                    }
                }
                at += 1;
                Ok::<(), Error>(())
            },
        )?;
        for operation in again {
            self.pull_whole(applier, operation, pipe)?;
        }
        Ok(())
    }

    /// Contents that have to come from the studio.
    fn wants<'o>(&self, operations: &'o [Operation]) -> Vec<Want<'o>> {
        let want = |operation: &'o Operation| match &operation.action {
            Action::PutFile { source: Source::Peer(path), entry, .. } => Some(Want {
                path,
                basis: self.basis_of(&operation.path),
                old: self.has_small(&operation.path, entry).then_some(&operation.path),
            }),
            _ => None,
        };
        operations.iter().filter_map(want).collect()
    }

    /// What comes again has not ended.
    fn batch_ended(&mut self, batch: &[Operation], ended: Vec<Ended>, again: &[&Operation]) {
        for (operation, ended) in batch.iter().zip(ended) {
            if !again.iter().any(|again| std::ptr::eq(*again, operation)) {
                self.ended(Which::Server, operation, ended);
            }
        }
    }

    /// Without any help of what is here.
    fn pull_whole(
        &mut self,
        applier: &mut Applier<'_, '_>,
        operation: &Operation,
        pipe: &mut Pipe<'_>,
    ) -> Result<(), Error> {
        let Action::PutFile { entry, modified_ms, .. } = &operation.action else { return Ok(()) };
        let path = operation.path.as_bytes().to_vec().into();
        let items = vec![pb::Wanted { path, ..pb::Wanted::default() }];
        pipe.send(Body::Fetch(pb::Fetch { items }))?;
        let mut steps = StepReader::default();
        let announced = Announced { entry, modified_ms: *modified_ms };
        let path = operation.path.clone();
        match receive(self.here, pipe, &mut steps, &announced, None, |_| Ok(None))? {
            Receipt::Staged(staged) => {
                self.received(operation, &staged.entry);
                applier.add(path, Ready::PutFile(staged));
            }
            Receipt::Small(job) => {
                self.received(operation, &job.entry);
                applier.stage(path, job)?;
            }
            Receipt::Failed(reason) => {
                applier.add(path, Ready::Failed(Ended::Skipped(reason)));
            }
            Receipt::Wrong => {
                return Err(Error::protocol("a content that is not what it was said to be"));
            }
        }
        for ended in applier.finish()?.1 {
            self.ended(Which::Server, operation, ended);
        }
        Ok(())
    }

    fn received(&mut self, operation: &Operation, received: &Entry) {
        self.here.context.meter.end(received.size());
        if let Action::PutFile { entry, .. } = &operation.action
            && entry != received
        {
            self.fresher.insert(operation.path.clone(), received.clone());
        }
    }

    /// What the server has at a path and both remember, so that a delta can be made against it.
    pub(super) fn basis_of(&self, path: &RelPath) -> Option<Digest> {
        let here = self.server.get(path)?;
        if self.base.get(path)? == here { here.digest() } else { None }
    }

    /// Whether the server has another small content where this one goes.
    pub(super) fn has_small(&self, path: &RelPath, wanted: &Entry) -> bool {
        let is_small = |entry: &Entry| entry.is_file() && entry.size() < SMALL_BYTES;
        is_small(wanted) && self.server.get(path).is_some_and(is_small)
    }

    /// Contents that the caller asked for.
    pub(super) fn fetch_asked(&mut self, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        for path in &self.request.fetch {
            let Some(entry @ Entry::File { size, .. }) = self.studio.get(path) else { continue };
            if *size > FETCH_LIMIT_BYTES {
                continue;
            }
            let items =
                vec![pb::Wanted { path: path.as_bytes().to_vec().into(), ..pb::Wanted::default() }];
            pipe.send(Body::Fetch(pb::Fetch { items }))?;
            let mut steps = StepReader::default();
            let announced = Announced { entry, modified_ms: -1 };
            let received = receive(self.here, pipe, &mut steps, &announced, None, |_| Ok(None))?;
            let content = match received {
                Receipt::Staged(staged) => self.take(&staged).map_err(Error::at("fetch", path))?,
                Receipt::Small(job) => job.content,
                Receipt::Failed(_) | Receipt::Wrong => continue,
            };
            self.outcome.fetched.push((path.clone(), content));
        }
        Ok(())
    }

    /// A staged content, which is no longer staged then.
    fn take(&self, staged: &crate::transfer::Staged) -> std::io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let size = usize::try_from(staged.entry.size().min(2 * FETCH_LIMIT_BYTES)).unwrap_or(0);
        let mut content = vec![0; size];
        if let Some(file) = &staged.file {
            file.read_exact_at(&mut content, 0)?;
        }
        self.here.fs().remove_file(self.here.stage(), staged.name.as_bytes())?;
        Ok(content)
    }
}
