//! `http`: browsers that break the rules of HTTP, or are slow on purpose. The server must answer each as HTTP says,
//! with a bounded amount of memory, while the chat continues undisturbed.

use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::findings::{Findings, grouped};
use super::memory::MemoryWatch;
use super::stage::Stage;
use super::witness::{Where, Witnesses};
use crate::launch::Server;

/// The bound on the memory that one connection costs the server, in KiB: its buffers of 16 KiB for input and output, a
/// body of 64 KiB, its task, and a margin for the allocator.
const EACH_KIB_MAX: f64 = 128.0;

/// The time within which the server must answer a request that is complete or wrong.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// How long the server may take to give up a slow head or a slow body: the server's timeout plus a margin of 2 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10 + 2);
const BODY_TIMEOUT: Duration = Duration::from_secs(30 + 2);

/// The most bytes of answers that one connection reads.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The number of requests that a connection sends at once, before it reads an answer.
const PIPELINED: usize = 20;

/// A kind of connection: what it sends, and the answers that it must get.
struct Kind {
    name: &'static str,
    opening: Vec<u8>,
    /// Bytes that follow the opening, repeated until the server closes the connection. May be empty.
    more: Vec<u8>,
    pause: Duration,
    /// The status code of the answer that each connection must get.
    status: &'static str,
    /// How many answers with this status each connection must get.
    answers: usize,
    /// The longest time for which a connection sends and reads.
    lasting: Duration,
}

impl Kind {
    fn new(name: &'static str, opening: impl Into<Vec<u8>>, status: &'static str) -> Self {
        Self {
            name,
            opening: opening.into(),
            more: Vec::new(),
            pause: Duration::ZERO,
            status,
            answers: 1,
            lasting: ANSWERED_WITHIN,
        }
    }

    /// Returns whether the connections send without a pause until they are closed.
    fn is_endless(&self) -> bool {
        !self.more.is_empty() && self.pause.is_zero()
    }

    /// Makes the connections send `more` after each pause, for at most `lasting`.
    fn slowly(mut self, more: &str, pause: Duration, lasting: Duration) -> Self {
        self.more = more.into();
        (self.pause, self.lasting) = (pause, lasting);
        self
    }
}

fn kinds(stage: &Stage<'_>) -> Vec<Kind> {
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let post = "POST /rooms/lobby/messages HTTP/1.1\r\nHost: localhost\r\n";
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    // The answers to HEAD have no bodies, so this process need not read much.
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let second = Duration::from_secs(1);
    let mut kinds = vec![
        Kind {
            more: vec![b'x'; 64 * 1024],
            ..Kind::new(
                "1 GiB bodies",
                format!("{post}Content-Length: 1073741824\r\n\r\n"),
                "413",
            )
        },
        Kind {
            more: [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat(),
            ..Kind::new("endless chunked bodies", chunked.clone(), "413")
        },
        Kind::new("chunked nonsense", format!("{chunked}zz\r\n\r\n"), "400"),
        Kind::new(
            "huge chunk sizes",
            format!("{chunked}ffffffffffffffffff\r\n"),
            "400",
        ),
        Kind::new(
            "10,000 header lines",
            format!("{get}{}", "X: y\r\n".repeat(10_000)),
            "431",
        ),
        Kind {
            more: vec![b'x'; 64 * 1024],
            ..Kind::new("endless header lines", format!("{get}X: "), "431")
        },
        Kind {
            answers: PIPELINED,
            ..Kind::new("pipelined requests", head.repeat(PIPELINED), "200")
        },
        Kind::new("HTTP/0.9", "GET /\r\n", "505"),
        Kind::new("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        Kind::new(
            "hosts that are not allowed",
            "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "421",
        ),
    ];
    if stage.pick(true, false) {
        let body = format!("{post}Content-Length: 1000\r\n\r\n");
        kinds.push(Kind::new("slow heads", get, "408").slowly("X: y\r\n", second, HEAD_TIMEOUT));
        kinds.push(Kind::new("slow bodies", body, "408").slowly("x", second, BODY_TIMEOUT));
    }
    kinds
}

pub(super) async fn run(stage: &Stage<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let connections = stage.pick(500, 20);
    let kinds = kinds(stage);
    findings.did(format!(
        "{} kinds of requests, each on {} connections at the same time, while two members talk",
        kinds.len(),
        grouped(connections as u64)
    ));
    let server = stage.start(2 * connections + 16, &[])?;
    let witnesses = Witnesses::begin(server.port(), Where::Lobby).await?;
    // This first attack is not measured: it makes the server compress the page and create the allocator's arenas.
    attacked(&server, kinds.iter().find(|kind| kind.status == "200"), 2).await?;
    for kind in &kinds {
        let memory = MemoryWatch::begin(server.pid())?;
        let answers = attacked(&server, Some(kind), connections).await?;
        let each = memory.growth_kib() / connections as f64;
        let what = format!("{}: answered with {}", kind.name, kind.status);
        let expected = (connections * kind.answers) as u64;
        if kind.is_endless() {
            // The server closes the connection while the peer is still sending. The peer's operating system may then
            // discard the server's answer before the peer reads the answer.
            findings.at_least(&what, answers as u64, expected * 9 / 10);
        } else {
            findings.exactly(&what, answers as u64, expected);
        }
        findings.below(
            &format!("{}: memory for each", kind.name),
            each,
            EACH_KIB_MAX,
            "KiB",
        );
    }
    witnesses.testify(findings).await
}

/// Opens connections of one kind, and returns how many answers with the expected status they got.
async fn attacked(
    server: &Server,
    kind: Option<&Kind>,
    connections: usize,
) -> anyhow::Result<usize> {
    let Some(kind) = kind else {
        return Ok(0);
    };
    let mut sending = JoinSet::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
        let (opening, more) = (kind.opening.clone(), kind.more.clone());
        let (pause, lasting, answers) = (kind.pause, kind.lasting, kind.answers);
        let status = format!("HTTP/1.1 {} ", kind.status);
        sending.spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let writing = async {
                writer.write_all(&opening).await?;
                while !more.is_empty() {
                    sleep(pause).await;
                    writer.write_all(&more).await?;
                }
                // The sending direction stays open, because a browser does not close it either.
                std::future::pending::<std::io::Result<()>>().await
            };
            let reading = count(reader, status.as_bytes(), answers);
            let both = async {
                tokio::pin!(reading);
                tokio::select! {
                    found = &mut reading => found,
                    // The server may close its input before the answer is read.
                    _closed = writing => reading.await,
                }
            };
            timeout(lasting, both).await.unwrap_or(0)
        });
    }
    let mut answers = 0;
    while let Some(found) = sending.join_next().await {
        answers += found.context("a connection panicked")?;
    }
    Ok(answers)
}

/// Reads until `expected` answers with this status line have arrived, or the stream ends. Returns how many have
/// arrived.
async fn count(reader: impl tokio::io::AsyncRead + Unpin, status: &[u8], expected: usize) -> usize {
    let mut reader = reader.take(ANSWER_BYTES_MAX);
    let (mut bytes, mut found) = (Vec::new(), 0);
    loop {
        let read = reader.read_buf(&mut bytes).await.unwrap_or(0);
        let windows = bytes.windows(status.len());
        found += windows.filter(|window| *window == status).count();
        if read == 0 || found >= expected {
            return found;
        }
        // A status line may continue in the next read.
        bytes.drain(..bytes.len().saturating_sub(status.len() - 1));
    }
}
