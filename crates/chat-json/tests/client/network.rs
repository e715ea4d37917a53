//! An in-memory network. It carries bytes to the current hub in pieces of any size, and can cut connections.

use chat_core::{Hub, Limits, Peer, Server};
use chat_json::{ByteStream, Connect, JsonLines};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinSet;

/// The capacity of a stream, in bytes.
const STREAM_BYTES: usize = 4096;

/// An in-memory network. Clones share one network.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

struct State {
    server: Option<Server>,
    random: fastrand::Rng,
    limits: Limits,
    /// The number of connections that are still to be cut, each after at most `cut_after_max` bytes.
    cuts: usize,
    cut_after_max: usize,
    has_cut: usize,
    /// Whether the bytes that clients send are discarded.
    is_deaf: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Network {
    /// Creates a network with a running server. The server's limits are so high that no test reaches them.
    pub(crate) fn new(seed: u64) -> Self {
        let mut limits = Limits::default();
        limits.rate = None;
        limits.journal_messages = 100_000.try_into().expect("more than none");
        limits.journal_bytes = (64 << 20).try_into().expect("more than none");
        Self::with_limits(seed, limits)
    }

    pub(crate) fn with_limits(seed: u64, limits: Limits) -> Self {
        let network = Self(Arc::new(Mutex::new(State {
            server: None,
            random: fastrand::Rng::with_seed(seed),
            limits,
            cuts: 0,
            cut_after_max: 0,
            has_cut: 0,
            is_deaf: Arc::default(),
            tasks: JoinSet::new(),
        })));
        network.restart();
        network
    }

    /// Cuts each of the next `cuts` connections after a random number of bytes, at most `after_max`.
    pub(crate) fn cut(&self, cuts: usize, after_max: usize) {
        let mut state = self.state();
        (state.cuts, state.cut_after_max) = (cuts, after_max);
    }

    /// Returns how many connections have been cut.
    pub(crate) fn has_cut(&self) -> usize {
        self.state().has_cut
    }

    /// Starts a new server without any state of the previous one, and cuts the connections of the previous one.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        state.tasks = JoinSet::new();
        let hub = Hub::new(state.limits.clone());
        state.server = Some(Server::new(hub).protocol(JsonLines::default()));
    }

    /// Cuts all connections of the server. No connection succeeds until the next [`restart`](Self::restart).
    pub(crate) fn crash(&self) {
        let mut state = self.state();
        state.tasks = JoinSet::new();
        state.is_deaf = Arc::default();
        state.server = None;
    }

    /// Discards the bytes that clients send, until [`crash`](Self::crash) is called.
    pub(crate) fn deafen(&self) {
        self.state().is_deaf.store(true, Ordering::Relaxed);
    }

    /// Returns the current server.
    pub(crate) fn hub(&self) -> Hub {
        let state = self.state();
        state.server.as_ref().expect("a server is up").hub().clone()
    }

    fn connect_now(&self) -> io::Result<Box<dyn ByteStream>> {
        let mut state = self.state();
        let chat = state
            .server
            .clone()
            .ok_or(io::ErrorKind::ConnectionRefused)?;
        let budget = (state.cuts > 0).then(|| {
            let max = state.cut_after_max;
            state.random.usize(0..max)
        });
        state.cuts = state.cuts.saturating_sub(1);
        let (random, is_deaf) = (state.random.fork(), Arc::clone(&state.is_deaf));
        let (client, near) = tokio::io::duplex(STREAM_BYTES);
        let (far, server) = tokio::io::duplex(STREAM_BYTES);
        let network = self.clone();
        state.tasks.spawn(async move {
            carry(near, far, budget, random, is_deaf).await;
            if budget.is_some() {
                network.state().has_cut += 1;
            }
        });
        state
            .tasks
            .spawn(async move { drop(chat.serve_connection(server, Peer::default()).await) });
        Ok(Box::new(client))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for Network {
    fn connect(&self) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        std::future::ready(self.connect_now()).boxed()
    }
}

/// Copies bytes in both directions until one stream ends. Also stops after `budget` bytes, counted over both
/// directions.
async fn carry(
    near: DuplexStream,
    far: DuplexStream,
    budget: Option<usize>,
    mut random: fastrand::Rng,
    is_deaf: Arc<AtomicBool>,
) {
    let (near_in, near_out) = tokio::io::split(near);
    let (far_in, far_out) = tokio::io::split(far);
    let left = Arc::new(Mutex::new(budget.unwrap_or(usize::MAX)));
    let there = pump(near_in, far_out, Arc::clone(&left), random.fork(), is_deaf);
    let back = pump(far_in, near_out, left, random.fork(), Arc::default());
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn pump(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    left: Arc<Mutex<usize>>,
    mut random: fastrand::Rng,
    is_deaf: Arc<AtomicBool>,
) {
    let mut buffer = [0; 1024];
    loop {
        let size = random.usize(1..=buffer.len());
        let Ok(count @ 1..) = from.read(&mut buffer[..size]).await else {
            return;
        };
        if is_deaf.load(Ordering::Relaxed) {
            continue;
        }
        let (count, is_over) = {
            let mut left = left.lock().expect("nobody panics with it");
            let passing = count.min(*left);
            *left -= passing;
            (passing, *left == 0)
        };
        if to.write_all(&buffer[..count]).await.is_err() || is_over {
            return;
        }
    }
}
