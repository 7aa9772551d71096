//! The network between pods and the program, as a TCP proxy that can be slow or cut: while it is cut nothing passes and nobody
//! is told, as with a cable.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use crate::cluster::setting;

struct State {
    to: OnceLock<u16>,
    cut: watch::Sender<bool>,
    /// Bytes that have passed.
    passed: AtomicU64,
    /// 0: as fast as it goes.
    bytes_a_second: AtomicU64,
}

pub struct Link {
    /// What agents dial.
    pub address: String,
    state: Arc<State>,
}

impl Link {
    pub async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            to: OnceLock::new(),
            cut: watch::Sender::new(false),
            passed: AtomicU64::new(0),
            bytes_a_second: AtomicU64::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address: format!("{}:{port}", setting("ATELIER_TEST_ADDRESS")), state }
    }

    /// Where it leads to, on this machine.
    pub fn lead_to(&self, port: u16) {
        self.state.to.set(port).unwrap();
    }

    pub fn cut(&self) {
        self.state.cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.state.cut.send_replace(false);
    }

    pub fn limit(&self, bytes_a_second: u64) {
        self.state.bytes_a_second.store(bytes_a_second, Relaxed);
    }

    /// Waits until so many bytes have passed from now on.
    pub async fn until_passed(&self, bytes: u64) {
        let (end, deadline) =
            (self.state.passed.load(Relaxed) + bytes, Instant::now() + Duration::from_mins(1));
        while self.state.passed.load(Relaxed) < end {
            assert!(Instant::now() < deadline, "nothing passes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((from, _)) = listener.accept().await else { return };
        tokio::spawn(join(from, Arc::clone(&state)));
    }
}

async fn join(from: TcpStream, state: Arc<State>) {
    state.cut.subscribe().wait_for(|cut| !cut).await.unwrap();
    let port = *state.to.get().unwrap();
    // The program may be away: the agent comes again.
    let Ok(to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::join!(pump(from_read, to_write, &state), pump(to_read, from_write, &state));
}

/// One direction, until either end is gone.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut cut = state.cut.subscribe();
    let mut bytes = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        cut.wait_for(|cut| !cut).await.unwrap();
        let rate = state.bytes_a_second.load(Relaxed);
        if rate > 0 {
            tokio::time::sleep(
                Duration::from_secs(1) * u32::try_from(read).unwrap()
                    / u32::try_from(rate).unwrap(),
            )
            .await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
        state.passed.fetch_add(read as u64, Relaxed);
    }
}
