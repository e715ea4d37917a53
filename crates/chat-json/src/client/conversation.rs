//! What a client and its server tell each other, over however many connections.
//!
//! Invariant: no I/O and no waiting in here. Lines and requests go in; lines for the server, answers and events come
//! out. What is not answered when a connection breaks is repeated or given up, by its nature.

mod nick;
mod rooms;
#[cfg(test)]
mod tests;
mod unanswered;

use super::ask::{Ask, AskError, Nature, Present, printable};
use super::event::{Event, Room};
use super::own::Own;
use super::room::{Place, Wanted};
use crate::token::Token;
use crate::wire::{self, Id, Incoming, Request, Text, VERSION};
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use unanswered::{Asked, ComesBack, Question, Unanswered};

/// How many requests may wait for their answers.
const UNANSWERED_MAX: usize = 256;

/// How many events may wait for the caller, besides those in the channel.
const EVENTS_MAX: usize = 1024;

/// How many messages are read from the log at a time.
const PAGE: usize = 100;

/// After how long silence is broken until the server has said how long.
const PING_AFTER: Duration = Duration::from_secs(25);

/// How long a server that was asked may stay silent.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How a client presents itself, and where it wants to be.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) nick: Option<String>,
    /// By what the server knows the client again.
    pub(super) token: Option<Token>,
    pub(super) program: String,
    pub(super) echo: bool,
    pub(super) guest_if_refused: bool,
    pub(super) rooms: Vec<Wanted>,
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

/// Everything that a client remembers.
#[derive(Debug)]
pub(super) struct Conversation {
    nick: Option<String>,
    /// The nick before, while the server has not granted the one that was taken without a connection.
    nick_before: Option<Option<String>>,
    /// The server has granted this nick: if it is taken, then perhaps by a broken connection of the client's own.
    has_nick: bool,
    /// Since when the server refuses a nick that it had granted.
    nick_refused_since: Option<Instant>,
    guest_if_refused: bool,
    /// By what the server knows the client again.
    token: Option<Token>,
    /// The server has told the token: it knows keys by that, and not by the nick.
    is_known_by_token: bool,
    program: String,
    echo: bool,
    /// The rooms that the client is in, or comes back to.
    places: Vec<Place>,
    /// The rooms that it has not been in yet; asked for with the next hello.
    wanted: Vec<Wanted>,
    unanswered: Unanswered,
    /// The hello is on its way.
    has_begun: bool,
    is_welcome: bool,
    /// What is to be written to the server.
    output: BytesMut,
    events: VecDeque<Event>,
    directs_missed: u64,
    next_id: u64,
    own: Own,
    ping_after: Duration,
    heard: Instant,
    is_asked: bool,
}

/// What a line of the server's means for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It goes on.
    GoOn,
    /// The client is welcome.
    Welcome,
    /// The hello is refused.
    Refused(AskError),
    /// The server ends it, and may say when to come back.
    Bye(Option<Duration>),
    /// The server ends it for good, and says why.
    SentAway(String),
    /// The client's own goodbye was heard.
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
            own: Own::new(),
            ping_after: PING_AFTER,
            heard: Instant::now(),
            is_asked: false,
        }
    }

    /// Takes a request of the caller's; see [`takes_asks`](Self::takes_asks).
    pub(super) fn ask(&mut self, ask: Ask, now: Instant) {
        let Some(mut ask) = self.note_nick(ask) else {
            return;
        };
        if ask.nature == Nature::Say {
            ask.request.key = Some(self.own.key().into());
        }
        if ask.nature == Nature::Nick
            && let Some(nick) = &ask.request.nick
        {
            // It may be granted before the answer is heard.
            self.own.goes_by(nick);
        }
        let id = self.id();
        ask.request.id = Some(Id::Unsigned(id));
        let Some(ask) = ask.if_fits() else {
            return;
        };
        self.unanswered.push(Asked {
            id,
            request: ask.request,
            question: Question::Callers(ask.nature, ask.done),
            sent: None,
            is_repeated: false,
        });
        self.send_unsent(now);
    }

    /// Whether one more request may wait for its answer.
    pub(super) fn takes_asks(&self) -> bool {
        self.unanswered.len() < UNANSWERED_MAX
    }

    /// There is a connection: says hello.
    pub(super) fn begin(&mut self, now: Instant) {
        self.output.clear();
        self.has_begun = true;
        self.heard = now;
        self.is_asked = false;
        let places = self.places.iter().map(Place::request);
        let wanted = self.wanted.iter().map(Wanted::request);
        let join = places.chain(wanted).collect();
        let hello = Request {
            id: Some(Id::Unsigned(HELLO)),
            v: Some(VERSION),
            nick: self.nick.clone().map(Text::from),
            token: self.token.clone().map(Text::from),
            client: Some(self.program.clone().into()),
            // Its own messages are how it knows where it is in a room; see `Own` for who is shown them.
            echo: Some(true),
            join,
            ..Request::new("hello")
        };
        self.write(&hello);
    }

    /// There is no connection any more.
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

    /// There will be no connection any more.
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
        // One notice will do until it is read.
        if let Some(Event::Offline { .. }) = self.events.back() {
            self.events.pop_back();
        }
        self.note(Event::Offline { why, retry_in });
    }

    /// Takes a line of the server's.
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
            // There is one hello, and one answer to it.
            (Some(Id::Unsigned(HELLO)), ..) if self.is_welcome => Heard::GoOn,
            (Some(Id::Unsigned(HELLO)), Some(ok), _) => self.welcome(ok.get(), now),
            (Some(Id::Unsigned(HELLO)), _, Some(fault)) => {
                Heard::Refused(AskError::refused(&fault))
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

    /// When something is to be done although nothing comes.
    pub(super) fn deadline(&self) -> Instant {
        if self.is_asked {
            self.heard + self.ping_after + ANSWERS_WITHIN
        } else {
            self.heard + self.ping_after
        }
    }

    /// The deadline has come. Returns whether the server is given up.
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

    /// What is to be written to the server.
    pub(super) const fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether so many events wait for the caller that the next lines might not find room.
    pub(super) fn is_crowded(&self) -> bool {
        self.events.len() >= EVENTS_MAX / 2
    }

    /// The next event for the caller. When most were taken, what was left in the logs is asked for.
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

    /// Whether there is room for what was left in the logs.
    fn has_room(&self) -> bool {
        self.events.len() <= EVENTS_MAX / 4
    }

    fn granted(&mut self, id: u64, ok: &str, now: Instant) -> Heard {
        let Some(asked) = self.unanswered.take(id) else {
            return Heard::GoOn;
        };
        match asked.question {
            Question::Callers(nature, done) => {
                self.note_granted(nature, &asked.request, ok);
                // Whoever asked may have gone; what was asked for is done all the same.
                drop(done.send(Ok(ok.to_owned())));
                if nature == Nature::Quit {
                    return Heard::Over;
                }
            }
            Question::Log(room) => {
                self.read_log(&room, ok);
                if self.has_room() {
                    // Perhaps nobody will take an event, and ask for more thereby.
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

    /// Takes note of what a granted request changes for the client itself.
    fn note_granted(&mut self, nature: Nature, request: &Request<'_>, ok: &str) {
        match nature {
            Nature::Nick => {
                if let Ok(named) = serde_json::from_str::<wire::Named<'_>>(ok) {
                    self.own.goes_by(&named.nick);
                    self.has_nick = true;
                    self.nick = Some(named.nick.into_string());
                }
            }
            Nature::Join => {
                let Ok(place) = serde_json::from_str::<wire::Place<'_>>(ok) else {
                    return;
                };
                let name = request.room.as_deref().unwrap_or_default();
                let mut wanted = Wanted::new(name.to_owned());
                wanted.limit = request.limit;
                self.places.push(Place::new(wanted, &place));
                self.tell(Event::Entered(Room::new(place)));
            }
            Nature::Leave => {
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
            Nature::Say | Nature::Query | Nature::Once | Nature::Quit => {}
        }
    }

    fn refused(&mut self, id: u64, fault: &wire::Fault<'_>) {
        let Some(asked) = self.unanswered.take(id) else {
            return;
        };
        match asked.question {
            Question::Callers(nature, done) => {
                // What is refused when it is repeated may have been done the first time.
                let error = if nature == Nature::Say && asked.is_repeated {
                    AskError::Interrupted
                } else {
                    AskError::refused(fault)
                };
                drop(done.send(Err(error)));
            }
            Question::Log(room) => {
                // What is in it can't be had now; what comes next can.
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
            // Unsent output shows the server that the client is there, as an answer would.
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
            } => self.be_removed(&printable(&room), printable(&reason), closed),
            wire::Event::Gap {
                room,
                from,
                to,
                why,
            } => self.miss(&room, from, to, why),
            wire::Event::Told { ts, from, text } => self.tell_direct(Event::Told {
                at: ts,
                from: printable(&from),
                text: printable(&text),
            }),
            event @ (wire::Event::Said(_) | wire::Event::Acted(_) | wire::Event::Topic(_)) => {
                self.said(event);
            }
            event => {
                if let Some(event) = Event::presence(event) {
                    self.tell_presence(event);
                }
            }
        }
        Heard::GoOn
    }

    /// Tells the caller a direct message, or counts it as missed while too many events wait.
    fn tell_direct(&mut self, direct: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(direct);
        } else {
            self.directs_missed += 1;
        }
    }

    /// Tells the caller what there is no log of; if it does not read, who is there is asked for later.
    fn tell_presence(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            return self.events.push_back(event);
        }
        let room = match &event {
            Event::Joined { room, .. }
            | Event::Left { room, .. }
            | Event::Renamed { room, .. }
            | Event::Members { room, .. }
            | Event::Hushed { room, .. } => room,
            Event::Present(present) => &present.room,
            _ => return,
        };
        if let Some(at) = self.place(room) {
            self.places[at].missed_presence = true;
        }
    }

    /// Tells the caller what it may do without, if it does not read.
    fn note(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }

    /// Tells the caller what it must know: there are few of these.
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

    /// Writes what has not been sent on this connection.
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

/// The code of what the server can't do now.
const UNAVAILABLE: &str = "unavailable";

/// The ids of the client's own requests that are not among the unanswered; those begin with 1.
const HELLO: u64 = 0;
const PING: u64 = u64::MAX;

fn write(output: &mut BytesMut, request: &Request<'_>) {
    if serde_json::to_writer(output.writer(), request).is_err() {
        debug_assert!(false, "our own types can be written");
    }
    output.put_u8(b'\n');
}
