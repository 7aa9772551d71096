//! An end of a link as a process of its own, and the link through this one, which knows how much has passed.

use std::{
    env,
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc::sync_channel},
    thread,
    time::Duration,
};

use bytes::Bytes;
use sync::{
    Context, Exclusions, Link, LinkError, MESSAGE_LIMIT_BYTES, OnConflict, Request, ServerSide,
    StudioSide, run, serve,
};

use crate::common::Pair;

/// Names the end that a process is.
const END: &str = "ATELIER_TEST_END";
const FOLDER: &str = "ATELIER_TEST_FOLDER";
/// So finely is known how much has passed.
const PIECE_BYTES: usize = 4 << 10;
/// A run that takes longer hangs.
const DEADLINE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Studio,
}

/// Messages with their length before them.
struct SocketLink(UnixStream);

impl Link for SocketLink {
    fn send(&mut self, message: Bytes) -> Result<(), LinkError> {
        let length = u32::try_from(message.len()).unwrap().to_le_bytes();
        let sent = self.0.write_all(&length).and_then(|()| self.0.write_all(&message));
        sent.map_err(|_| LinkError::Gone)
    }

    fn recv(&mut self) -> Result<Option<Bytes>, LinkError> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(_) => return Err(LinkError::Gone),
        }
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap();
        assert!(length <= MESSAGE_LIMIT_BYTES, "a message of {length}");
        let mut message = vec![0; length];
        self.0.read_exact(&mut message).map_err(|_| LinkError::Gone)?;
        Ok(Some(message.into()))
    }
}

/// What the process does that [`start`] starts: its end of one run, over what it has for its standard input. Nothing where it is
/// run as a test.
#[test]
fn an_end() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let socket = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut link = SocketLink(UnixStream::from(socket));
    let exclusions = Exclusions::parse(std::iter::empty::<&str>()).unwrap();
    if env::var_os(END).unwrap() == "server" {
        let side = ServerSide {
            root: folder.join("zone"),
            state_dir: folder.join("zone.state"),
            trash: folder.join("zone.trash"),
            one_way: false,
            exclusions,
            studio_label: "lab".to_owned(),
        };
        let request = Request { on_conflict: OnConflict::KeepBoth, ..Request::default() };
        run(&side, &request, &mut link, &Context::system()).unwrap();
    } else {
        let side = StudioSide {
            root: folder.join("studio"),
            state_dir: folder.join("studio.state"),
            identity: "pod-1".to_owned(),
            one_way: false,
            exclusions,
        };
        serve(&side, &mut link, &Context::system()).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing else in a test starts processes")]
fn start(end: End, folder: &Path, socket: UnixStream) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "process::an_end"])
        .env(END, if end == End::Server { "server" } else { "studio" })
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .stdin(OwnedFd::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[derive(Default)]
struct Passed {
    bytes: u64,
    /// Directions that have ended, of two.
    ended: u8,
}

type Shared = Arc<(Mutex<Passed>, Condvar)>;

/// Passes on what comes, until there is no more. As a link has to, it has room for four messages.
fn relay(mut from: UnixStream, mut to: UnixStream, passed: &Shared) {
    let (queue, queued) = sync_channel::<Vec<u8>>(4 * MESSAGE_LIMIT_BYTES / PIECE_BYTES);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            while let Ok(count) = from.read(&mut buffer)
                && count > 0
                && queue.send(buffer[..count].to_vec()).is_ok()
            {}
            // Whoever still sends has to see that nobody takes it.
            from.shutdown(Shutdown::Read).ok();
        });
        for piece in queued {
            if to.write_all(&piece).is_err() {
                break;
            }
            passed.0.lock().unwrap().bytes += piece.len() as u64;
            passed.1.notify_all();
        }
        // Whoever is gone already needs no word of it.
        to.shutdown(Shutdown::Write).ok();
        passed.0.lock().unwrap().ended += 1;
        passed.1.notify_all();
    });
}

/// Runs once between two processes, and kills one of them when so many bytes have passed and then so much time. Answers whether
/// the run had not ended by then.
pub(crate) fn kill_during(pair: &Pair, victim: End, after: u64, delay: Duration) -> bool {
    let passed = Shared::default();
    let (server_near, server_far) = UnixStream::pair().unwrap();
    let (studio_near, studio_far) = UnixStream::pair().unwrap();
    let mut server = start(End::Server, pair.folder.path(), server_far);
    let mut studio = start(End::Studio, pair.folder.path(), studio_far);
    thread::scope(|scope| {
        for (from, to) in [(&server_near, &studio_near), (&studio_near, &server_near)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let passed = &passed;
            scope.spawn(move || relay(from, to, passed));
        }
        let waiting = passed.0.lock().unwrap();
        let (waiting, timeout) = passed
            .1
            .wait_timeout_while(waiting, DEADLINE, |it| it.bytes < after && it.ended == 0)
            .unwrap();
        assert!(!timeout.timed_out(), "a run that hangs");
        // The moment of the kill, not a wait for anything: it may end before.
        let (waiting, _) = passed.1.wait_timeout_while(waiting, delay, |it| it.ended == 0).unwrap();
        drop(waiting);
        let (victim, other) = if victim == End::Server {
            (&mut server, &mut studio)
        } else {
            (&mut studio, &mut server)
        };
        let in_the_middle = victim.try_wait().unwrap().is_none();
        victim.kill().unwrap();
        victim.wait().unwrap();
        let waiting = passed.0.lock().unwrap();
        let (waiting, timeout) =
            passed.1.wait_timeout_while(waiting, DEADLINE, |it| it.ended < 2).unwrap();
        drop(waiting);
        if timeout.timed_out() {
            other.kill().unwrap();
            panic!("the one that is left does not end");
        }
        other.wait().unwrap();
        in_the_middle
    })
}
