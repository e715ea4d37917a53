//! How one connection talks: the seam between bytes and meaning.
//!
//! Invariant: a dialect does no I/O and never waits. A line goes in and a command comes out; an event or a reply
//! goes in and bytes come out. It knows nothing of the hub.

use crate::batch::Timestamp;
use crate::command::Command;
use crate::delivery::Echo;
use crate::event::{CloseReason, Direct, Form};
use crate::name::Nick;
use crate::plain::{Plain, PlainForms};
use crate::refusal::Refusal;
use crate::room::{Roll, RoomSummary};
use crate::sniff::{self, Candidate, Opening, Verdict};
use bytes::BytesMut;
use std::sync::Arc;

/// One connection's way of talking, and what it has to remember for that.
pub trait Dialect: Send + Sync {
    /// How this connection is written the events of its rooms.
    fn form(&self) -> Arc<dyn Form>;

    /// Whether this connection gets its own messages back.
    fn echo(&self) -> Echo;

    /// Whether a newcomer is put in the lobby, and whether silence may end a text.
    fn manners(&self) -> Manners;

    /// Takes a line; writes to `out` what the dialect answers by itself.
    fn receive<'a>(&mut self, line: &'a str, out: &mut BytesMut) -> Option<Command<'a>>;

    /// From now on the peer's texts end in this way.
    fn set_ending(&mut self, _ending: Ending) {}

    /// Writes what a newcomer is told first. Whom it meets follows as [`Reply::Joined`].
    fn greet(&mut self, greeting: &Greeting<'_>, out: &mut BytesMut);

    /// Writes the answer to a command.
    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut);

    /// Writes a message to this session alone.
    fn direct(&mut self, direct: &Direct, out: &mut BytesMut);

    /// Writes the last words to this peer; nothing if it needs none.
    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut);
}

/// What ends a peer's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A newline.
    Newline,
    /// A newline, or silence: the peer is a program that sends none.
    Silence,
}

/// What a dialect expects of the connection it is spoken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// A newcomer is put in the lobby without asking.
    pub arrives_in_lobby: bool,
    /// Silence may end the text of a peer that sends no newline.
    pub silence_ends_text: bool,
}

/// What a newcomer is told first.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The operator's words, line by line.
    pub motd: &'a [String],
    /// The nick that the newcomer was given.
    pub nick: &'a Nick,
}

/// The answer to a command.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// The session is in this room now.
    Joined {
        /// The session's own nick.
        nick: &'a Nick,
        /// Whom and what it finds there.
        roll: &'a Roll,
    },
    /// The session has left this room.
    Left(&'a Roll),
    /// The session has this nick now.
    Renamed(&'a Nick),
    /// A direct message was delivered.
    Told {
        /// To whom.
        to: &'a Nick,
        /// When.
        at: Timestamp,
        /// What.
        text: &'a str,
    },
    /// Who is in this room.
    Who(&'a Roll),
    /// Who is in this room, unasked: the member has missed who came and went.
    Present(&'a Roll),
    /// Which rooms there are.
    Rooms(&'a [RoomSummary]),
    /// The topic of this room.
    Topic(&'a Roll),
    /// There is nothing in the log to show.
    NoHistory,
    /// The peer can't have what it asked for.
    Refused(&'a Refusal),
}

/// The dialects of a hub.
pub(crate) struct Dialects {
    candidates: Vec<Box<dyn Candidate>>,
    plain: PlainForms,
}

/// What the dialects make of a prefix.
pub(crate) enum Choice {
    Opening(Opening),
    NeedMore,
    Plain,
}

impl Dialects {
    pub(crate) fn new(plain: PlainForms, candidates: Vec<Box<dyn Candidate>>) -> Self {
        let candidates = sniff::reserved().chain(candidates).collect();
        Self { candidates, plain }
    }

    /// The dialect of whoever speaks no other.
    pub(crate) fn plain(&self) -> Box<dyn Dialect> {
        Box::new(Plain::new(self.plain.clone()))
    }

    /// Asks the candidates in turn.
    pub(crate) fn choose(&self, prefix: &[u8]) -> Choice {
        let mut choice = Choice::Plain;
        for candidate in &self.candidates {
            match candidate.sniff(prefix) {
                Verdict::Mine(opening) => return Choice::Opening(opening),
                Verdict::NeedMore => choice = Choice::NeedMore,
                Verdict::NotMine => {}
            }
        }
        choice
    }
}
