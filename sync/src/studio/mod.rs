//! The studio's end of a run: it lists, sends and does as it is told, all below its root.

mod execute;
mod list;

pub(crate) use execute::basis;

use std::path::PathBuf;

use proto::sync::v1::{self as pb, message::Body};

use crate::{
    RelPath,
    context::Context,
    delta::parts,
    error::Error,
    exclusions::Exclusions,
    link::Link,
    moves::Move,
    side::{Layout, Side, absolute},
    state::distrusting,
    threads,
    transfer::{Announced, read_small, send, send_small},
    trash,
    wire::{self, MOVES, PROTOCOL, Pipe, StepReader, StepWriter, TREES, optional_digest},
};

/// How long replaced and deleted files are kept in the studio.
const TRASH_KEPT: std::time::Duration = std::time::Duration::from_hours(30 * 24);

/// A mount in a studio.
#[derive(Debug, Clone)]
pub struct StudioSide {
    /// Absolute.
    pub root: PathBuf,
    /// Absolute, not below the root, this mount's own.
    pub state_dir: PathBuf,
    /// Of the pod: another one forgets what was agreed.
    pub identity: String,
    /// The server sends; nothing goes back. Only said here: the server decides.
    pub one_way: bool,
    pub exclusions: Exclusions,
}

/// Serves one run, until the server ends it.
pub fn serve(side: &StudioSide, link: &mut dyn Link, context: &Context) -> Result<(), Error> {
    distrusting(&side.state_dir, || serve_once(side, link, context))
}

fn serve_once(side: &StudioSide, link: &mut dyn Link, context: &Context) -> Result<(), Error> {
    let mut pipe = Pipe::new(link);
    let Body::Hello(hello) = pipe.recv()? else {
        return Err(Error::protocol("no greeting"));
    };
    let layout = Layout {
        root: &absolute(&side.root, "the folder to synchronise")?,
        state_dir: &absolute(&side.state_dir, "the folder for what is remembered")?,
        trash: None,
        identity: &side.identity,
    };
    let mut here = Side::open(&layout, context)?;
    let expired = context.clock.now().saturating_sub(TRASH_KEPT);
    trash::expire_in(here.place.trash(), context.fs.as_ref(), expired)
        .map_err(Error::io("empty the trash"))?;
    let agreed = here.state.agreed()?;
    let theirs = optional_digest(&hello.base)?;
    let is_shared = hello.root == here.root_name.as_slice()
        && agreed.is_some_and(|agreed| {
            agreed.studio_root == here.root_name
                && Some(agreed.tally.digest()) == theirs.map(|base| base.0)
        });
    pipe.send(Body::Welcome(pb::Welcome {
        protocol: hello.protocol.min(PROTOCOL),
        root: here.root_name.to_vec().into(),
        changes_only: is_shared,
        empty: here.is_empty().map_err(Error::io("look into the folder to synchronise"))?,
    }))?;
    here.look(&side.exclusions, is_shared)?;
    if hello.protocol < MOVES {
        let moved: Vec<Move> = here.seen.moved.iter().collect();
        here.spell_out(&moved)?;
    }
    if hello.protocol < TREES {
        let gone: Vec<RelPath> = here.seen.gone.iter().cloned().collect();
        here.spell_out_gone(&gone)?;
    }
    let told = list::send(&here, &side.exclusions, &mut pipe)?;
    let has_base = is_shared && agreed.is_some_and(|agreed| !agreed.is_of_nothing());
    std::thread::scope(|scope| {
        let executor = execute::Executor::new(scope, &here, told, has_base);
        follow(&here, executor, is_shared, &mut pipe)
    })
}

/// Does what comes until the end.
fn follow(
    here: &Side,
    mut executor: execute::Executor<'_, '_>,
    is_shared: bool,
    pipe: &mut Pipe<'_>,
) -> Result<(), Error> {
    let mut steps = StepReader::default();
    loop {
        here.context.cancel.check()?;
        match pipe.recv_or_end()? {
            Some(Body::Done(_)) => return executor.end(),
            None => {
                // Perhaps for what this side told it.
                here.state.distrust();
                return executor.end();
            }
            Some(Body::Fetch(fetch)) => {
                let mut out = StepWriter::default();
                send_all(here, &fetch.items, &mut out, pipe)?;
                out.flush(pipe)?;
            }
            Some(Body::Stream(stream)) => {
                steps.add(stream);
                executor.run(&mut steps, pipe)?;
            }
            Some(Body::Agreed(agreed)) => {
                for to in &agreed.spelled {
                    executor.spell_out(&wire::path(to)?)?;
                }
                for entry in &agreed.entries {
                    let (path, entry) = wire::entry(entry)?;
                    executor.agreed.insert(path, Some(entry));
                }
                for path in &agreed.gone {
                    executor.agreed.insert(wire::path(path)?, None);
                }
                for path in &agreed.except {
                    executor.except(&wire::path(path)?);
                }
                if agreed.last {
                    executor.agree(!is_shared)?;
                    pipe.send(Body::Done(pb::Done {}))?;
                }
            }
            Some(Body::Hello(_) | Body::Welcome(_) | Body::Listing(_) | Body::Results(_)) => {
                return Err(Error::protocol("a message that only a studio sends"));
            }
            Some(Body::Zstd(_)) => return Err(Error::protocol("a message packed twice")),
        }
    }
}

/// Contents that the server asked for, read and compared ahead where they are small.
fn send_all(
    here: &Side,
    items: &[pb::Wanted],
    out: &mut StepWriter,
    pipe: &mut Pipe<'_>,
) -> Result<(), Error> {
    let read = |item: &pb::Wanted| -> Result<_, Error> {
        let path = wire::path(&item.path)?;
        if here.exclusions.excludes(&path, false) {
            return Err(Error::protocol(format!("{path} was asked for, which is excluded")));
        }
        let listed = here.saw(&path)?;
        let small = listed.as_ref().and_then(|listed| read_small(&here.root, &path, listed));
        let small = small.map(|small| {
            let sketch = item.sketch.as_ref();
            let parts = sketch.and_then(|it| parts(it.size, &it.blocks, &small.content));
            (small, parts)
        });
        Ok((path, listed, small))
    };
    threads::ahead(items, read, |item, read| {
        here.context.cancel.check()?;
        let (path, listed, small) = read?;
        let announced = listed.as_ref().map(|listed| Announced {
            entry: &listed.entry,
            modified_ms: listed.stamp().modified_ms(),
        });
        let announced = announced.as_ref();
        let basis = optional_digest(&item.basis)?;
        match small {
            Some((small, parts)) => send_small(pipe, out, small, parts, announced)?,
            None => send(here, pipe, out, &path, basis, announced)?,
        };
        Ok(())
    })
}
