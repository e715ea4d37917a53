//! Tests the conversation without a runtime: what the state machine asks for, in which order, and when.

use super::*;
use crate::event::{Broadcast, Direct, Encoder, Moment};
use crate::limits::Rate;
use crate::log::{SessionId, Timestamp};
use crate::name::Nick;
use crate::protocol::{Detected, Detection, Detector, DialectOptions, Greeting, Reply};
use crate::room::Echo;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Simulates a connection: does at once what the conversation asks for, and records it in `done`.
struct Peer {
    conversation: Conversation,
    limits: Limits,
    dialects: Dialects,
    now: Instant,
    is_full: bool,
    must_catch_up: bool,
    has_ended: bool,
    /// The name of a command that the server executes only after the peer's address has waited.
    waits_for: Option<&'static str>,
    done: Vec<String>,
}

impl Peer {
    fn new() -> Self {
        Self::with(unlimited())
    }

    fn with(limits: Limits) -> Self {
        let now = Instant::now();
        let mut dialects = Dialects::default();
        dialects.add(ToyDetector);
        Self {
            conversation: Conversation::new(&limits, now, now),
            limits,
            dialects,
            now,
            is_full: false,
            must_catch_up: false,
            has_ended: false,
            waits_for: None,
            done: Vec::new(),
        }
    }

    /// A peer that speaks the toy dialect.
    fn toy(limits: Limits) -> Self {
        let mut peer = Self::with(limits);
        peer.sends("TOY\n").does(&["begin toy"]);
        peer
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Conversation, &Facts<'_>) -> T) -> T {
        let facts = Facts {
            now: self.now,
            limits: &self.limits,
            dialects: &self.dialects,
            is_full: self.is_full,
            must_catch_up: self.must_catch_up,
            has_ended: self.has_ended,
        };
        ask(&mut self.conversation, &facts)
    }

    fn sends(&mut self, text: &str) -> &mut Self {
        let answers = self.conversation.push(text.as_bytes(), self.now);
        assert!(answers.is_empty());
        self.goes_on()
    }

    fn ends(&mut self) -> &mut Self {
        self.has_ended = true;
        self.goes_on()
    }

    fn goes_on(&mut self) -> &mut Self {
        let next = self.ask(Conversation::next);
        self.works(next);
        self
    }

    /// Advances the time, and handles the deadlines that pass.
    fn waits(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(deadline) = self
            .conversation
            .next_deadline(&self.limits, self.must_catch_up)
            && deadline <= end
            && !matches!(self.conversation.state, State::Closing)
        {
            self.now = deadline.max(self.now);
            let next = self.ask(Conversation::on_time);
            self.works(next);
        }
        self.now = end;
        self
    }

    fn does(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.done), expected);
        self
    }

    fn notes(&mut self, done: impl Into<String>) {
        self.done.push(done.into());
    }

    fn works(&mut self, mut next: Next) {
        loop {
            match next {
                Next::Wait => return,
                Next::Publish(waiting) => self.publishes(Some(waiting)),
                Next::Begin(dialect) => {
                    self.notes(format!("begin {}", dialect.name()));
                    let answers = self.conversation.adopt(&*dialect, &self.limits, self.now);
                    assert!(answers.is_empty());
                    if dialect.options().registers {
                        self.conversation.register(dialect);
                    } else {
                        self.conversation.begin(dialect);
                    }
                    self.conversation.let_speak();
                }
                Next::AnswerOwed => self.notes("answer"),
                Next::Send(_) => self.notes("send"),
                Next::Refuse(_) => return self.notes("refuse"),
                Next::Item(Inbound::Line(line)) | Next::Delimited(Some(Inbound::Line(line))) => {
                    let commands = self.conversation.receive(&line);
                    self.works_through(commands);
                }
                Next::Delimited(None) => {}
                Next::Item(rejected) | Next::Delimited(Some(rejected)) => {
                    let first = self.conversation.take_waiting();
                    self.publishes(first);
                    self.notes(format!("reject {rejected:?}"));
                }
                Next::Resume(deferred) => {
                    if let Some(command) = deferred.charged {
                        self.performs(&command);
                        self.conversation.defer(None, deferred.rest);
                    } else {
                        self.works_through(deferred.rest);
                    }
                }
                Next::GiveUp(unfinished) => return self.notes(format!("reject {unfinished:?}")),
                Next::Ping(question) => {
                    return self.notes(String::from_utf8_lossy(&question).trim());
                }
                Next::Close(reason) => return self.notes(format!("close {reason:?}")),
            }
            next = self.ask(Conversation::next);
        }
    }

    fn works_through(&mut self, mut commands: Commands<'_>) {
        while let Some(Do { first, then }) = self.conversation.step(&mut commands) {
            self.publishes(first);
            match then {
                Then::Send(out) => self.notes(String::from_utf8_lossy(&out).trim()),
                Then::Draft(draft) if draft.text == "forbidden" => {
                    let first = self.conversation.drafted(draft.kind, Drafted::Refused);
                    self.publishes(first);
                    self.notes("refused");
                }
                Then::Draft(draft) => {
                    let target = Target::Member(0);
                    let text = &draft.text;
                    if !self.conversation.has_space_for(&target, text, &self.limits) {
                        let first = self.conversation.take_waiting();
                        self.publishes(first);
                    }
                    let nick = Nick::parse("alice").unwrap();
                    let begin = || Drafts::new(SessionId::NOBODY, nick, Timestamp(0));
                    let waiting = self.conversation.batch_for(target, begin);
                    waiting.drafts.push(draft.kind, text);
                    let first = self.conversation.drafted(draft.kind, Drafted::Added);
                    self.publishes(first);
                }
                Then::Refuse(_) => self.notes("refused"),
                Then::Perform(command) => {
                    let name = name(&command);
                    if self.waits_for == Some(&*name) {
                        let until = self.now + Duration::from_secs(7);
                        self.conversation.pace_mut().pause_until(until);
                        let charged = Some(command.into_owned());
                        return self.conversation.defer(charged, commands);
                    }
                    self.performs(&command);
                }
            }
            if commands.has_command() {
                match self.ask(|talk, facts| talk.goes_on(commands, facts)) {
                    Some(rest) => commands = rest,
                    None => return,
                }
            }
        }
    }

    fn performs(&mut self, command: &Command<'_>) {
        self.notes(name(command));
        match command {
            Command::Quit { .. } => {
                self.conversation.close(CloseReason::Quit(None));
            }
            Command::Hello { .. } => self.conversation.registered(self.now),
            _ => {}
        }
    }

    fn publishes(&mut self, waiting: Option<Box<Waiting>>) {
        if let Some(waiting) = waiting {
            self.notes(format!("publish {}", waiting.drafts.len()));
        }
    }
}

/// The name of a command, in lower case.
fn name(command: &Command<'_>) -> String {
    let shown = format!("{command:?}");
    let end = shown.find(' ').unwrap_or(shown.len());
    shown[..end].trim_end_matches('(').to_lowercase()
}

/// Recognises the toy dialect by its first line.
struct ToyDetector;

impl Detector for ToyDetector {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match prefix {
            _ if prefix.starts_with(b"TOY\n") => {
                Detection::Found(Detected::Dialect(Box::new(Toy { registers: false })))
            }
            b"REGISTER\n" => Detection::Found(Detected::Dialect(Box::new(Toy { registers: true }))),
            [_, ..] if b"TOY\n".starts_with(prefix) => Detection::NeedMore,
            _ => Detection::NotFound,
        }
    }
}

/// A dialect for tests. A line that is a command's name is a command, and any other line is a message.
struct Toy {
    registers: bool,
}

struct ToyEncoder;

impl Encoder for ToyEncoder {
    fn encode(&self, _: &Broadcast<'_>, _: Moment, _: &mut BytesMut) {}
}

impl Dialect for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::new(ToyEncoder)
    }

    fn echo(&self) -> Echo {
        Echo::Exclude
    }

    fn options(&self) -> DialectOptions {
        DialectOptions {
            has_heartbeat: true,
            registers: self.registers,
            ..DialectOptions::default()
        }
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        for word in line.split(' ') {
            let command = match word {
                "TOY" | "REGISTER" => continue,
                "hello" => Command::Hello {
                    nick: None,
                    token: None,
                    rooms: Vec::new(),
                },
                "help" => {
                    commands.out().extend_from_slice(b"helped\n");
                    continue;
                }
                "ping" => Command::Ping,
                "who" => Command::Who { room: None },
                "quit" => Command::Quit { reason: None },
                "topic" => Command::Topic {
                    room: None,
                    text: Some("topic".into()),
                },
                word => Command::Say {
                    room: None,
                    text: word.into(),
                    key: None,
                },
            };
            commands.push(command);
        }
    }

    fn greet(&mut self, _: &Greeting<'_>, _: &mut BytesMut) {}

    fn reply(&mut self, _: &Reply<'_>, _: &mut BytesMut) {}

    fn ping(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"there?\n");
    }

    fn direct(&mut self, _: &Direct, _: &mut BytesMut) {}

    fn goodbye(&mut self, _: &CloseReason, _: &mut BytesMut) {}
}

fn unlimited() -> Limits {
    Limits {
        rate: None,
        ..Limits::default()
    }
}

/// A rate of one token a second, and a burst of `burst` tokens.
fn one_a_second(burst: u32) -> Limits {
    let rate = Rate {
        burst: NonZeroU32::new(burst).unwrap(),
        per_second: NonZeroU32::MIN,
    };
    Limits {
        rate: Some(rate),
        ..Limits::default()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_line_decides_the_dialect() {
    Peer::new()
        .sends("hel")
        .does(&[])
        .sends("lo\n")
        .does(&["begin plain", "publish 1"]);
    Peer::new()
        .sends("TO")
        .does(&[])
        .sends("Y\none\n")
        .does(&["begin toy", "publish 1"]);
    Peer::new().sends("SSH-2.0-x\r\n").does(&["refuse"]);
}

#[test]
fn a_silent_peer_is_greeted_and_may_still_speak_another_dialect() {
    let greet_after = Limits::default().greet_after;
    let mut peer = Peer::new();
    peer.waits(greet_after - Duration::from_millis(1)).does(&[]);
    peer.waits(SECOND).does(&["begin plain"]);
    peer.waits(60 * SECOND).does(&[]);
    peer.sends("TOY\none\n").does(&["begin toy", "publish 1"]);
    let mut peer = Peer::new();
    peer.waits(SECOND).does(&["begin plain"]);
    peer.sends("one\n").does(&["publish 1"]);
    // The first line has selected the plain dialect, so `TOY` is a message.
    peer.sends("TOY\n").does(&["publish 1"]);
}

#[test]
fn what_may_become_another_dialect_is_waited_for() {
    let mut peer = Peer::new();
    peer.sends("TO").waits(4 * SECOND).does(&[]);
    peer.waits(2 * SECOND).does(&["begin plain", "publish 1"]);
    Peer::new().sends("TO").ends().does(&["close Disconnected"]);
}

#[test]
fn silence_ends_the_text_of_a_plain_peer_only() {
    let mut peer = Peer::new();
    peer.sends("hello")
        .waits(SECOND)
        .does(&["begin plain", "publish 1"]);
    peer.sends("again").waits(SECOND).does(&["publish 1"]);
    let mut peer = Peer::toy(unlimited());
    peer.sends("hello").waits(SECOND).does(&[]);
}

#[test]
fn messages_of_one_read_are_one_batch_and_commands_keep_their_order() {
    let mut peer = Peer::toy(unlimited());
    peer.sends("one\ntwo\nwho\nthree\nfour\ntopic\nfive\n")
        .does(&["publish 2", "who", "publish 2", "publish 1", "publish 1"]);
    peer.sends("one who two help three\n").does(&[
        "publish 1",
        "who",
        "publish 1",
        "helped",
        "publish 1",
    ]);
}

#[test]
fn a_batch_takes_no_more_than_its_bytes() {
    let mut limits = unlimited();
    limits.batch_bytes = std::num::NonZeroUsize::new(250).unwrap();
    Peer::toy(limits)
        .sends(&format!("{}\n", "x".repeat(100)).repeat(3))
        .does(&["publish 2", "publish 1"]);
}

#[test]
fn refusals_are_told_in_order_with_replies() {
    let mut peer = Peer::toy(unlimited());
    peer.sends("one\nforbidden\ntwo\nwho\nforbidden\n").does(&[
        "publish 1",
        "refused",
        "publish 1",
        "who",
        "refused",
    ]);
    let mut bytes = b"one\n".to_vec();
    bytes.extend([0xff, b'\n']);
    bytes.extend(b"two\n");
    let answers = peer.conversation.push(&bytes, peer.now);
    assert!(answers.is_empty());
    peer.goes_on()
        .does(&["publish 1", "reject NotUtf8(None)", "publish 1"]);
}

#[test]
fn a_peer_without_tokens_is_paused_and_loses_nothing() {
    let mut peer = Peer::toy(one_a_second(3));
    // `TOY`, the first line, took one of the three tokens.
    peer.sends("one\ntwo\nthree\nfour\n").does(&["publish 2"]);
    assert!(peer.conversation.is_paused() && peer.conversation.is_held_up());
    peer.goes_on().does(&[]);
    peer.waits(SECOND).does(&["publish 1"]);
    assert!(peer.conversation.is_paused());
    peer.waits(SECOND).does(&["publish 1"]);
    assert!(!peer.conversation.is_paused() && !peer.conversation.is_held_up());
}

#[test]
fn a_line_of_many_commands_waits_for_tokens_within() {
    let mut peer = Peer::toy(one_a_second(2));
    peer.waits(9 * SECOND);
    peer.sends("who ping who\n").does(&["who"]);
    peer.waits(SECOND).does(&["ping"]);
    peer.waits(SECOND).does(&["who"]);
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    for pause in [
        |peer: &mut Peer, is_paused| peer.is_full = is_paused,
        |peer: &mut Peer, is_paused| peer.must_catch_up = is_paused,
    ] {
        let mut peer = Peer::toy(unlimited());
        pause(&mut peer, true);
        peer.sends("one\nwho\n").does(&[]);
        assert!(peer.conversation.is_held_up());
        pause(&mut peer, false);
        peer.goes_on().does(&["publish 1", "who"]);
    }
}

#[test]
fn a_command_that_its_address_waits_for_holds_up_those_after_it() {
    let mut peer = Peer::toy(unlimited());
    peer.waits_for = Some("who");
    peer.sends("one who two\nthree\n").does(&["publish 1"]);
    peer.waits(6 * SECOND).does(&[]);
    peer.waits(SECOND).does(&["who", "publish 2"]);
}

#[test]
fn a_peer_that_registers_says_nothing_before() {
    let mut peer = Peer::new();
    peer.sends("REGISTER\n").does(&["begin toy"]);
    peer.sends("one ping\nwho\n")
        .does(&["refused", "ping", "refused"]);
    peer.sends("hello\none\n").does(&["hello", "publish 1"]);
    let mut peer = Peer::new();
    peer.sends("REGISTER\n").does(&["begin toy"]);
    let timeout = peer.limits.registration_timeout;
    peer.waits(timeout).does(&["close NotRegistered"]);
}

#[test]
fn nothing_is_taken_after_a_quit() {
    let mut peer = Peer::toy(unlimited());
    peer.sends("one\nquit\ntwo\n").does(&["publish 1", "quit"]);
    peer.sends("three\n").does(&[]);
}

#[test]
fn nothing_is_taken_while_the_hub_drains() {
    let mut peer = Peer::toy(unlimited());
    peer.conversation.close(CloseReason::Draining);
    peer.sends("one\nwho\n").does(&[]);
    assert!(!peer.conversation.is_held_up());
}

#[test]
fn the_last_line_needs_no_newline() {
    let mut peer = Peer::toy(unlimited());
    peer.sends("one\ntwo").does(&["publish 1"]);
    peer.ends().does(&["publish 1"]);
    Peer::new().ends().does(&["close Disconnected"]);
}

#[test]
fn a_person_taken_out_of_its_room_goes_to_the_lobby() {
    let mut person = Peer::new();
    person.sends("hello\n").does(&["begin plain", "publish 1"]);
    let moves = |has_room, was_lobby, is_closed| {
        person
            .conversation
            .must_move(has_room, was_lobby, is_closed)
    };
    assert!(moves(false, false, false));
    assert!(moves(false, true, true), "the lobby is opened anew");
    assert!(!moves(false, true, false), "it was taken out of the lobby");
    assert!(!moves(true, false, false), "it has another room");
    let program = Peer::toy(unlimited());
    assert!(!program.conversation.must_move(false, false, false));
}

#[test]
fn a_silent_program_is_asked_once_and_given_up() {
    let limits = unlimited();
    let (ping_after, dead_after) = (limits.ping_after, limits.dead_after);
    let mut peer = Peer::toy(limits);
    peer.waits(ping_after).does(&["there?"]);
    peer.sends("one\n").does(&["publish 1"]);
    peer.waits(ping_after).does(&["there?"]);
    peer.waits(dead_after - ping_after).does(&["close Silent"]);
}

#[test]
fn a_line_that_takes_too_long_is_given_up() {
    let mut peer = Peer::toy(unlimited());
    let timeout = peer.limits.line_timeout.unwrap();
    peer.conversation.heartbeat = None;
    peer.sends("begun")
        .waits(timeout)
        .does(&["reject Unfinished"]);
    peer.sends(" and ended\nafter\n").does(&["publish 1"]);
}

#[test]
fn a_line_that_is_given_up_costs_as_much_as_a_line() {
    let mut peer = Peer::toy(one_a_second(2));
    let timeout = peer.limits.line_timeout.unwrap();
    peer.conversation.heartbeat = None;
    peer.sends("begun")
        .waits(timeout)
        .does(&["reject Unfinished"]);
    peer.sends(" and ended\none\ntwo\n").does(&["publish 1"]);
    peer.waits(SECOND).goes_on().does(&["publish 1"]);
}

/// Input that waits for the rate limit must not wake the connection. Otherwise the connection would ask for the same
/// input again and again, and never yield.
#[test]
fn input_that_waits_for_the_rate_is_not_asked_for_again() {
    let mut peer = Peer::with(one_a_second(1));
    peer.waits(SECOND).does(&["begin plain"]);
    let until = peer.now + SECOND;
    peer.conversation.pace.pause_until(until);
    peer.sends("hel").does(&[]);
    let is_held_up = peer.conversation.is_held_up();
    assert!(!is_held_up || peer.conversation.is_paused());
}
