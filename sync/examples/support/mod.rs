//! Both ends of the engine in one process, without a network, and what they synchronise.

#![allow(clippy::format_push_string, reason = "brief")]

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Instant,
};

use bytes::Bytes;
use sync::{
    Context, Exclusions, Link, LinkError, OnMassDeletion, Outcome, Request, ServerSide, StudioSide,
    Watch, run, serve,
};

struct Channel {
    to: SyncSender<Bytes>,
    from: Receiver<Bytes>,
}

impl Link for Channel {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        self.to.send(message).map_err(|_| LinkError::Gone)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        Ok(self.from.recv().ok())
    }
}

/// What tells a side where something may have changed; else it looks at everything.
#[derive(Default)]
pub(crate) struct Watches {
    pub server: Option<Arc<Watch>>,
    pub studio: Option<Arc<Watch>>,
}

#[allow(dead_code, reason = "each example uses its part")]
pub(crate) fn synchronise(folder: &Path) -> Outcome {
    synchronise_watched(folder, &Watches::default())
}

/// Prints how long a run took, and what it did.
#[allow(dead_code, reason = "each example uses its part")]
pub(crate) fn timed(case: &str, folder: &Path, watches: &Watches) {
    rustix::fs::sync();
    let began = Instant::now();
    let outcome = synchronise_watched(folder, watches);
    println!(
        "{case:12} {:7.3} s  {:>8} changes  {:>10} B up  {:>10} B down",
        began.elapsed().as_secs_f64(),
        outcome.server_changes.len() + outcome.studio_changes.len(),
        outcome.stats.bytes_received,
        outcome.stats.bytes_sent,
    );
}

pub(crate) fn synchronise_watched(folder: &Path, watches: &Watches) -> Outcome {
    let context =
        |watch: &Option<Arc<Watch>>| Context { watch: watch.clone(), ..Context::system() };
    let (to_studio, from_server) = sync_channel(4);
    let (to_server, from_studio) = sync_channel(4);
    let mut server_link = Channel { to: to_studio, from: from_studio };
    let mut studio_link = Channel { to: to_server, from: from_server };
    let studio = StudioSide {
        root: folder.join("studio"),
        state_dir: folder.join("studio.state"),
        identity: "pod".to_owned(),
        one_way: false,
        exclusions: Exclusions::none(),
    };
    let server = ServerSide {
        root: folder.join("zone"),
        state_dir: folder.join("zone.state"),
        trash: folder.join("zone.trash"),
        one_way: false,
        exclusions: Exclusions::none(),
        studio_label: "lab".to_owned(),
    };
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let end = serve(&studio, &mut studio_link, &context(&watches.studio));
            drop(studio_link);
            end
        });
        let request = Request { on_mass_deletion: OnMassDeletion::Allow, ..Request::default() };
        let outcome = run(&server, &request, &mut server_link, &context(&watches.server));
        drop(server_link);
        let studio = serving.join().expect("it does not panic");
        match (outcome, studio) {
            (Ok(outcome), Ok(())) => outcome,
            (outcome, studio) => {
                panic!(
                    "server: {:?}; studio: {:?}",
                    outcome.err().map(|e| e.chain()),
                    studio.err().map(|e| e.chain())
                )
            }
        }
    })
}

/// Text of about 3 KB that compresses like source.
pub(crate) fn source(number: usize) -> String {
    let mut text = String::new();
    let mut random = number as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
    while text.len() < 1_000 + number % 4_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        text.push_str(&format!(
            "    let value_{} = compute({}, \"{:x}\");\n",
            random % 50,
            random % 9,
            random >> 50
        ));
    }
    text
}
