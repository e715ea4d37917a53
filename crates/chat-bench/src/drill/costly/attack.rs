//! The attacker: one or more senders. Each sends a script as fast as the server accepts it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The first three bytes of the attackers' IPv4 addresses.
const SOURCES: [u8; 3] = [127, 0, 2];

/// The least number of bytes that are written at once. Shorter scripts are repeated.
const BLOCK_BYTES: usize = 32 * 1024;

/// The size of each connection's send buffer, in bytes.
const SEND_BYTES: u32 = 32 * 1024;

/// The most bytes of one read.
const READ_BYTES: usize = 256 * 1024;

/// How long a sender waits for an answer before it reconnects.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long the senders may take to connect.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// How long a sender waits after a refused connection before it connects again.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);

/// How the attacker uses its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Sends line after line and reads the answers.
    Pipelined,
    /// Sends line after line and never reads the answers.
    Unread,
    /// Sends the script once, reads until the last line is answered, resets the connection and reconnects.
    Reconnecting,
    /// Sends the lines in writes of one byte.
    Trickle,
}

/// What the attacker sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    /// The first bytes on each connection. They do not count as a request.
    pub(super) opening: Vec<u8>,
    /// A text that the server's answer to `opening` contains.
    pub(super) opened: &'static [u8],
    /// The lines that follow the opening. They are sent repeatedly, or once for each connection of a reconnecting
    /// sender.
    pub(super) lines: Vec<Vec<u8>>,
    /// A text that the server's answer to the last line contains. A reconnecting sender waits for this text. If the
    /// text is empty, the sender does not wait.
    pub(super) answered: &'static [u8],
    /// The texts by which the sender counts the answers, and so the handled requests. Each answer contains exactly one
    /// of these texts, once. If the list is empty, nothing is counted.
    pub(super) answers: Vec<&'static [u8]>,
}

impl Script {
    /// The average length of a line, in bytes.
    pub(super) fn line_bytes(&self) -> f64 {
        let bytes: usize = self.lines.iter().map(Vec::len).sum();
        bytes as f64 / self.lines.len().max(1) as f64
    }

    /// The lines, repeated to at least [`BLOCK_BYTES`].
    fn block(&self) -> Vec<u8> {
        let once = self.lines.concat();
        let times = BLOCK_BYTES.div_ceil(once.len().max(1));
        once.repeat(if once.is_empty() { 0 } else { times })
    }
}

/// What all senders together sent and received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: u64,
    /// The number of bytes received in answers.
    pub(super) answered: u64,
    pub(super) answers: u64,
    pub(super) connections: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    answered: AtomicU64,
    answers: AtomicU64,
    connections: AtomicU64,
    /// The number of senders that wait for [`Attack::go`]. If a script has an opening, a sender that does not reconnect
    /// waits only after the server has answered the opening.
    ready: AtomicU64,
}

impl Counters {
    fn tally(&self) -> Tally {
        Tally {
            sent: self.sent.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            answers: self.answers.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }
}

/// A running attack. The attack has its own thread, so that it does not delay the tasks that measure latency.
#[derive(Debug)]
pub(super) struct Attack {
    go: CancellationToken,
    stop: CancellationToken,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl Attack {
    /// Connects the senders, which then wait for [`go`](Self::go). All senders share one address. The address depends
    /// on `number`, so that no earlier attack has used up the limits of this address.
    pub(super) async fn begin(
        port: u16,
        number: u8,
        flow: Flow,
        script: &Arc<Script>,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime")?;
        let (go, stop) = (CancellationToken::new(), CancellationToken::new());
        let counters = Arc::new(Counters::default());
        let [a, b, c] = SOURCES;
        let sender = Sender {
            port,
            source: Ipv4Addr::new(a, b, c, 1 + number),
            flow,
            block: script.block().into(),
            go: go.clone(),
            script: Arc::clone(script),
            counters: Arc::clone(&counters),
        };
        let until = stop.clone();
        let thread = std::thread::Builder::new().name("attack".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                let mut senders = JoinSet::new();
                for _ in 0..connections {
                    senders.spawn(sender.clone().attack());
                }
                until.cancelled().await;
            });
        })?;
        let (attack, began) = (
            Self {
                go,
                stop,
                counters,
                thread: Some(thread),
            },
            Instant::now(),
        );
        // The server may refuse a sender, and such a sender never becomes ready. So the wait has a time limit.
        let is_ready = || attack.counters.ready.load(Ordering::Relaxed) >= connections as u64;
        while !is_ready() && began.elapsed() < READY_WITHIN {
            sleep(Duration::from_millis(1)).await;
        }
        Ok(attack)
    }

    /// Starts sending. Returns what was sent and received before the start.
    pub(super) fn go(&self) -> Tally {
        let before = self.counters.tally();
        self.go.cancel();
        before
    }

    /// Ends the attack and resets all connections.
    pub(super) fn end(mut self) -> anyhow::Result<Tally> {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow!("the attacker panicked"))?;
        }
        Ok(self.counters.tally())
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Sender {
    port: u16,
    source: Ipv4Addr,
    flow: Flow,
    script: Arc<Script>,
    block: Arc<[u8]>,
    go: CancellationToken,
    counters: Arc<Counters>,
}

impl Sender {
    /// Opens one connection after another, and attacks the server on each connection.
    async fn attack(self) {
        if self.flow == Flow::Reconnecting {
            self.be_ready().await;
        }
        let mut is_new = true;
        loop {
            let began = Instant::now();
            let ended = self.one_connection(&mut is_new).await;
            if ended.is_err() && began.elapsed() < REFUSED_PAUSE {
                sleep(REFUSED_PAUSE).await;
            }
        }
    }

    /// Reports that this sender is ready, and waits for [`Attack::go`].
    async fn be_ready(&self) {
        self.counters.ready.fetch_add(1, Ordering::Relaxed);
        self.go.cancelled().await;
    }

    async fn one_connection(&self, is_new: &mut bool) -> anyhow::Result<()> {
        let stream = connect(self.port, self.source).await?;
        self.counters.connections.fetch_add(1, Ordering::Relaxed);
        let (mut reader, mut writer) = stream.into_split();
        if !self.script.opening.is_empty() {
            self.send(&mut writer, &self.script.opening).await?;
            let opened = self.read_answer(&mut reader, self.script.opened);
            timeout(ANSWER_WITHIN, opened).await??;
        }
        if self.flow != Flow::Reconnecting && std::mem::take(is_new) {
            self.be_ready().await;
        }
        match self.flow {
            Flow::Reconnecting => {
                let lines = self.script.lines.concat();
                self.send(&mut writer, &lines).await?;
                if !self.script.answered.is_empty() {
                    let answered = self.read_answer(&mut reader, self.script.answered);
                    timeout(ANSWER_WITHIN, answered).await??;
                }
                Ok(())
            }
            Flow::Unread => {
                let _unread = reader;
                self.send_for_ever(&mut writer).await
            }
            Flow::Pipelined => tokio::select! {
                ended = self.read_out(&mut reader) => ended,
                ended = self.send_for_ever(&mut writer) => ended,
            },
            Flow::Trickle => tokio::select! {
                ended = self.read_out(&mut reader) => ended,
                ended = self.trickle(&mut writer) => ended,
            },
        }
    }

    async fn send_for_ever(&self, writer: &mut OwnedWriteHalf) -> anyhow::Result<()> {
        anyhow::ensure!(!self.block.is_empty(), "there is nothing to send");
        loop {
            self.send(writer, &self.block).await?;
        }
    }

    async fn trickle(&self, writer: &mut OwnedWriteHalf) -> anyhow::Result<()> {
        anyhow::ensure!(!self.block.is_empty(), "there is nothing to send");
        for byte in self.block.iter().cycle() {
            self.send(writer, std::slice::from_ref(byte)).await?;
        }
        Ok(())
    }

    /// Sends all of `bytes`. Bytes count as sent once the kernel has accepted them.
    async fn send(&self, writer: &mut OwnedWriteHalf, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let count = writer.write(bytes).await?;
            self.counters
                .sent
                .fetch_add(count as u64, Ordering::Relaxed);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Reads and counts answers until the connection ends.
    async fn read_out(&self, reader: &mut OwnedReadHalf) -> anyhow::Result<()> {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut answers = Finder::new(&self.script.answers);
        loop {
            self.read_some(reader, &mut buffer).await?;
            let found = answers.count(&buffer);
            self.counters.answers.fetch_add(found, Ordering::Relaxed);
        }
    }

    /// Reads once, and counts the received bytes.
    async fn read_some(
        &self,
        reader: &mut OwnedReadHalf,
        buffer: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        buffer.clear();
        let count = reader.read_buf(buffer).await?;
        anyhow::ensure!(count > 0, "the server closed the connection");
        self.counters
            .answered
            .fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Reads until the received bytes contain `wanted`.
    async fn read_answer(
        &self,
        reader: &mut OwnedReadHalf,
        wanted: &'static [u8],
    ) -> anyhow::Result<()> {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut answer = Finder::new(&[wanted]);
        loop {
            self.read_some(reader, &mut buffer).await?;
            if answer.count(&buffer) > 0 {
                return Ok(());
            }
        }
    }
}

/// Counts occurrences of texts in a stream that arrives in pieces.
#[derive(Debug)]
struct Finder {
    /// For each text: the text, and the last bytes of the previous piece. These bytes are kept because a text may begin
    /// in one piece and end in the next.
    texts: Vec<(&'static [u8], Vec<u8>)>,
}

impl Finder {
    fn new(texts: &[&'static [u8]]) -> Self {
        let texts = texts.iter().map(|text| (*text, Vec::new()));
        Self {
            texts: texts.collect(),
        }
    }

    /// Returns how many occurrences of the texts end in this piece.
    fn count(&mut self, piece: &[u8]) -> u64 {
        let mut count = 0;
        for (text, end) in &mut self.texts {
            let more = text.len() - 1;
            // First, searches the bytes around the boundary between two pieces, for a text that crosses the boundary.
            // On each side, the searched bytes are one byte shorter than the text. So the search can't find a text that
            // lies in one piece.
            end.extend_from_slice(&piece[..piece.len().min(more)]);
            count += memmem::find_iter(end, text).count();
            count += memmem::find_iter(piece, text).count();
            if piece.len() >= more {
                end.clear();
                end.extend_from_slice(&piece[piece.len() - more..]);
            } else {
                let surplus = end.len().saturating_sub(more);
                end.drain(..surplus);
            }
        }
        count as u64
    }
}

/// Connects from the address `source`. The connection ends with a reset, which frees its port at once.
async fn connect(port: u16, source: Ipv4Addr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket2::SockRef::from(&socket).set_reuse_address(true)?;
    // By default, the kernel buffers megabytes for a slow server. This buffering keeps the machine busy.
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_whole_lines() {
        let script = Script {
            lines: vec![b"/who\n".to_vec(), b"/rooms all\n".to_vec()],
            ..Script::default()
        };
        let block = script.block();
        assert!(block.len() >= BLOCK_BYTES && block.ends_with(b"/who\n/rooms all\n"));
        assert_eq!(block.len() % 16, 0);
        assert!((script.line_bytes() - 8.0).abs() < f64::EPSILON);
        assert!(Script::default().block().is_empty());
    }

    #[test]
    fn answers_are_counted_however_they_come_in_pieces() {
        let stream = b"{\"re\":1}\n{\"err\":2}\n{\"re\":3}\n{\"re\":4";
        for size in 1..stream.len() {
            let mut finder = Finder::new(&[b"{\"re\":", b"{\"err\":"]);
            let count: u64 = stream.chunks(size).map(|piece| finder.count(piece)).sum();
            assert_eq!(count, 4, "in pieces of {size}");
        }
    }
}
