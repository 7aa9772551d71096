//! Requests for contents, ahead of what has come.

use std::collections::VecDeque;

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    RelPath,
    delta::sketch,
    entry::Digest,
    error::Error,
    side::Side,
    threads,
    transfer::{SMALL_BYTES, read_whole},
    wire::Pipe,
};

/// Contents of one request. Two requests are on their way: far less than what may wait on a link.
const ASKED_AT_ONCE: usize = 256;
const REQUESTS_AHEAD: usize = 2;
/// Old contents that are kept until what is made from them has come.
const KEPT_BYTES: usize = 4 << 20;

/// A content of the studio.
pub(super) struct Want<'a> {
    pub path: &'a RelPath,
    /// What the server has there and both remember.
    pub basis: Option<Digest>,
    /// Where the server has a small file that is likely to be much the same.
    pub old: Option<&'a RelPath>,
}

/// Asks for the contents of a list of operations.
pub(super) struct Asker<'a> {
    here: &'a Side,
    wanted: Vec<Want<'a>>,
    asked: usize,
    /// Of each content that was asked for and has not come: that whose sketch was sent.
    old: VecDeque<Option<Vec<u8>>>,
    kept_bytes: usize,
}

impl<'a> Asker<'a> {
    pub(super) const fn new(here: &'a Side, wanted: Vec<Want<'a>>) -> Self {
        Self { here, wanted, asked: 0, old: VecDeque::new(), kept_bytes: 0 }
    }

    /// Keeps requests ahead of what has come.
    pub(super) fn ask(&mut self, pipe: &mut Pipe<'_>) -> Result<(), Error> {
        while self.asked < self.wanted.len()
            && self.old.len() <= ASKED_AT_ONCE * (REQUESTS_AHEAD - 1)
        {
            let end = (self.asked + ASKED_AT_ONCE).min(self.wanted.len());
            let items = self.wanted.get(self.asked..end).unwrap_or_default();
            let read = |want: &Want<'_>| want.old.and_then(|path| old(self.here, path));
            let (mut asked, kept, kept_bytes) = (Vec::new(), &mut self.old, &mut self.kept_bytes);
            threads::ahead(items, read, |want, old| {
                let old = old.filter(|(old, _)| *kept_bytes + old.len() <= KEPT_BYTES);
                let (old, sketch) = old.unzip();
                *kept_bytes += old.as_ref().map_or(0, Vec::len);
                kept.push_back(old);
                asked.push(pb::Wanted {
                    path: want.path.as_bytes().to_vec().into(),
                    basis: want.basis.map(|basis| basis.0.to_vec().into()).unwrap_or_default(),
                    sketch,
                });
                Ok::<(), Error>(())
            })?;
            pipe.send(Body::Fetch(pb::Fetch { items: asked }))?;
            self.asked = end;
        }
        Ok(())
    }

    /// Something has come: the content whose sketch was sent for it.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let old = self.old.pop_front().flatten()?;
        self.kept_bytes -= old.len();
        Some(old)
    }
}

/// A content and its sketch, where it is worth one. Whatever it is: what is made from it is proven.
fn old(here: &Side, path: &RelPath) -> Option<(Vec<u8>, pb::Sketch)> {
    let file = here.root.file(path).ok()?;
    let content = read_whole(&file, SMALL_BYTES)?;
    let blocks = sketch(&content)?.into();
    let sketch = pb::Sketch { size: content.len() as u64, blocks };
    Some((content, sketch))
}
