//! Compares what one member of the crowd received with what was published.

use crate::crowd::Actor;
use crate::peer::Peer;
use crate::recorder::{Record, Records, key};
use crate::view::{Others, Shown, assert_is_proper, read};
use chat_core::{CloseReason, Event, Member, Session};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// The end of the refusal that a member gets if it speaks or joins while the hub drains.
const REFUSED_IN_A_DRAIN: &str = "the server is shutting down";

/// The expected data, with which a member's lines or events are compared.
pub(crate) struct Account<'a> {
    nick: &'a str,
    mark: &'a str,
    records: &'a Records,
    until: Until,
    /// Whether every join and leave is announced.
    announced: bool,
    /// For each room, the position up to which its members must have received all messages.
    ends: &'a Ends,
}

/// How the test case ended for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The connection was cut, so the member may lack messages.
    Cut,
    /// The member performed all of its steps, and has read everything.
    End,
    /// The hub drained, possibly before the member performed all of its steps.
    Drain,
}

/// For each room, the position of the last message that its members must have received.
pub(crate) type Ends = BTreeMap<String, u64>;

/// A member with a connection.
pub(crate) struct WireActor {
    pub(crate) peer: Peer,
    /// The room that the member last asked to join.
    pub(crate) room: &'static str,
    /// The position up to which the member must receive all messages of `room`.
    pub(crate) owed: u64,
    echo: bool,
    /// For each earlier stay in a room: the position up to which the member must receive all messages of that room.
    owed_before: Vec<u64>,
    is_quitting: bool,
    /// Whether the member has sent `/quit` or closed its sending half.
    is_going: bool,
}

/// A member in process.
pub(crate) struct Embedded {
    session: Option<Session>,
    member: Option<Member>,
    stays: Vec<Stay>,
}

/// One stay of a member in a room.
struct Stay {
    room: &'static str,
    /// The position after which the stay began.
    after: u64,
    heard: Vec<Heard>,
}

#[derive(Debug, Clone, Copy)]
enum Heard {
    Message(u64),
    Gap(u64, u64),
}

impl<'a> Account<'a> {
    pub(crate) fn of(
        actor: &'a Actor,
        records: &'a Records,
        until: Until,
        announced: bool,
        ends: &'a Ends,
    ) -> Self {
        Self {
            nick: &actor.nick,
            mark: &actor.mark,
            records,
            until,
            announced,
            ends,
        }
    }

    fn end(&self, room: &str) -> u64 {
        self.ends.get(room).copied().unwrap_or(0)
    }
}

impl WireActor {
    pub(crate) fn new(peer: Peer, echo: bool) -> Self {
        Self {
            peer,
            room: crate::crowd::ROOMS[0],
            owed: 0,
            echo,
            owed_before: Vec::new(),
            is_quitting: false,
            is_going: false,
        }
    }

    pub(crate) fn moves_to(&mut self, room: &'static str) {
        self.peer.push(format!("/join {room}\n").as_bytes());
        self.owed_before.push(self.owed);
        (self.room, self.owed) = (room, 0);
    }

    pub(crate) fn quits(&mut self) {
        self.peer.push(b"/quit\n");
        (self.is_quitting, self.is_going) = (true, true);
    }

    pub(crate) fn closes(&mut self) {
        self.peer.ends();
        self.is_going = true;
    }

    /// Returns, for each room, the position of the last message that the member received.
    pub(crate) fn latest(&self, records: &Records) -> Ends {
        let (mut ends, mut room) = (Ends::new(), String::new());
        for line in &self.peer.lines() {
            match read(line) {
                Shown::Arrived { room: other, .. } => other.clone_into(&mut room),
                Shown::Message { text, .. } => {
                    let record = records.of(&room);
                    let found = record.iter().find(|(_, known)| *known == key(text));
                    if let Some((&seq, _)) = found {
                        ends.insert(room.clone(), seq);
                    }
                }
                _ => {}
            }
        }
        ends
    }

    /// Compares the member's lines with what was published. Returns the other members of the room, as the lines
    /// describe them.
    pub(crate) fn check(&self, account: &Account<'_>) -> Others {
        let lines = self.peer.lines();
        let mut others = Others::default();
        let mut stays: Vec<WireStay> = Vec::new();
        for line in &lines {
            assert_is_proper(line, true);
            let shown = read(line);
            let is_refused = line.starts_with("! ") && !line.ends_with(REFUSED_IN_A_DRAIN);
            assert!(!is_refused, "{} is refused: {line}", account.nick);
            let fits = others.note(&shown);
            assert!(
                fits || !account.announced,
                "{}: {line}, with {others:?} here",
                account.nick
            );
            match shown {
                Shown::Arrived { room, .. } => {
                    if let Some(stay) = stays.last_mut()
                        && let Some(&owed) = self.owed_before.get(stay.number)
                    {
                        stay.ends(owed, account, self.echo);
                    }
                    let number = stays.len();
                    stays.push(WireStay::new(number, account.records.of(room), room));
                }
                Shown::Message { text, .. } => {
                    stays
                        .last_mut()
                        .unwrap()
                        .hears(key(text), account, self.echo);
                }
                Shown::Missed(count) => stays.last_mut().unwrap().missed += count,
                _ => {}
            }
        }
        if account.until == Until::End {
            assert_eq!(
                stays.len(),
                self.owed_before.len() + 1,
                "{} in {lines:#?}",
                account.nick
            );
            if self.is_quitting {
                assert_eq!(lines.last().map(String::as_str), Some("* goodbye"));
            }
        }
        if let Some(last) = stays.last() {
            match account.until {
                Until::Cut => {}
                Until::End => last.ends(self.owed, account, self.echo),
                Until::Drain if self.is_going => {}
                Until::Drain => last.ends(account.end(&last.room), account, self.echo),
            }
        }
        others
    }
}

/// One stay of a member in a room, as the member's lines describe it.
struct WireStay {
    number: usize,
    record: Record,
    room: String,
    /// The position of the last message that was received.
    last: Option<u64>,
    /// The number of messages that were reported as missed since `last`.
    missed: u64,
}

impl WireStay {
    fn new(number: usize, record: Record, room: &str) -> Self {
        Self {
            number,
            record,
            room: room.to_owned(),
            last: None,
            missed: 0,
        }
    }

    fn hears(&mut self, key: &str, account: &Account<'_>, echo: bool) {
        let found = self.record.iter().find(|(_, known)| *known == key);
        let Some((&seq, _)) = found else {
            panic!(
                "{} is shown {key} in {}, where it was not said",
                account.nick, self.room
            );
        };
        if let Some(last) = self.last {
            let (nick, room) = (account.nick, &self.room);
            assert!(seq > last, "{nick} in {room}: {key} ({seq}) after {last}");
            self.accounts_for(last + 1, seq - 1, account, echo);
        }
        (self.last, self.missed) = (Some(seq), 0);
    }

    /// Checks the positions from `from` to `to`, whose messages the member did not receive. Each of these messages must
    /// be the member's own, or be reported as missed.
    fn accounts_for(&self, from: u64, to: u64, account: &Account<'_>, echo: bool) {
        let total = (to + 1).saturating_sub(from);
        let own = self.record.range(from..from.max(to + 1));
        let own = own
            .filter(|(_, key)| !echo && key.starts_with(account.mark))
            .count() as u64;
        assert!(
            self.missed <= total && total - self.missed <= own,
            "{} in {}: of {from}..={to} {own} are its own and {} missed",
            account.nick,
            self.room,
            self.missed
        );
    }

    /// Checks that the member received everything up to the position `owed`.
    fn ends(&self, owed: u64, account: &Account<'_>, echo: bool) {
        let after = self.last.unwrap_or(0);
        if self.last.is_none() && self.missed > 0 || owed <= after {
            return;
        }
        // The range of the messages that were reported as missed may end after `owed`.
        self.accounts_for(after + 1, owed.max(after + self.missed), account, echo);
    }
}

impl Embedded {
    pub(crate) const fn new(session: Session) -> Self {
        Self {
            session: Some(session),
            member: None,
            stays: Vec::new(),
        }
    }

    pub(crate) async fn join(&mut self, room: &'static str) {
        self.member = None;
        let member = self.session.as_ref().unwrap().join(room).await.unwrap();
        self.stays.push(Stay {
            room,
            after: member.info().position.seq.0,
            heard: Vec::new(),
        });
        self.member = Some(member);
    }

    pub(crate) async fn rename(&self, nick: &str) {
        self.session.as_ref().unwrap().rename(nick).await.unwrap();
    }

    /// Publishes a text. Does not wait for the journal: the append continues after the future is dropped.
    pub(crate) fn say(&self, text: &str) {
        if let Some(said) = self.member.as_ref().unwrap().say(text).now_or_never() {
            said.unwrap();
        }
    }

    /// Takes at most `count` events, and waits at most `patience` for each event. Returns whether any event was taken.
    pub(crate) async fn reads(&mut self, count: usize, patience: Duration) -> bool {
        let (Some(member), Some(stay)) = (&mut self.member, self.stays.last_mut()) else {
            return false;
        };
        for taken in 0..count {
            let next = tokio::time::timeout(patience, member.next());
            match if patience.is_zero() {
                next.now_or_never()
            } else {
                Some(next.await)
            } {
                Some(Ok(Some(Event::Message(message)))) => {
                    stay.heard.push(Heard::Message(message.seq().0))
                }
                Some(Ok(Some(Event::Gap(missed)))) => {
                    let gap = missed
                        .gap()
                        .expect("a member that stays knows what it missed");
                    stay.heard.push(Heard::Gap(gap.from.0, gap.to.0))
                }
                Some(Ok(Some(_))) => {}
                Some(Ok(None)) => {
                    self.member = None;
                    return true;
                }
                Some(Err(_)) | None => return taken > 0,
            }
        }
        true
    }

    /// Ends the session. The test keeps the [`Member`], and can read its last events.
    pub(crate) fn closes(&mut self, reason: &CloseReason) {
        self.session.take().unwrap().close(reason);
    }

    /// Returns whether the member has received its last event.
    pub(crate) const fn has_heard_all(&self) -> bool {
        self.member.is_none()
    }

    /// Compares the events that the member received with what was published. The member must have read everything of
    /// its last stay.
    pub(crate) fn check(&self, account: &Account<'_>) {
        for (number, stay) in self.stays.iter().enumerate() {
            let record = account.records.of(stay.room);
            let mut next = stay.after + 1;
            let skips_own = |from: u64, to: u64| {
                let foreign = record
                    .range(from..to)
                    .find(|(_, key)| !key.starts_with(account.mark));
                assert_eq!(foreign, None, "{} missed it in {}", account.nick, stay.room);
            };
            for &heard in &stay.heard {
                let (from, to) = match heard {
                    Heard::Message(seq) => (seq, seq),
                    Heard::Gap(from, to) => (from, to),
                };
                assert!(
                    next <= from,
                    "{} heard {heard:?} when {next} was next",
                    account.nick
                );
                skips_own(next, from);
                next = to + 1;
            }
            if number + 1 == self.stays.len() && self.session.is_some() {
                let end = account.end(stay.room) + 1;
                skips_own(next, end.max(next));
            }
        }
    }
}
