//! Runs a scenario: performs the steps, and records the output to each connection after each step.

use crate::hub::{Host, Settings, wait};
use crate::notation::{Names, escape, unescape};
use chat_testkit::Faults;
use futures::FutureExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// How long to wait for all tasks to become idle. In paused time, a millisecond passes only when all tasks wait.
const QUIET: Duration = Duration::from_millis(1);

/// The capacity of a stream in each direction, in bytes, unless a scenario sets another one. No scenario sends this
/// many bytes.
const STREAM_BYTES: usize = 4 * 1024 * 1024;

/// How long the server may take to accept the bytes that a peer sends.
const PATIENCE: Duration = Duration::from_secs(1);

/// The peer's end of a connection.
struct Peer {
    name: String,
    /// The stream. `None` after the peer or the server has closed it.
    stream: Option<DuplexStream>,
    faults: Faults,
    is_paused: bool,
    /// Whether the server has closed the connection since the last recording.
    has_ended: bool,
}

/// Runs the steps of a scenario. Returns the scenario with the output that was recorded.
pub(crate) async fn run(scenario: &str) -> String {
    let mut lines = scenario
        .lines()
        .filter(|line| !is_received(line))
        .peekable();
    let (mut settings, mut written) = (Settings::new(), String::new());
    while let Some(line) = lines.next_if(|line| is_remark(line) || line.starts_with("set ")) {
        if let Some((name, value)) = line.strip_prefix("set ").and_then(|s| s.split_once(' ')) {
            let value = String::from_utf8(unescape(value)).unwrap();
            settings = settings.set(name, &value);
        }
        written.extend([line, "\n"]);
    }
    let mut stage = Stage {
        host: settings.build(),
        peers: Vec::new(),
        names: Names::default(),
    };
    for line in lines {
        written.extend([line, "\n"]);
        if !is_remark(line) {
            stage.step(line).await;
            stage.settle(&mut written).await;
        }
    }
    written
}

fn is_remark(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// Returns whether a line of the file is recorded output.
fn is_received(line: &str) -> bool {
    let mut words = line.split(' ');
    let who = words.next().unwrap_or_default();
    let is_closed = words.next() == Some("closed") && words.next().is_none();
    !line.starts_with('#') && (who.ends_with('<') || is_closed)
}

struct Stage {
    host: Host,
    peers: Vec<Peer>,
    names: Names,
}

impl Stage {
    async fn step(&mut self, line: &str) {
        let (first, text) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(name) = first.strip_suffix(">>") {
            self.send(name, unescape(&self.names.reveal(text))).await;
        } else if let Some(name) = first.strip_suffix('>') {
            let mut bytes = unescape(&self.names.reveal(text));
            bytes.push(b'\n');
            self.send(name, bytes).await;
        } else {
            let words: Vec<&str> = text.split(' ').collect();
            let word = |at: usize| words.get(at).copied().unwrap_or_default();
            match (first, word(0)) {
                ("connect", name) => self.connect(name, &words[1..]),
                ("wait", milliseconds) => wait(milliseconds).await,
                ("clock", day) => self.host.set_clock(day, word(1)),
                ("journal", fault) => self.host.set_journal(fault),
                ("hub", action) => {
                    let arguments = text[action.len()..].trim_start();
                    let arguments = String::from_utf8(unescape(arguments)).unwrap();
                    self.host.perform(action, &arguments).await;
                }
                (name, "pauses") => self.peer(name).is_paused = true,
                (name, "resumes") => self.peer(name).is_paused = false,
                (name, "ends") => self.stream(name).shutdown().await.unwrap(),
                (name, "drops") => self.peer(name).stream = None,
                (name, "resets") => self.peer(name).faults.reset(),
                _ => panic!("no such step: {line}"),
            }
        }
    }

    fn connect(&mut self, name: &str, options: &[&str]) {
        let (mut address, mut stream_bytes) = (None, STREAM_BYTES);
        for option in options.chunks(2) {
            match option {
                ["from", from] => address = Some(*from),
                ["holding", bytes] => stream_bytes = bytes.parse().unwrap(),
                _ => panic!("no such option: {option:?}"),
            }
        }
        let (stream, faults) = self.host.connect(address, stream_bytes);
        self.peers.retain(|peer| peer.name != name);
        self.peers.push(Peer {
            name: name.to_owned(),
            stream: Some(stream),
            faults,
            is_paused: false,
            has_ended: false,
        });
    }

    /// Sends bytes as the peer `name`. If the server has closed the connection, nothing is sent.
    async fn send(&mut self, name: &str, bytes: Vec<u8>) {
        if let Some(stream) = &mut self.peer(name).stream {
            let sending = tokio::time::timeout(PATIENCE, stream.write_all(&bytes)).await;
            drop(sending.expect("the server reads"));
        }
    }

    fn peer(&mut self, name: &str) -> &mut Peer {
        let found = self.peers.iter_mut().find(|peer| peer.name == name);
        found.unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    fn stream(&mut self, name: &str) -> &mut DuplexStream {
        self.peer(name).stream.as_mut().expect("the stream is open")
    }

    /// Waits until all tasks are idle, and records the output to each connection.
    async fn settle(&mut self, written: &mut String) {
        let mut received = vec![Vec::new(); self.peers.len()];
        let mut is_quiet = false;
        while !is_quiet {
            tokio::time::sleep(QUIET).await;
            is_quiet = true;
            for (peer, received) in self.peers.iter_mut().zip(&mut received) {
                is_quiet &= !peer.take(received);
            }
        }
        for (peer, received) in self.peers.iter_mut().zip(received) {
            for line in received.split_inclusive(|&byte| byte == b'\n') {
                let (sign, line) = match line.strip_suffix(b"\n") {
                    Some(line) => ("<", line),
                    None => ("<<", line),
                };
                let line = self.names.hide(&escape(line));
                let line = format!("{}{sign} {line}", peer.name);
                written.extend([line.trim_end(), "\n"]);
            }
            if peer.has_ended {
                peer.has_ended = false;
                peer.stream = None;
                written.extend([&*peer.name, " closed\n"]);
            }
        }
    }
}

impl Peer {
    /// Appends the bytes that have arrived to `received`. Returns whether any bytes had arrived.
    fn take(&mut self, received: &mut Vec<u8>) -> bool {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.is_paused) else {
            return false;
        };
        let before = received.len();
        let mut chunk = [0; 64 * 1024];
        while let Some(read) = stream.read(&mut chunk).now_or_never() {
            match read {
                Ok(count @ 1..) => received.extend_from_slice(&chunk[..count]),
                _ => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        received.len() > before
    }
}
