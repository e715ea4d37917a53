//! The load generator: one thread and one epoll loop for all members of one server.
//!
//! The generator makes few system calls. A read returns up to 256 KiB, and a write sends all messages that a publisher
//! may send. Each delivered message is checked against the [`Ledger`] before it counts.

mod connection;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};

use crate::ledger::{Echo, Ledger, Receipt, Violation};
use crate::peer::{Frame, Peer, Who};
use crate::readiness::Until;
use crate::workload::Workload;
use connection::{Connection, Received, Stage};

/// The most bytes of one read: enough for all messages that are in flight.
const READ_BYTES: usize = 256 * 1024;

/// The most events that one poll returns.
const EVENTS_MAX: usize = 1024;

/// The longest time that one poll waits. After each poll, the generator checks whether the server has stalled.
const TURN_MAX: Duration = Duration::from_millis(100);

/// The longest latency that is recorded, in nanoseconds: one minute.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// A run ends after this time without received bytes. A duplicate closely follows its original, so it arrives within
/// this time.
const SETTLE: Duration = Duration::from_millis(10);

/// The clients of one server.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    peer: &'a dyn Peer,
    workload: &'a Workload,
    address: SocketAddr,
    stall: Duration,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    /// For each publisher, the index of its connection in `connections`.
    speakers: Vec<usize>,
    /// The time at which the generator was created. All other times are measured from this time.
    epoch: Instant,
    books: Books,
}

/// The state that changes while messages are received.
#[derive(Debug)]
struct Books {
    ledger: Ledger,
    latency: Histogram<u64>,
    welcomed: usize,
    published: u64,
    completed: u64,
    delivered: u64,
}

/// The condition under which a phase stops publishing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Stops after this many messages of all publishers together.
    Messages(u64),
    /// Stops after this much time.
    Elapsed(Duration),
}

/// The results of one phase. A phase lasts from the first message sent to the last message received.
#[derive(Debug)]
pub(crate) struct Phase {
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) elapsed: Duration,
    /// The time from sending a message until its last receiver has received it, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A message arrived that was corrupted, duplicated, reordered or sent to the wrong member.
    #[error("{0}")]
    Violation(#[from] Violation),
    /// The server sent an error, or a line that is not part of its protocol.
    #[error("{who:?} got an unexpected line: {text:?}")]
    Wrong { who: Who, text: String },
    /// The server closed the connection.
    #[error("the server closed the connection of {0:?}")]
    Closed(Who),
    /// No message arrived for `seconds`. `owed` describes the missing deliveries.
    #[error("no delivery for {seconds} s: {owed}")]
    Stalled { seconds: u64, owed: String },
    /// Only `got` of `wanted` connections were accepted. `first` is the first client that still waits.
    #[error(
        "only {got} of {wanted} connections were accepted after {seconds} s without progress; {first:?} still waits"
    )]
    NotIn {
        got: usize,
        wanted: usize,
        first: Option<Who>,
        seconds: u64,
    },
    /// The socket of a connection failed.
    #[error("{who:?}: {error}")]
    Socket { who: Who, error: io::Error },
    /// The poll failed, or a socket could not be created.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl<'a> Generator<'a> {
    /// Creates a generator for the server on `port`. The generator has no connections yet.
    pub(crate) fn new(
        peer: &'a dyn Peer,
        workload: &'a Workload,
        port: u16,
        stall: Duration,
    ) -> Result<Self, Failure> {
        let ledger = Ledger::new(
            workload.members,
            workload.publishers,
            workload.payload,
            peer.echo(),
        );
        Ok(Self {
            peer,
            workload,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            stall,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            buffer: vec![0; READ_BYTES],
            connections: Vec::new(),
            speakers: vec![0; workload.publishers],
            epoch: Instant::now(),
            books: Books {
                ledger,
                latency: new_histogram(),
                welcomed: 0,
                published: 0,
                completed: 0,
                delivered: 0,
            },
        })
    }

    /// Connects all members and publishers of the workload, and returns when the server has accepted all of them.
    pub(crate) fn connect_all(&mut self) -> Result<(), Failure> {
        let mut newcomers = Vec::new();
        if self.peer.echo() == Echo::Apart {
            newcomers.extend((0..self.workload.publishers).map(Who::Publisher));
        }
        newcomers.extend((0..self.workload.members).map(Who::Member));
        newcomers.extend((0..self.workload.stuck).map(Who::Stuck));
        self.connect(&newcomers)
    }

    /// Connects `newcomers`, at most [`Peer::connecting_max`] at a time, and returns when the server has accepted all
    /// of them.
    pub(crate) fn connect(&mut self, newcomers: &[Who]) -> Result<(), Failure> {
        let before = self.books.welcomed;
        let mut waiting = newcomers.iter();
        let mut since = Instant::now();
        let mut started = 0;
        while self.books.welcomed - before < newcomers.len() {
            let welcomed = self.books.welcomed;
            while started - (welcomed - before) < self.peer.connecting_max() {
                let Some(who) = waiting.next() else { break };
                self.start_connecting(*who)?;
                started += 1;
            }
            self.turn(self.stall.min(TURN_MAX))?;
            if self.books.welcomed > welcomed {
                since = Instant::now();
            } else if since.elapsed() > self.stall {
                return Err(Failure::NotIn {
                    got: self.books.welcomed - before,
                    wanted: newcomers.len(),
                    first: self.first_waiting(),
                    seconds: self.stall.as_secs(),
                });
            }
        }
        Ok(())
    }

    /// Publishes until the goal is reached, and returns when all messages have been delivered.
    pub(crate) fn run(&mut self, goal: Goal) -> Result<Phase, Failure> {
        self.books.latency = new_histogram();
        let (published, delivered) = (self.books.published, self.books.delivered);
        let start = Instant::now();
        let mut progress = (delivered, start);
        let mut now = start;
        loop {
            let is_over = match goal {
                Goal::Messages(n) => self.books.published - published >= n,
                Goal::Elapsed(duration) => now - start >= duration,
            };
            if !is_over {
                let allowance = match goal {
                    Goal::Messages(n) => n - (self.books.published - published),
                    Goal::Elapsed(_) => u64::MAX,
                };
                self.fill_windows(allowance)?;
            } else if self.books.published == self.books.completed {
                break;
            }
            self.turn(self.stall.min(TURN_MAX))?;
            now = Instant::now();
            if self.books.delivered > progress.0 {
                progress = (self.books.delivered, now);
            } else if now - progress.1 > self.stall {
                return Err(Failure::Stalled {
                    seconds: self.stall.as_secs(),
                    owed: self.books.ledger.describe_owed(),
                });
            }
        }
        Ok(Phase {
            messages: self.books.published - published,
            deliveries: self.books.delivered - delivered,
            elapsed: now - start,
            latency: self.books.latency.clone(),
        })
    }

    /// Publishes nothing for `duration`, but keeps receiving and answers the server's pings.
    pub(crate) fn rest(&mut self, duration: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        while let Some(left) = duration.checked_sub(start.elapsed()) {
            self.turn(left.min(TURN_MAX))?;
        }
        Ok(())
    }

    /// Receives until nothing arrives for [`SETTLE`], so that duplicate deliveries are found.
    pub(crate) fn settle(&mut self) -> Result<(), Failure> {
        while self.turn(SETTLE)? > 0 {}
        Ok(())
    }

    /// Closes all connections with a reset, so that no port stays in TIME_WAIT.
    pub(crate) fn hang_up(self) {
        for connection in self.connections {
            connection.reset();
        }
    }

    fn first_waiting(&self) -> Option<Who> {
        let mut connections = self.connections.iter();
        let is_waiting = |stage: Stage| matches!(stage, Stage::Connecting | Stage::LoggingIn);
        connections
            .find(|connection| is_waiting(connection.stage))
            .map(|connection| connection.who)
    }

    fn start_connecting(&mut self, who: Who) -> Result<(), Failure> {
        let index = self.connections.len();
        let registry = self.poll.registry();
        let connection = Connection::start(self.address, who, index, registry)
            .map_err(|error| Failure::Socket { who, error })?;
        match who {
            Who::Member(n) if self.peer.echo() != Echo::Apart && n < self.speakers.len() => {
                self.speakers[n] = index;
            }
            Who::Publisher(n) => self.speakers[n] = index,
            Who::Member(_) | Who::Stuck(_) => {}
        }
        self.connections.push(connection);
        Ok(())
    }

    /// Publishes until the window of each publisher is full, at most `allowance` messages in total.
    fn fill_windows(&mut self, mut allowance: u64) -> Result<(), Failure> {
        let now = self.epoch.elapsed().as_nanos() as u64;
        let mut payload = Vec::with_capacity(self.workload.payload);
        for publisher in 0..self.workload.publishers {
            let connection = &mut self.connections[self.speakers[publisher]];
            let outstanding = self.books.ledger.outstanding(publisher);
            let window = self.workload.window_of(publisher);
            let room = (window.saturating_sub(outstanding) as u64).min(allowance);
            if room == 0 {
                continue;
            }
            for _ in 0..room {
                payload.clear();
                self.books.ledger.publish(publisher, now, &mut payload);
                self.peer.publish(&payload, &mut connection.output);
            }
            allowance -= room;
            self.books.published += room;
            let who = connection.who;
            connection
                .flush()
                .map_err(|error| Failure::Socket { who, error })?;
        }
        Ok(())
    }

    /// Waits for events and handles them. Returns the number of events.
    fn turn(&mut self, timeout: Duration) -> Result<usize, Failure> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            other => other?,
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let connection = &mut self.connections[event.token().0];
            if connection.stage == Stage::Stuck {
                continue;
            }
            let who = connection.who;
            let socket = |error| Failure::Socket { who, error };
            if event.is_writable() || event.is_error() {
                if connection.stage == Stage::Connecting
                    && connection.finish_connecting().map_err(socket)?
                {
                    self.peer.login(who, &mut connection.output);
                }
                connection.flush().map_err(socket)?;
            }
            if event.is_readable() || event.is_read_closed() {
                let reading = Reading {
                    peer: self.peer,
                    epoch: self.epoch,
                    books: &mut self.books,
                };
                let until = Until::of(event);
                reading.drain(connection, &mut self.buffer, until)?;
                if is_now_stuck(connection) {
                    connection.stop_reading(self.poll.registry())?;
                }
            }
        }
        Ok(count)
    }
}

/// The context for reading from one connection.
#[derive(Debug)]
struct Reading<'a> {
    peer: &'a dyn Peer,
    epoch: Instant,
    books: &'a mut Books,
}

impl Reading<'_> {
    /// Reads and handles everything that the socket holds.
    fn drain(
        mut self,
        connection: &mut Connection,
        buffer: &mut [u8],
        until: Until,
    ) -> Result<(), Failure> {
        let who = connection.who;
        loop {
            match connection.receive(buffer) {
                Ok(Received::Nothing) => return Ok(()),
                Ok(Received::Closed) => return Err(Failure::Closed(who)),
                Ok(Received::Bytes { length, is_all }) => {
                    let used = self.digest(connection, &buffer[..length])?;
                    connection.hold(&buffer[used..length]);
                    if (is_all && until == Until::Short) || is_now_stuck(connection) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(Failure::Socket { who, error }),
            }
        }
    }

    /// Handles every complete frame in `bytes`. Returns how many bytes these frames take.
    fn digest(&mut self, connection: &mut Connection, bytes: &[u8]) -> Result<usize, Failure> {
        let who = connection.who;
        let mut at = 0;
        loop {
            at += match self.peer.next(&bytes[at..]) {
                Frame::Incomplete => return Ok(at),
                Frame::Message {
                    payload,
                    named,
                    used,
                } => {
                    self.deliver(who, payload, named)?;
                    used
                }
                Frame::Welcome { used } => {
                    if connection.stage != Stage::In {
                        connection.stage = Stage::In;
                        self.books.welcomed += 1;
                    }
                    used
                }
                Frame::Notice { used } => used,
                Frame::Switched { used } => {
                    self.peer.continue_login(who, &mut connection.output);
                    connection
                        .flush()
                        .map_err(|error| Failure::Socket { who, error })?;
                    used
                }
                Frame::Answer { bytes, used } => {
                    connection.output.extend_from_slice(&bytes);
                    connection
                        .flush()
                        .map_err(|error| Failure::Socket { who, error })?;
                    used
                }
                Frame::Wrong { text } => return Err(Failure::Wrong { who, text }),
            };
        }
    }

    fn deliver(&mut self, who: Who, payload: &[u8], named: Option<u32>) -> Result<(), Failure> {
        let Who::Member(member) = who else {
            let text = String::from_utf8_lossy(payload).into_owned();
            return Err(Failure::Wrong { who, text });
        };
        let receipt = self.books.ledger.receive(member, payload, named)?;
        self.books.delivered += 1;
        if let Receipt::Complete { sent_at } = receipt {
            self.books.completed += 1;
            let now = self.epoch.elapsed().as_nanos() as u64;
            self.books
                .latency
                .saturating_record(now.saturating_sub(sent_at));
        }
        Ok(())
    }
}

fn is_now_stuck(connection: &Connection) -> bool {
    matches!(connection.who, Who::Stuck(_)) && connection.stage == Stage::In
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX_NS, 3).expect("the bounds are constants and valid")
}

#[cfg(test)]
mod tests {
    //! Checks that a faulty server is detected. Two members use real sockets, and a thread alters what one member sends
    //! to the other member.

    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::PathBuf;
    use std::thread::JoinHandle;

    use super::*;
    use crate::peer::{GREETING, Raw};
    use crate::workload::WorkloadName;

    /// The most messages in flight.
    const WINDOW: usize = 3;

    /// Serves two members. The lines of the first member are passed through `garble` and sent to the second member.
    fn serve(garble: fn(Vec<String>) -> Vec<String>) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let greeted = |listener: &TcpListener| -> TcpStream {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(GREETING).unwrap();
            stream
        };
        let thread = std::thread::spawn(move || {
            let publisher = greeted(&listener);
            let mut member = greeted(&listener);
            let lines = BufReader::new(&publisher).lines();
            let lines: Vec<String> = lines.take(WINDOW).map(Result::unwrap).collect();
            let mut answer = garble(lines).join("\n");
            answer.push('\n');
            member.write_all(answer.as_bytes()).unwrap();
            // Waits until the client closes the connection, so that the server does not close it first.
            let mut rest = String::new();
            drop(BufReader::new(member).read_line(&mut rest));
        });
        (port, thread)
    }

    /// Returns the generator's result for a server that applies `garble` to the messages 0, 1 and 2.
    fn verdict(garble: fn(Vec<String>) -> Vec<String>) -> Result<Phase, Failure> {
        let (port, thread) = serve(garble);
        let mut workload = Workload::standard(WorkloadName::A);
        (workload.members, workload.window) = (2, WINDOW);
        let floor = Raw::floor(PathBuf::new());
        let stall = Duration::from_millis(500);
        let mut generator = Generator::new(&floor, &workload, port, stall).unwrap();
        let phase = generator
            .connect_all()
            .and_then(|()| generator.run(Goal::Messages(WINDOW as u64)))
            .and_then(|phase| generator.settle().map(|()| phase));
        generator.hang_up();
        thread.join().unwrap();
        phase
    }

    #[test]
    fn a_correct_server_passes() {
        let phase = verdict(|lines| lines).unwrap();
        assert_eq!((phase.messages, phase.deliveries), (3, 3));
        assert_eq!(phase.latency.len(), 3);
    }

    #[test]
    fn a_lost_message_fails_the_run() {
        let failure = verdict(|lines| vec![lines[0].clone(), lines[2].clone()]);
        let text = failure.unwrap_err().to_string();
        assert!(
            text.contains("expected message 1 of publisher 0 but got 2"),
            "{text}"
        );
    }

    #[test]
    fn a_lost_last_message_fails_the_run() {
        let failure = verdict(|lines| lines[..2].to_vec());
        let text = failure.unwrap_err().to_string();
        assert!(
            text.contains("member 1 expected message 2 of publisher 0"),
            "{text}"
        );
    }

    #[test]
    fn a_duplicated_last_message_fails_the_run() {
        let failure = verdict(|lines| [lines.clone(), vec![lines[2].clone()]].concat());
        assert!(matches!(
            failure.unwrap_err(),
            Failure::Violation(Violation::Repeated { got: 2, .. })
        ));
    }

    #[test]
    fn reordered_messages_fail_the_run() {
        let failure = verdict(|lines| lines.into_iter().rev().collect());
        assert!(matches!(
            failure.unwrap_err(),
            Failure::Violation(Violation::Skipped { .. })
        ));
    }

    #[test]
    fn a_corrupted_message_fails_the_run() {
        let failure = verdict(|lines| lines.iter().map(|line| line.replace('d', "D")).collect());
        assert!(matches!(
            failure.unwrap_err(),
            Failure::Violation(Violation::Corrupted { .. })
        ));
    }
}
