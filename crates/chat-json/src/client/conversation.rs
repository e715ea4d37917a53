//! The protocol between a client and its server, over any number of connections.
//!
//! Invariant: this module never waits and does no I/O. It takes lines of the server and requests of the caller. It
//! produces lines for the server, results and events. After a disconnect, the client either repeats an unanswered
//! request or fails it as interrupted, according to the kind of the request.

mod nick;
mod rooms;
#[cfg(test)]
mod tests;
mod unanswered;

use super::event::{Event, Room};
use super::own::OwnMessages;
use super::request::{Call, Present, RequestError, RequestKind, printable};
use super::room::{JoinRequest, JoinedRoom};
use crate::token::Token;
use crate::wire::{self, Id, Incoming, Request, Text, VERSION};
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use unanswered::{Asked, ComesBack, Question, Unanswered};

/// The maximum number of unanswered requests. At the limit, further requests wait in the caller's channel.
const UNANSWERED_MAX: usize = 256;

/// If this many events wait in [`Conversation`], the client leaves further messages unread in the server's log. The
/// client may also drop other events. Events in the channel to the caller do not count.
const EVENTS_MAX: usize = 1024;

/// The maximum number of messages that the client reads from a log with one request.
const PAGE: usize = 100;

/// How long the server may be silent before the client pings it. The server's welcome may set another value.
const PING_AFTER: Duration = Duration::from_secs(25);

/// How long the client waits for the answer to a ping before it gives up the connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How a client presents itself to the server, and which rooms it joins.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) nick: Option<String>,
    /// The secret by which the server recognises the client.
    pub(super) token: Option<Token>,
    pub(super) program: String,
    pub(super) echo: bool,
    pub(super) guest_if_refused: bool,
    pub(super) rooms: Vec<JoinRequest>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nick: None,
            token: Token::make(),
            program: concat!("chat-json/", env!("CARGO_PKG_VERSION")).into(),
            echo: false,
            guest_if_refused: false,
            rooms: Vec::new(),
        }
    }
}

/// The state of a client. It outlasts the client's connections.
#[derive(Debug)]
pub(super) struct Conversation {
    nick: Option<String>,
    /// The nick to return to if the server refuses `nick`. Set if the caller changes the nick while there is no
    /// connection, and cleared once the server accepts the hello. `Some(None)` means that the client was a guest.
    nick_before: Option<Option<String>>,
    /// Whether the server has granted `nick` before. If so, and the nick is taken now, a lost connection of this client
    /// may still hold the nick.
    has_nick: bool,
    /// The time since which the server has refused `nick`; `None` if the server does not refuse it.
    nick_refused_since: Option<Instant>,
    guest_if_refused: bool,
    /// The secret by which the server recognises the client.
    token: Option<Token>,
    /// Whether the server has sent a token. A server with tokens recognises the keys of messages by the token. A server
    /// without tokens recognises them by the nick.
    is_known_by_token: bool,
    program: String,
    echo: bool,
    /// The rooms that the client is in, or joins again after a disconnect.
    places: Vec<JoinedRoom>,
    /// The rooms that the client has not joined yet. The next hello (the first request of a connection) joins them.
    wanted: Vec<JoinRequest>,
    unanswered: Unanswered,
    /// Whether the hello was sent on this connection.
    has_begun: bool,
    /// Whether the server has accepted the hello on this connection.
    is_welcome: bool,
    /// The bytes to send to the server.
    output: BytesMut,
    events: VecDeque<Event>,
    /// How many direct messages were dropped since the last [`Event::DirectsMissed`].
    directs_missed: u64,
    next_id: u64,
    own: OwnMessages,
    /// The silence after which the client pings the server.
    ping_after: Duration,
    /// The time at which the last line of the server arrived, or at which the connection began.
    heard: Instant,
    /// Whether the client has sent a ping that the server has not answered.
    is_asked: bool,
}

/// What a line of the server means for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The connection continues.
    GoOn,
    /// The hello was accepted.
    Welcome,
    /// The server refused the hello with this error.
    Refused(RequestError),
    /// The server closes the connection. If the server has given a duration, the client should wait that long before it
    /// reconnects.
    Bye(Option<Duration>),
    /// The server closes the session for good, with this reason.
    SentAway(String),
    /// The server has answered the client's `quit`.
    Over,
}

impl Conversation {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            nick: setup.nick,
            nick_before: None,
            has_nick: false,
            nick_refused_since: None,
            guest_if_refused: setup.guest_if_refused,
            token: setup.token,
            is_known_by_token: false,
            program: setup.program,
            echo: setup.echo,
            places: Vec::new(),
            wanted: setup.rooms,
            unanswered: Unanswered::default(),
            has_begun: false,
            is_welcome: false,
            output: BytesMut::new(),
            events: VecDeque::new(),
            directs_missed: 0,
            next_id: 1,
            own: OwnMessages::new(),
            ping_after: PING_AFTER,
            heard: Instant::now(),
            is_asked: false,
        }
    }

    /// Accepts a request of the caller. [`takes_calls`](Self::takes_calls) must have returned `true`.
    pub(super) fn call(&mut self, call: Call, now: Instant) {
        let Some(mut call) = self.note_nick(call) else {
            return;
        };
        if call.kind == RequestKind::Say {
            call.request.key = Some(self.own.key().into());
        }
        if call.kind == RequestKind::Nick
            && let Some(nick) = &call.request.nick
        {
            // Adds the nick now, because messages under the new nick may arrive before the answer to this request.
            self.own.goes_by(nick);
        }
        let id = self.id();
        call.request.id = Some(Id::Unsigned(id));
        let Some(call) = call.if_fits() else {
            return;
        };
        self.unanswered.push(Asked {
            id,
            request: call.request,
            question: Question::Callers(call.kind, call.done),
            sent: None,
            is_repeated: false,
        });
        self.send_unsent(now);
    }

    /// Returns whether one more request may wait for its answer.
    pub(super) fn takes_calls(&self) -> bool {
        self.unanswered.len() < UNANSWERED_MAX
    }

    /// Starts a new connection: writes the hello.
    pub(super) fn begin(&mut self, now: Instant) {
        self.output.clear();
        self.has_begun = true;
        self.heard = now;
        self.is_asked = false;
        let places = self.places.iter().map(JoinedRoom::request);
        let wanted = self.wanted.iter().map(JoinRequest::request);
        let join = places.chain(wanted).collect();
        let hello = Request {
            id: Some(Id::Unsigned(HELLO)),
            v: Some(VERSION),
            nick: self.nick.clone().map(Text::from),
            token: self.token.clone().map(Text::from),
            client: Some(self.program.clone().into()),
            // The client needs its own messages to know its position in the log. `OwnMessages` decides whether the
            // caller sees them.
            echo: Some(true),
            join,
            ..Request::new("hello")
        };
        self.write(&hello);
    }

    /// Handles a lost connection: keeps the unanswered requests that are safe to repeat, and interrupts the others.
    pub(super) fn interrupt(&mut self, now: Instant) {
        (self.has_begun, self.is_welcome) = (false, false);
        self.output.clear();
        let comes_back = if self.nick.is_some() || self.is_known_by_token {
            ComesBack::AsItself
        } else {
            ComesBack::AsGuest
        };
        self.unanswered.interrupt(comes_back, now);
    }

    /// Closes the client: fails the unanswered requests, and queues the last events for the caller.
    pub(super) fn close(&mut self, why: String) {
        self.unanswered.close();
        for place in std::mem::take(&mut self.places) {
            self.abandon(place);
        }
        let count = std::mem::take(&mut self.directs_missed);
        if count > 0 {
            self.tell(Event::DirectsMissed { count });
        }
        self.tell(Event::Closed { why });
    }

    /// Tells the caller that there is no connection.
    pub(super) fn note_offline(&mut self, why: String, retry_in: Duration) {
        // Replaces an unread `Offline` event, so that failed attempts do not fill the queue.
        if let Some(Event::Offline { .. }) = self.events.back() {
            self.events.pop_back();
        }
        self.note(Event::Offline { why, retry_in });
    }

    /// Handles a line of the server.
    pub(super) fn hear(&mut self, line: &str, now: Instant) -> Heard {
        self.heard = now;
        self.is_asked = false;
        let Ok(incoming) = serde_json::from_str::<Incoming<'_>>(line) else {
            return Heard::GoOn;
        };
        if incoming.ev.is_some() {
            return match serde_json::from_str::<wire::Event<'_>>(line) {
                Ok(event) => self.handle_event(event),
                Err(_) => Heard::GoOn,
            };
        }
        match (incoming.re, incoming.ok, incoming.err) {
            // After the welcome, ignores further answers to the hello.
            (Some(Id::Unsigned(HELLO)), ..) if self.is_welcome => Heard::GoOn,
            (Some(Id::Unsigned(HELLO)), Some(ok), _) => self.welcome(ok.get(), now),
            (Some(Id::Unsigned(HELLO)), _, Some(fault)) => {
                Heard::Refused(RequestError::refused(&fault))
            }
            (Some(Id::Unsigned(id)), Some(ok), _) => self.granted(id, ok.get(), now),
            (Some(Id::Unsigned(id)), _, Some(fault)) => {
                self.refused(id, &fault);
                Heard::GoOn
            }
            (None, _, Some(fault)) => {
                let (code, message) = (fault.code.to_string(), printable(&fault.msg));
                self.note(Event::Rejected { code, message });
                Heard::GoOn
            }
            _ => Heard::GoOn,
        }
    }

    /// Returns the time at which to call [`break_silence`](Self::break_silence), unless a line arrives earlier.
    pub(super) fn deadline(&self) -> Instant {
        if self.is_asked {
            self.heard + self.ping_after + ANSWERS_WITHIN
        } else {
            self.heard + self.ping_after
        }
    }

    /// Pings a server that was silent until the deadline. If the server has not answered an earlier ping or the hello,
    /// sends nothing and returns `true`. The caller must then close the connection.
    pub(super) fn break_silence(&mut self) -> bool {
        if self.is_asked || !self.is_welcome {
            return true;
        }
        self.is_asked = true;
        self.write(&Request {
            id: Some(Id::Unsigned(PING)),
            ..Request::new("ping")
        });
        false
    }

    /// Returns the buffer of the bytes to send to the server.
    pub(super) const fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns whether the events of the next read from the connection might exceed [`EVENTS_MAX`].
    pub(super) fn is_crowded(&self) -> bool {
        self.events.len() >= EVENTS_MAX / 2
    }

    /// Takes the next event for the caller. If few events are left, requests messages that were left unread in the
    /// server's logs.
    pub(super) fn take_event(&mut self, now: Instant) -> Option<Event> {
        let event = self.events.pop_front();
        if self.has_room() {
            let count = std::mem::take(&mut self.directs_missed);
            if count > 0 {
                self.events.push_back(Event::DirectsMissed { count });
            }
            self.catch_up(now);
        }
        event
    }

    /// Returns whether few events wait: at most a quarter of [`EVENTS_MAX`]. Only then does the client request messages
    /// that were left unread in the server's logs.
    fn has_room(&self) -> bool {
        self.events.len() <= EVENTS_MAX / 4
    }

    fn granted(&mut self, id: u64, ok: &str, now: Instant) -> Heard {
        let Some(asked) = self.unanswered.take(id) else {
            return Heard::GoOn;
        };
        match asked.question {
            Question::Callers(kind, done) => {
                self.note_granted(kind, &asked.request, ok);
                // The send fails if the caller has dropped its future. The server has executed the request
                // nevertheless.
                drop(done.send(Ok(ok.to_owned())));
                if kind == RequestKind::Quit {
                    return Heard::Over;
                }
            }
            Question::Log(room) => {
                self.read_log(&room, ok);
                if self.has_room() {
                    // Normally `take_event` requests the next page. If this page has brought no event, the driver does
                    // not call `take_event`, so the next page is requested here.
                    self.catch_up(now);
                }
            }
            Question::Who => {
                if let Ok(present) = serde_json::from_str::<wire::Present<'_>>(ok) {
                    self.tell(Event::Present(Present::from(present)));
                }
            }
        }
        Heard::GoOn
    }

    /// Updates the state of the client after a successful request.
    fn note_granted(&mut self, kind: RequestKind, request: &Request<'_>, ok: &str) {
        match kind {
            RequestKind::Nick => {
                if let Ok(named) = serde_json::from_str::<wire::Named<'_>>(ok) {
                    self.own.goes_by(&named.nick);
                    self.has_nick = true;
                    self.nick = Some(named.nick.into_string());
                }
            }
            RequestKind::Join => {
                let Ok(place) = serde_json::from_str::<wire::Place<'_>>(ok) else {
                    return;
                };
                let name = request.room.as_deref().unwrap_or_default();
                let mut wanted = JoinRequest::new(name.to_owned());
                wanted.limit = request.limit;
                self.places.push(JoinedRoom::new(wanted, &place));
                self.tell(Event::Entered(Room::new(place)));
            }
            RequestKind::Leave => {
                let name = request.room.as_deref().unwrap_or_default();
                let at = self.place(name).or_else(|| {
                    let mut places = self.places.iter();
                    places.position(|place| place.is_called_like(name))
                });
                if let Some(at) = at {
                    let place = self.places.remove(at);
                    self.abandon(place);
                }
            }
            RequestKind::Say | RequestKind::Query | RequestKind::Once | RequestKind::Quit => {}
        }
    }

    fn refused(&mut self, id: u64, fault: &wire::Fault<'_>) {
        let Some(asked) = self.unanswered.take(id) else {
            return;
        };
        match asked.question {
            Question::Callers(kind, done) => {
                // If the client repeated the message, the server has refused only the repetition. It may have published
                // the message after the client first sent it.
                let error = if kind == RequestKind::Say && asked.is_repeated {
                    RequestError::Interrupted
                } else {
                    RequestError::refused(fault)
                };
                drop(done.send(Err(error)));
            }
            Question::Log(room) => {
                // The server can't read its log now, so the messages that were left unread there are reported as a gap.
                if let Some(at) = self.place(&room)
                    && let Some(missing) = self.places[at].give_up_log()
                {
                    self.tell_missing(room, missing, wire::Why::Unavailable);
                }
            }
            Question::Who => {}
        }
    }

    fn handle_event(&mut self, event: wire::Event<'_>) -> Heard {
        match event {
            // The ping needs no answer if other output waits to be sent: any line shows the server that the client is
            // alive.
            wire::Event::Ping if self.output.is_empty() => self.write(&Request::new("ping")),
            wire::Event::Ping => {}
            wire::Event::Bye {
                reconnect: false,
                code,
                reason,
                ..
            } => {
                let why = match reason {
                    Some(reason) => format!("{}: {}", printable(&code), printable(&reason)),
                    None => printable(&code),
                };
                return Heard::SentAway(why);
            }
            wire::Event::Bye { after_ms, .. } => {
                return Heard::Bye(after_ms.map(Duration::from_millis));
            }
            wire::Event::Removed {
                room,
                reason,
                closed,
                by,
            } => {
                let reason = match by {
                    Some(by) if reason.is_empty() => format!("kicked by {}", printable(&by)),
                    Some(by) => format!("kicked by {}: {}", printable(&by), printable(&reason)),
                    None => printable(&reason),
                };
                self.be_removed(&printable(&room), reason, closed);
            }
            wire::Event::Gap {
                room,
                from,
                to,
                why,
            } => self.miss(&room, from, to, why),
            wire::Event::Told { ts, from, text, .. } => self.tell_direct(Event::Direct {
                at: ts,
                from: printable(&from),
                text: printable(&text),
            }),
            event @ (wire::Event::Said(_)
            | wire::Event::Acted(_)
            | wire::Event::Topic(_)
            | wire::Event::Notice(_)
            | wire::Event::Mode(_)) => self.said(event),
            wire::Event::Invited { ts, from, room } => self.tell_direct(Event::Invited {
                at: ts,
                from: printable(&from),
                room: printable(&room),
            }),
            event => {
                if let Some(event) = Event::presence(event) {
                    self.tell_presence(event);
                }
            }
        }
        Heard::GoOn
    }

    /// Queues a direct message. If [`EVENTS_MAX`] events wait, drops the message and counts it as missed.
    fn tell_direct(&mut self, direct: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(direct);
        } else {
            self.directs_missed += 1;
        }
    }

    /// Queues an event about the members of a room. If [`EVENTS_MAX`] events wait, drops the event;
    /// [`catch_up`](Self::catch_up) later requests the room's members.
    fn tell_presence(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            return self.events.push_back(event);
        }
        let room = match &event {
            Event::Joined { room, .. }
            | Event::Left { room, .. }
            | Event::Renamed { room, .. }
            | Event::Away { room, .. }
            | Event::Members { room, .. }
            | Event::Hushed { room, .. } => room,
            Event::Present(present) => &present.room,
            _ => return,
        };
        if let Some(at) = self.place(room) {
            self.places[at].missed_presence = true;
        }
    }

    /// Queues an event, or drops the event if [`EVENTS_MAX`] events wait.
    fn note(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }

    /// Queues an event even if [`EVENTS_MAX`] events wait. Use this method only for rare events.
    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn put(&mut self, request: Box<Request<'static>>, question: Question) {
        let id = self.id();
        debug_assert_eq!(request.id, Some(Id::Unsigned(id)));
        self.unanswered.push(Asked {
            id,
            request,
            question,
            sent: None,
            is_repeated: false,
        });
    }

    const fn id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Writes each request that was not sent on this connection to the output.
    fn send_unsent(&mut self, now: Instant) {
        if !self.is_welcome {
            return;
        }
        let output = &mut self.output;
        for asked in self.unanswered.unsent() {
            asked.sent.get_or_insert(now);
            write(output, &asked.request);
        }
    }

    fn write(&mut self, request: &Request<'_>) {
        write(&mut self.output, request);
    }
}

/// The server's code for a temporary failure.
const UNAVAILABLE: &str = "unavailable";

/// The id of the hello. The hello and the pings are not in `unanswered`. All other requests are numbered from 1.
const HELLO: u64 = 0;
const PING: u64 = u64::MAX;

fn write(output: &mut BytesMut, request: &Request<'_>) {
    if serde_json::to_writer(output.writer(), request).is_err() {
        debug_assert!(false, "our own types can be written");
    }
    output.put_u8(b'\n');
}
