//! Every limit, in one place.
//!
//! Invariant: nothing that a peer sends, or doesn't, makes memory, tasks or time grow without bound. What an operator
//! may want to change is here; what only the code's own workings need is a named constant beside them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The longest plain line in bytes, its terminator not counted, unless [`Limits`](crate::Limits) says otherwise.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// What a hub and its connections allow; start from [`Limits::default`] and change fields.
///
/// Keeps promise 4: everything has a limit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The longest input line in bytes, its terminator not counted (8 KiB). A longer one is skipped to its end and
    /// its sender told once.
    pub line_bytes: NonZeroUsize,
    /// The longest text of one message or topic in bytes (4 KiB). A longer one is refused.
    pub text_bytes: NonZeroUsize,
    /// The longest reason of a quit in bytes (256); the rest is cut off.
    pub reason_bytes: usize,
    /// How many rooms one session may be in (64). Joining one more is refused.
    pub rooms_per_session: NonZeroUsize,
    /// How many rooms there may be besides the lobby (4,096), empty ones whose log is kept included. Opening one more is
    /// refused; the lobby can always be entered.
    pub rooms: NonZeroUsize,
    /// How many of the rooms the sessions of one address may have opened (256, empty ones whose log is kept included);
    /// `None` lifts it. For one more, the address's room that has been empty longest is forgotten; if none is empty,
    /// it is refused. Who else is in a room, and whether its opener still is, makes no difference.
    pub rooms_per_address: Option<NonZeroUsize>,
    /// How many empty rooms keep their log (256), and the lobby besides. Beyond that one is forgotten: of the rooms that
    /// the same address has opened, where that is the address with the most empty rooms, the one that has been empty
    /// longest. So who speaks in many rooms and leaves them pushes out no more than an equal share of the others.
    pub empty_rooms: usize,
    /// Up to how many members a room's arrivals, departures and renames are announced one by one (100).
    pub announce: usize,
    /// How many messages a room's in-memory log holds (1,024). The oldest go first.
    pub journal_messages: NonZeroUsize,
    /// How many bytes a room's in-memory log holds (1 MiB; text, and a little for each message). The oldest messages go first.
    pub journal_bytes: NonZeroUsize,
    /// How many bytes the in-memory logs of all rooms hold together (256 MiB; text, and what each message and each batch
    /// takes besides). Beyond that the room that has been silent longest gives way first: its oldest messages go, which whoever
    /// reads on from them is told as a gap. A log that holds less than an equal share keeps what it has.
    pub journal_total_bytes: NonZeroUsize,
    /// How many batches wait in a room's broadcast ring (128; rounded up to a power of two). A member that falls
    /// further behind reads what it missed from the journal.
    pub ring_batches: NonZeroUsize,
    /// How many bytes one batch holds (64 KiB; text, and a little for each message); what one read brings beyond it becomes another batch.
    pub batch_bytes: NonZeroUsize,
    /// How many bytes wait for a member whose socket is full (256 KiB). Beyond that nothing more is queued: the
    /// member reads what it missed from the journal once its socket has taken what waits. What waits keeps at most twice
    /// as much in memory, and one round of a room.
    pub queue_bytes: NonZeroUsize,
    /// How many keys of one client's token are remembered (1,024), so that what was said under them is not said twice.
    /// The oldest go first.
    pub keys_per_nick: NonZeroUsize,
    /// How many keys are remembered in all (65,536). The oldest go first.
    pub keys: NonZeroUsize,
    /// How long a key is remembered at most (10 min).
    pub key_lifetime: Duration,
    /// How many direct messages wait for a session (256). One more is refused, and its sender told.
    pub mailbox: NonZeroUsize,
    /// How fast one connection may send; `None` lifts it.
    pub rate: Option<Rate>,
    /// How many connections one address may hold (256); `None` lifts it.
    pub per_address: Option<NonZeroUsize>,
    /// How fast one address may open connections (256 at once, then 16 a second: a class that starts at once, or all
    /// connections of an address that come back); `None` lifts it. One more is told so and closed.
    pub connects_per_address: Option<Rate>,
    /// How fast all connections of one address may join rooms (1,024 at once, then 64 a second); `None` lifts it. A
    /// join beyond it waits for up to 5 s; one that would wait longer is refused. A join counts once more for every 8
    /// members who are told of it.
    pub joins_per_address: Option<Rate>,
    /// How much the answers to all connections of one address may cost (4,096 at once, then 128 a second: 32 MiB, then
    /// 1 MiB or 0.6 s of searching a second); `None` lifts it. 8 KiB of an answer cost one, 5 ms of a search too. Beyond
    /// it their next requests for history, rooms and searches, and their joins, are refused until it is earned.
    pub answers_per_address: Option<Rate>,
    /// How many bytes all connections of one address may send within a minute (4 MiB: three connections that always
    /// send the longest text at the default rate, or 2,000 people who type); `None` lifts it. Beyond it they are read
    /// more slowly.
    pub bytes_per_minute: Option<NonZeroUsize>,
    /// Whether connections over loopback are counted by address (exempt).
    pub loopback: Loopback,
    /// How many connections [`serve`](crate::serve()) holds at once (10,000). One more is told so and closed.
    pub connections: NonZeroUsize,
    /// How many messages of a room a newcomer is shown (20).
    pub history: usize,
    /// The most messages that one `/history` shows (1,000).
    pub history_max: usize,
    /// How many bytes may come before the dialect is decided (1 KiB); then it is plain.
    pub prefix_bytes: NonZeroUsize,
    /// How long an undecided beginning, or half a character, may stay unfinished (5 s).
    pub prefix_timeout: Duration,
    /// How long the handshake of a protocol that takes over the byte stream may take (10 s), TLS's for one. Then the
    /// connection is closed.
    pub handshake_timeout: Duration,
    /// How long a peer may take to say who it is, in a dialect that takes several lines for that (30 s).
    pub registration_timeout: Duration,
    /// How long a program's line may stay unfinished (60 s), and how long a person's may that is longer than any
    /// message; then it is dropped and its sender told. `None` lifts it.
    pub line_timeout: Option<Duration>,
    /// How long a newcomer that sends nothing waits for its greeting (300 ms).
    pub greet_after: Duration,
    /// How much silence ends the first unterminated text of a connection, and makes its mode chunks (200 ms).
    pub first_chunk_after: Duration,
    /// How much silence ends each further chunk (50 ms).
    pub chunk_after: Duration,
    /// How long a peer whose dialect has a heartbeat may be silent before it is asked whether it is there (25 s).
    pub ping_after: Duration,
    /// How long it may be silent in all (35 s); then it is disconnected.
    pub dead_after: Duration,
    /// How long a member's socket may take nothing while something waits (30 s); then it is disconnected.
    pub stall_timeout: Duration,
    /// How long a policy may think about one question (2 s); then it has refused.
    pub policy_timeout: Duration,
    /// How long shutting down may take (5 s): members that have not taken their goodbye by then are cut.
    pub drain: Duration,
}

/// The largest ring: its slots are allocated at once, and far smaller ones are as good.
const RING_BATCHES_MAX: usize = 1 << 16;

impl Limits {
    /// How many items a broadcast ring holds.
    pub(crate) fn ring(&self) -> usize {
        self.ring_batches.get().min(RING_BATCHES_MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: at_least_one(LINE_BYTES_MAX),
            text_bytes: at_least_one(4 * 1024),
            reason_bytes: 256,
            rooms_per_session: at_least_one(64),
            rooms: at_least_one(4096),
            rooms_per_address: Some(at_least_one(256)),
            empty_rooms: 256,
            announce: 100,
            journal_messages: at_least_one(1024),
            journal_bytes: at_least_one(1024 * 1024),
            journal_total_bytes: at_least_one(256 * 1024 * 1024),
            ring_batches: at_least_one(128),
            batch_bytes: at_least_one(64 * 1024),
            queue_bytes: at_least_one(256 * 1024),
            keys_per_nick: at_least_one(1024),
            keys: at_least_one(65_536),
            key_lifetime: Duration::from_secs(10 * 60),
            mailbox: at_least_one(256),
            rate: Some(Rate::default()),
            per_address: Some(at_least_one(256)),
            connects_per_address: Some(rate(256, 16)),
            joins_per_address: Some(rate(1024, 64)),
            answers_per_address: Some(rate(4096, 128)),
            bytes_per_minute: Some(at_least_one(4 * 1024 * 1024)),
            loopback: Loopback::Exempt,
            connections: at_least_one(10_000),
            history: 20,
            history_max: 1000,
            prefix_bytes: at_least_one(1024),
            prefix_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            registration_timeout: Duration::from_secs(30),
            line_timeout: Some(Duration::from_secs(60)),
            greet_after: Duration::from_millis(300),
            first_chunk_after: Duration::from_millis(200),
            chunk_after: Duration::from_millis(50),
            ping_after: Duration::from_secs(25),
            dead_after: Duration::from_secs(35),
            stall_timeout: Duration::from_secs(30),
            policy_timeout: Duration::from_secs(2),
            drain: Duration::from_secs(5),
        }
    }
}

/// Whether connections over loopback (127.0.0.0/8, ::1) are counted by address.
///
/// Wherever [`Limits`] speaks of an address, an IPv6 network of 64 bits counts as one, and a connection without an IP
/// address (a Unix socket, a stream in memory) or a session in process has none and is exempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// They are exempt: who is on the machine, or behind a proxy on it, is not one peer.
    Exempt,
    /// They are counted as those of any other address, for tests.
    Counted,
}

/// How fast something may come: a token bucket. The default is that of the lines of one connection.
///
/// A faster sender is not read until it has tokens again: nothing is lost, and nobody else notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once (20 lines).
    pub burst: NonZeroU32,
    /// How many a second may follow (5 lines).
    pub per_second: NonZeroU32,
}

impl Default for Rate {
    fn default() -> Self {
        rate(20, 5)
    }
}

const fn rate(burst: u32, per_second: u32) -> Rate {
    let (Some(burst), Some(per_second)) = (NonZeroU32::new(burst), NonZeroU32::new(per_second))
    else {
        panic!("neither is zero");
    };
    Rate { burst, per_second }
}

const fn at_least_one(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}
