//! This process's rooms and sessions.
//!
//! Invariant: the hub opens no socket, reads no environment and starts no task before a member needs one.

mod moderation;
mod opening;
mod reading;
mod rooms;
mod visiting;

pub use reading::HistoryError;
pub(crate) use rooms::{Opener, Visit};

use crate::batch::{SessionId, Timestamp};
use crate::builder::HubBuilder;
use crate::connection_limiter::ConnectionLimiter;
use crate::dialect::Dialects;
use crate::event::{CloseReason, Direct};
use crate::feed::Feed;
use crate::journal::{DynJournal, JournalError};
use crate::key::Keys;
use crate::limits::Limits;
use crate::log_gate::LogGate;
use crate::name::{NameError, NameRules, Nick, RoomName};
use crate::policy::DynPolicy;
use crate::room::{PublishError, RoomContext};
use crate::roster::{NickError, Roster};
use crate::search_queue::SearchQueue;
use crate::session::{Session, Shared, TellError};
use crate::stats::{Counters, Stats};
use crate::sync::{Mutex, Turns};
use crate::text;
use rooms::Rooms;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// Rooms and sessions of one process; a cheap handle to clone.
///
/// Several hubs may live in one process. Dropping the last handle, session and member ends the hub's tasks.
///
/// # Examples
///
/// ```
/// use chat_core::{Event, Hub};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let alice = hub.session(Some("alice"))?;
/// let bob = hub.session(Some("bob"))?;
/// let mut listening = alice.join("lobby").await?;
/// let talking = bob.join("lobby").await?;
///
/// talking.say("hello").await?;
/// # listening.next().await; // bob joined
/// let Some(Event::Message(message)) = listening.next().await else { panic!("a message") };
/// assert_eq!((message.from().as_str(), message.text()), ("bob", "hello"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    limits: Arc<Limits>,
    names: NameRules,
    clock: fn() -> Timestamp,
    journal: Box<dyn DynJournal>,
    dialects: Dialects,
    lobby: RoomName,
    motd: Vec<String>,
    policy: Option<Arc<dyn DynPolicy>>,
    policy_log: LogGate,
    roster: Roster,
    rooms: Mutex<Rooms>,
    openings: Turns,
    /// Held while the keys of a room's log are recalled.
    recalls: tokio::sync::Mutex<()>,
    context: RoomContext,
    counters: Arc<Counters>,
    keys: Arc<Keys>,
    journal_log: LogGate,
    limiter: ConnectionLimiter,
    sessions: AtomicU64,
    guests: AtomicU64,
    draining: CancellationToken,
}

/// Why a session could not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// It can't have that nick.
    Nick(NickError),
    /// The hub is shutting down.
    Draining,
}

/// Why a session could not join a room.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The text is no room name.
    Name(NameError),
    /// The session is in that room already.
    AlreadyIn(RoomName),
    /// The session is in this many rooms already, and may be in no more.
    TooManyRooms(usize),
    /// The hub has this many rooms already, and opens no more.
    Full(usize),
    /// The session's address has opened this many rooms already, and may open no more while all have members.
    TooManyOpened(usize),
    /// The hub is shutting down.
    Draining,
    /// The session has ended.
    Ended,
    /// The room's log can't be opened.
    Journal(JournalError),
}

/// What [`HubBuilder`] hands over.
pub(crate) struct Parts {
    pub(crate) limits: Limits,
    pub(crate) names: NameRules,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) journal: Box<dyn DynJournal>,
    pub(crate) dialects: Dialects,
    pub(crate) lobby: RoomName,
    pub(crate) motd: Vec<String>,
    pub(crate) policy: Option<Arc<dyn DynPolicy>>,
    pub(crate) delivery_tasks: usize,
}

impl Hub {
    /// Creates a hub with these limits and the defaults of [`HubBuilder`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::builder().limits(limits).build()
    }

    /// Starts to choose what a hub is made of.
    #[must_use]
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        let Parts {
            limits,
            names,
            clock,
            journal,
            dialects,
            lobby,
            motd,
            policy,
            delivery_tasks,
        } = parts;
        let (limits, counters) = (Arc::new(limits), Arc::new(Counters::default()));
        let context = RoomContext {
            limits: Arc::clone(&limits),
            counters: Arc::clone(&counters),
            tasks: TaskTracker::new(),
            feed: Arc::new(Feed::new(&limits)),
            searches: Arc::new(SearchQueue::new()),
            announcing: Arc::new(Semaphore::new((delivery_tasks / 2).max(1))),
            shards_max: delivery_tasks,
        };
        let rooms = Rooms::new((names.fold)(lobby.as_str()));
        Self(Arc::new(Inner {
            keys: Arc::new(Keys::new(&limits)),
            limiter: ConnectionLimiter::new(Arc::clone(&limits)),
            limits,
            names,
            clock,
            journal,
            dialects,
            lobby,
            motd,
            policy,
            policy_log: LogGate::default(),
            roster: Roster::new(names),
            rooms: Mutex::new(rooms),
            openings: Turns::default(),
            recalls: tokio::sync::Mutex::default(),
            context,
            counters,
            journal_log: LogGate::default(),
            // The first number after that of nobody.
            sessions: AtomicU64::new(SessionId::NOBODY.0 + 1),
            guests: AtomicU64::new(1),
            draining: CancellationToken::new(),
        }))
    }

    /// Begins a session under this nick, or under a free guest nick (`guest-7`).
    ///
    /// # Errors
    ///
    /// The text is no name, the nick is taken or looks like one that is, or the hub is draining.
    pub fn session(&self, nick: Option<&str>) -> Result<Session, SessionError> {
        if self.is_draining() {
            return Err(SessionError::Draining);
        }
        match nick {
            Some(nick) => {
                let nick = self
                    .names()
                    .nick(nick)
                    .map_err(|error| SessionError::Nick(NickError::Name(error)))?;
                self.claim(&nick).map_err(SessionError::Nick)
            }
            None => loop {
                let number = self.0.guests.fetch_add(1, Ordering::Relaxed);
                let nick = self.names().nick(&format!("guest-{number}"));
                match nick
                    .map_err(NickError::Name)
                    .and_then(|nick| self.claim(&nick))
                {
                    Ok(session) => return Ok(session),
                    Err(NickError::Name(error)) => {
                        return Err(SessionError::Nick(NickError::Name(error)));
                    }
                    // Somebody took that very name: the next one.
                    Err(NickError::Taken(_) | NickError::LooksLike { .. } | NickError::Ended) => {}
                }
            },
        }
    }

    /// Sends a message to the session with this nick, in somebody's name, and returns the nick it has.
    ///
    /// # Errors
    ///
    /// See [`TellError`].
    pub fn tell(&self, from: Nick, to: &str, text: &str) -> Result<Nick, TellError> {
        let limit = self.limits().text_bytes.get();
        if text.len() > limit {
            return Err(TellError::TooLong(limit));
        }
        let clean = text::clean(text);
        if !text::is_visible(&clean) {
            return Err(TellError::Empty);
        }
        let session = self.roster().find(to);
        let session = session.ok_or_else(|| {
            TellError::NoSuchNick(text::clean(text::truncate(to, 64)).into_owned())
        })?;
        let direct = Direct {
            from,
            at: self.now(),
            text: clean.into(),
        };
        session.deliver(direct, self.limits().mailbox.get())?;
        self.counters().directs.add(1);
        Ok(session.nick())
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.roster().len()
    }

    /// What the hub has done so far, as plain numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters().snapshot();
        stats.connections = self.limiter().len() as u64;
        stats.sessions = self.sessions() as u64;
        stats.rooms = self.0.rooms.lock().by_key.len() as u64;
        stats
    }

    /// Begins to shut down: no new session, nothing more appended, and each session asked to end.
    ///
    /// Returns at once. Connections say goodbye to their peers and end; sessions in process see the end of
    /// [`Session::next_direct`] and are to be dropped.
    pub fn drain(&self) {
        self.0.draining.cancel();
        let rooms = self.all_rooms();
        // Sealed first, so that all members are given the same end; nudged last, so that those in process see it.
        rooms.iter().for_each(|room| room.seal());
        self.roster().sessions().iter().for_each(|session| {
            session.ask_to_close(CloseReason::Draining);
        });
        rooms.iter().for_each(|room| room.nudge());
    }

    /// Returns whether [`drain`](Self::drain) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// Waits until [`drain`](Self::drain) is called.
    pub(crate) fn draining(&self) -> WaitForCancellationFutureOwned {
        self.0.draining.clone().cancelled_owned()
    }

    /// What the hub allows.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How the hub reads and compares names.
    #[must_use]
    pub fn names(&self) -> &NameRules {
        &self.0.names
    }

    /// The room that newcomers over a wire are put in.
    #[must_use]
    pub fn lobby(&self) -> &RoomName {
        &self.0.lobby
    }

    /// What newcomers over a wire are told first, line by line.
    #[must_use]
    pub fn motd(&self) -> &[String] {
        &self.0.motd
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    pub(crate) fn fold(&self, name: &str) -> String {
        (self.0.names.fold)(name)
    }

    /// Reads the name of a room that a peer wants to enter; gives back the name and its key.
    pub(crate) fn room_name(&self, typed: &str) -> Result<(RoomName, String), NameError> {
        let name = self.names().room(typed)?;
        let key = self.fold(name.as_str());
        Ok((name, key))
    }

    /// The key of the room that a peer means; see [`NameRules::room_key`].
    pub(crate) fn room_key(&self, typed: &str) -> Option<String> {
        self.names().room_key(typed)
    }

    /// The text, if it is not too long.
    pub(crate) fn checked<'a>(&self, text: &'a str) -> Result<&'a str, PublishError> {
        let limit = self.limits().text_bytes.get();
        if text.len() > limit {
            Err(PublishError::TooLong(limit))
        } else {
            Ok(text)
        }
    }

    pub(crate) fn roster(&self) -> &Roster {
        &self.0.roster
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Logs that a journal failed, once a second at most: what it said is for the operator, not for the peer.
    pub(crate) fn log_journal_failure(&self, room: &str, error: &JournalError) {
        if self.0.journal_log.opens() {
            let cause = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::warn!(%error, cause, room.name = room, "a journal failed");
        }
    }

    pub(crate) fn policy(&self) -> Option<&Arc<dyn DynPolicy>> {
        self.0.policy.as_ref()
    }

    /// Logs that the policy panicked or did not answer in time, once a second at most.
    pub(crate) fn note_policy_failure(&self) {
        self.counters().policy_failures.add(1);
        if self.0.policy_log.opens() {
            let timeout = self.limits().policy_timeout;
            tracing::error!(
                ?timeout,
                "the policy panicked or did not answer in time: refused"
            );
        }
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.0.context.feed
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.0.keys
    }

    pub(crate) fn limiter(&self) -> &ConnectionLimiter {
        &self.0.limiter
    }

    pub(crate) fn dialects(&self) -> &Dialects {
        &self.0.dialects
    }

    fn claim(&self, nick: &Nick) -> Result<Session, NickError> {
        let id = SessionId(self.0.sessions.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared::new(id, nick.clone()));
        self.roster().claim(&shared, nick, None)?;
        let session = Session::new(shared, self.clone());
        if self.is_draining() {
            // It came too late for the drain to see it.
            session.shared().ask_to_close(CloseReason::Draining);
        }
        Ok(session)
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nick(error) => error.fmt(f),
            Self::Draining => f.write_str("the server is shutting down"),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Nick(error) => error.source(),
            Self::Draining => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) => f.write_str("that can't be a room's name"),
            Self::AlreadyIn(room) => write!(f, "you are in {room} already"),
            Self::TooManyRooms(limit) => {
                write!(f, "you are in {limit} rooms already: leave one first")
            }
            Self::Full(limit) => write!(
                f,
                "there are {limit} rooms already: join one of them (/rooms)"
            ),
            Self::TooManyOpened(limit) => write!(
                f,
                "your address has opened {limit} rooms already: leave one, or join one of them (/rooms)"
            ),
            Self::Draining => f.write_str("the server is shutting down"),
            Self::Ended => f.write_str("the session has ended"),
            Self::Journal(error) => {
                let aside = error.aside();
                write!(f, "the room's log can't be opened now{aside}, try again")
            }
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(source) => Some(source),
            Self::Journal(source) => Some(source),
            _ => None,
        }
    }
}
