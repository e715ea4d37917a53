//! The hub of a scenario. Only this file uses the API of chat-core, so that the scenarios stay the same when the API
//! changes.

use crate::journal::{Fault, JournalFaults, unreliable};
use crate::policy::{ByAddress, WORDS};
use chat_core::listener::Listener;
use chat_core::log::Timestamp;
use chat_core::{Hub, HubBuilder, Limits, Member, Peer, Rate, RoomName, Server, Session};
use chat_json::JsonLines;
use chat_testkit::{Faults, FaultyStream, NOW, TestHub};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60_000;

thread_local! {
    /// The time of the hub's clock. Each test has its own thread, on which the whole hub of the test runs.
    static CLOCK: Cell<u64> = const { Cell::new(NOW.0) };
}

type Stream = FaultyStream<DuplexStream>;

/// The settings that a scenario chooses before the first step.
pub(crate) struct Settings {
    limits: Limits,
    builder: HubBuilder,
    is_unreliable: bool,
    has_listener: bool,
}

/// A hub with its connections, and its sessions in process.
pub(crate) struct Host {
    hub: Hub,
    serving: Serving,
    faults: Option<JournalFaults>,
    sessions: HashMap<String, Session>,
    members: HashMap<(String, String), Member>,
    crowd: Vec<(Session, Member)>,
}

/// How connections are served.
enum Serving {
    /// Each connection is served on its own.
    Streams(TestHub),
    /// One listener accepts all connections, and applies its limits to them.
    Listener {
        connections: mpsc::UnboundedSender<(Stream, Peer)>,
        _tasks: JoinSet<()>,
    },
}

struct InMemory(mpsc::UnboundedReceiver<(Stream, Peer)>);

impl Listener for InMemory {
    type Io = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        match self.0.recv().await {
            Some(accepted) => Ok(accepted),
            None => pending().await,
        }
    }
}

impl Settings {
    pub(crate) fn new() -> Self {
        CLOCK.set(NOW.0);
        let mut limits = Limits::default();
        limits.rate = None;
        Self {
            limits,
            builder: Hub::builder(),
            is_unreliable: false,
            has_listener: false,
        }
    }

    /// Changes the setting `name`.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        let limits = &mut self.limits;
        match name {
            "announce" => limits.announce = parse(value),
            "answers_per_address" => limits.answers_per_address = Some(parse_rate(value)),
            "connections" => limits.connections = parse(value),
            "connects_per_address" => limits.connects_per_address = Some(parse_rate(value)),
            "history" => limits.history = parse(value),
            "history_max" => limits.history_max = parse(value),
            "joins_per_address" => limits.joins_per_address = Some(parse_rate(value)),
            "journal_messages" => limits.journal_messages = parse(value),
            "line_bytes" => limits.line_bytes = parse(value),
            "mailbox" => limits.mailbox = parse(value),
            "per_address" => limits.per_address = Some(parse(value)),
            "queue_bytes" => limits.queue_bytes = parse(value),
            "rate" => limits.rate = Some(parse_rate(value)),
            "ring_batches" => limits.ring_batches = parse::<NonZeroUsize>(value),
            "rooms" => limits.rooms = parse(value),
            "rooms_per_address" => limits.rooms_per_address = Some(parse(value)),
            "rooms_per_session" => limits.rooms_per_session = parse(value),
            "journal" if value == "unreliable" => self.is_unreliable = true,
            "listener" if value == "on" => self.has_listener = true,
            "policy" if value == "by-word" => {
                self.builder = self.builder.policy(ByAddress).policy(WORDS);
            }
            "lobby" => self.builder = self.builder.lobby(RoomName::parse(value).unwrap()),
            "motd" => self.builder = self.builder.motd(value),
            _ => panic!("no such setting: {name} {value}"),
        }
        self
    }

    pub(crate) fn build(self) -> Host {
        let mut faults = None;
        let mut builder = self.builder;
        if self.is_unreliable {
            let (journal, its_faults) = unreliable(&self.limits);
            builder = builder.journal(journal);
            faults = Some(its_faults);
        }
        builder = builder
            .limits(self.limits)
            .delivery_tasks(2)
            .clock(|| Timestamp(CLOCK.get()));
        let hub = builder.build();
        let serving = if self.has_listener {
            let (connections, rx) = mpsc::unbounded_channel();
            let server = Server::new(hub.clone()).protocol(JsonLines::default());
            let mut tasks = JoinSet::new();
            tasks.spawn(server.serve(InMemory(rx), pending()));
            Serving::Listener {
                connections,
                _tasks: tasks,
            }
        } else {
            Serving::Streams(TestHub::over(hub.clone()).protocol(JsonLines::default()))
        };
        Host {
            hub,
            serving,
            faults,
            sessions: HashMap::new(),
            members: HashMap::new(),
            crowd: Vec::new(),
        }
    }
}

impl Host {
    /// Opens a connection. The stream holds `stream_bytes` bytes in each direction.
    pub(crate) fn connect(
        &mut self,
        address: Option<&str>,
        stream_bytes: usize,
    ) -> (DuplexStream, Faults) {
        let peer = match address {
            Some(address) => Peer::from(parse::<SocketAddr>(address)),
            None => Peer::default(),
        };
        let (near, far) = tokio::io::duplex(stream_bytes);
        let (far, faults) = FaultyStream::new(far);
        match &mut self.serving {
            Serving::Streams(hub) => hub.serve(far, peer),
            Serving::Listener { connections, .. } => drop(connections.send((far, peer))),
        }
        (near, faults)
    }

    /// Sets the clock to this time of a day in January 1970.
    pub(crate) fn set_clock(&self, day: &str, time: &str) {
        let (hour, minute) = time.split_once(':').unwrap();
        let minutes = parse::<u64>(hour) * 60 + parse::<u64>(minute);
        CLOCK.set((parse::<u64>(day) - 1) * DAY + minutes * 60_000);
    }

    pub(crate) fn set_journal(&self, fault: &str) {
        let fault = match fault {
            "works" => Fault::None,
            "fails" => Fault::Unavailable,
            "is-uncertain" => Fault::Uncertain,
            "is-unreadable" => Fault::Unreadable,
            _ => panic!("no such fault: {fault}"),
        };
        self.faults.as_ref().unwrap().set(fault);
    }

    /// Runs an action of the application. The action has a name and arguments.
    pub(crate) async fn perform(&mut self, action: &str, arguments: &str) {
        let (one, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let (two, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match action {
            "join" => {
                let member = self.session(one).await.join(two).await.unwrap();
                self.members
                    .insert((one.to_owned(), two.to_owned()), member);
            }
            "leave" => drop(self.members.remove(&(one.to_owned(), two.to_owned()))),
            "say" => {
                self.session(one).await.publish(two, text).await.unwrap();
            }
            "tell" => drop(self.session(one).await.tell(two, text).await.unwrap()),
            "flood" => {
                let session = self.session(one).await;
                for number in 1..=parse::<usize>(text) {
                    session.publish(two, &number.to_string()).await.unwrap();
                    // The wait lets all members that read receive this message before the hub publishes the next one.
                    wait("1").await;
                }
            }
            "crowd" => {
                for number in 1..=parse::<usize>(two) {
                    let session = self
                        .hub
                        .session(Some(&format!("crowd-{number}")))
                        .await
                        .unwrap();
                    let member = session.join(one).await.unwrap();
                    self.crowd.push((session, member));
                }
            }
            "disperse" => self.crowd.truncate(self.crowd.len() - parse::<usize>(one)),
            "kick" => drop(self.hub.kick(one, rest).await.unwrap()),
            "remove" => drop(self.hub.remove(one, two, text).await.unwrap()),
            "close" => {
                self.hub.close_room(one, rest).unwrap();
            }
            "drain" => self.hub.drain(),
            _ => panic!("no such action: {action}"),
        }
    }

    /// Returns the session in process with this nick, and creates it if needed.
    async fn session(&mut self, nick: &str) -> &Session {
        if !self.sessions.contains_key(nick) {
            let session = self.hub.session(Some(nick)).await.unwrap();
            self.sessions.insert(nick.to_owned(), session);
        }
        &self.sessions[nick]
    }
}

fn parse<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Parses a rate: `20/5` means 20 lines at once, and then 5 lines a second.
fn parse_rate(text: &str) -> Rate {
    let (burst, per_second) = text.split_once('/').unwrap();
    Rate {
        burst: parse(burst),
        per_second: parse(per_second),
    }
}

pub(crate) async fn wait(milliseconds: &str) {
    tokio::time::sleep(Duration::from_millis(parse(milliseconds))).await;
}
