//! Every limit, in one place.
//!
//! Invariant: no peer can make memory, tasks or time grow without bound, by what it sends or by sending nothing. Limits
//! that an operator may want to change are here. Limits of a part's inner workings are named constants beside the code.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// The longest plain line in bytes, without its terminator, unless [`Limits`](crate::Limits) sets another.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// What a hub and its connections allow. Start from [`Limits::default`] and change fields.
///
/// Keeps promise 4: everything has a limit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The longest input line in bytes, without its terminator (8 KiB). A longer line is skipped to its end, and its
    /// sender gets one error.
    pub line_bytes: NonZeroUsize,
    /// The longest text of one message or topic in bytes (4 KiB). A longer text is refused.
    pub text_bytes: NonZeroUsize,
    /// The longest reason of a quit in bytes (256). The rest is cut off.
    pub reason_bytes: usize,
    /// The most rooms that one session may be in (64). Joining one more is refused.
    pub rooms_per_session: NonZeroUsize,
    /// The most rooms besides the lobby (4,096), including empty rooms whose log is kept. Opening one more is refused.
    /// The lobby can always be joined.
    pub rooms: NonZeroUsize,
    /// The most rooms that the sessions of one address may have opened (256, including empty rooms whose log is kept);
    /// `None` removes the limit. To open one more, the hub forgets the address's room that has been empty longest; if
    /// none is empty, opening is refused. A room counts whether or not its opener is still in it and whether or not
    /// others are.
    pub rooms_per_address: Option<NonZeroUsize>,
    /// The most empty rooms that keep their log (256), besides the lobby. Beyond that the hub forgets one: of the rooms
    /// that the address with the most empty rooms has opened, the one that has been empty longest. So an address that
    /// opens and leaves many rooms loses its own rooms before an address that has fewer.
    pub empty_rooms: usize,
    /// The most members for which a room announces arrivals, departures and renames one by one (100).
    pub announce: usize,
    /// The most messages in a room's in-memory log (1,024). The oldest are dropped first.
    pub journal_messages: NonZeroUsize,
    /// The most bytes in a room's in-memory log (1 MiB; text, and a little for each message). The oldest messages are
    /// dropped first.
    pub journal_bytes: NonZeroUsize,
    /// The most bytes in the in-memory logs of all rooms together (256 MiB; text, and the memory of each message and
    /// each batch). Beyond that, the room that has been silent longest drops its oldest messages first. A member that
    /// reads on from them gets a gap. A log that holds less than an equal share keeps all it has.
    pub journal_total_bytes: NonZeroUsize,
    /// The most batches in a room's broadcast ring (128; rounded up to a power of two). A member that falls further
    /// behind reads what it missed from the journal.
    pub ring_batches: NonZeroUsize,
    /// The most bytes in one batch (64 KiB; text, and a little for each message). If one read brings more, the rest
    /// becomes another batch.
    pub batch_bytes: NonZeroUsize,
    /// The most bytes that wait for a member whose socket is full (256 KiB). Beyond that nothing more is queued: once
    /// the socket has taken these bytes, the member reads what it missed from the journal. The waiting bytes use at
    /// most twice as much memory, plus one round of a room.
    pub queue_bytes: NonZeroUsize,
    /// The most keys that are remembered for one client's token (1,024), so that a message that is repeated under its
    /// key is not said twice. The oldest are forgotten first.
    pub keys_per_nick: NonZeroUsize,
    /// The most keys that are remembered in all (65,536). The oldest are forgotten first.
    pub keys: NonZeroUsize,
    /// The longest time that a key is remembered (10 min).
    pub key_lifetime: Duration,
    /// The most direct messages that wait for a session (256). One more is refused, and its sender gets an error.
    pub mailbox: NonZeroUsize,
    /// How fast one connection may send; `None` removes the limit.
    pub rate: Option<Rate>,
    /// The most connections that one address may hold (256); `None` removes the limit.
    pub per_address: Option<NonZeroUsize>,
    /// How fast one address may open connections (256 at once, then 16 a second); `None` removes the limit. The default
    /// fits a class that starts at once, or all connections of an address that come back. One more connection gets an
    /// error line and is closed.
    pub connects_per_address: Option<Rate>,
    /// How fast all connections of one address may join rooms (1,024 at once, then 64 a second); `None` removes the
    /// limit. A join beyond it waits for up to 5 s; a join that would have to wait longer is refused. A join counts
    /// once more for every 8 members to whom it is announced.
    pub joins_per_address: Option<Rate>,
    /// How much the answers to all connections of one address may cost (4,096 at once, then 128 a second: 32 MiB, then
    /// 1 MiB or 0.6 s of searching a second); `None` removes the limit. 8 KiB of answers cost 1, and so do 5 ms of
    /// searching. Beyond the limit, requests for history, rooms and searches, authentications, and joins, are refused
    /// until the address has earned enough.
    pub answers_per_address: Option<Rate>,
    /// The most bytes that all connections of one address may send within a minute (4 MiB: three connections that
    /// always send the longest text at the default rate, or 2,000 people who type); `None` removes the limit. Beyond
    /// it, the server reads these connections more slowly.
    pub bytes_per_minute: Option<NonZeroUsize>,
    /// Whether connections over loopback are counted by address (exempt).
    pub loopback: Loopback,
    /// The most connections that [`serve`](crate::serve()) holds at once (10,000). One more gets an error line and is
    /// closed.
    pub connections: NonZeroUsize,
    /// How many messages of a room a newcomer is shown (20).
    pub history: usize,
    /// The most messages that one `/history` shows (1,000).
    pub history_max: usize,
    /// The most bytes that are read before the dialect is decided (1 KiB). If no dialect is recognised in them, it is
    /// plain.
    pub prefix_bytes: NonZeroUsize,
    /// The longest time that the first bytes of a connection may stay undecided, or a character incomplete (5 s).
    pub prefix_timeout: Duration,
    /// The longest time for the handshake of a protocol that takes over the byte stream, such as TLS (10 s). Then the
    /// connection is closed.
    pub handshake_timeout: Duration,
    /// The longest time in which a peer must identify itself, in a dialect that takes several lines for that (30 s).
    pub registration_timeout: Duration,
    /// The longest time that a program's line may stay unfinished (60 s). It also limits a line that a person types,
    /// once that is longer than any message. Then the line is dropped, and its sender gets an error. `None` removes the
    /// limit.
    pub line_timeout: Option<Duration>,
    /// How long a newcomer that sends nothing waits for its greeting (300 ms).
    pub greet_after: Duration,
    /// How much silence ends the first unterminated text of a connection, which switches the connection to chunk mode
    /// (200 ms).
    pub first_chunk_after: Duration,
    /// How much silence ends each further chunk (50 ms).
    pub chunk_after: Duration,
    /// How long a peer whose dialect has a heartbeat may be silent before the server pings it (25 s).
    pub ping_after: Duration,
    /// The longest time that such a peer may be silent in all (35 s). Then it is disconnected.
    pub dead_after: Duration,
    /// The longest time that a member's socket may accept no bytes while some wait for it (30 s). Then the member is
    /// disconnected.
    pub stall_timeout: Duration,
    /// The longest time that a policy may take for one question (2 s). Then the request is refused.
    pub policy_timeout: Duration,
    /// The most [authentications](crate::protocol::Command::Authenticate) that run at once (8). One more waits for its
    /// turn, for at most [`policy_timeout`](Self::policy_timeout); then it is refused.
    pub authentications: NonZeroUsize,
    /// How many authentications may fail in a row on one connection (5). Then the connection is closed with
    /// [`CloseReason::NotAuthenticated`](crate::CloseReason::NotAuthenticated). Each failure also costs the connection
    /// as much as 25 lines of its [`rate`](Self::rate), and the address as much as 100 lines of its
    /// [`answers_per_address`](Self::answers_per_address): by default about 40 attempts at once, then about one a
    /// second.
    pub failed_authentications: NonZeroU32,
    /// The longest time that shutting down may take (5 s). Members that have not received their goodbye by then are
    /// disconnected.
    pub drain: Duration,
}

/// The largest ring. All its slots are allocated at once, and far smaller rings work as well.
const RING_BATCHES_MAX: usize = 1 << 16;

impl Limits {
    /// Returns the capacity of a room's broadcast ring, in items.
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
            authentications: at_least_one(8),
            failed_authentications: match NonZeroU32::new(5) {
                Some(count) => count,
                None => NonZeroU32::MIN,
            },
            drain: Duration::from_secs(5),
        }
    }
}

/// Whether connections over loopback (127.0.0.0/8, ::1) are counted by address.
///
/// Wherever [`Limits`] mentions an address, an IPv6 network of 64 bits counts as one address. A connection without an
/// IP address (a Unix socket, a stream in memory) and a session in process have no address and are exempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// Loopback connections are exempt: the programs on this machine, or the clients of a proxy on it, are not one
    /// peer.
    Exempt,
    /// Loopback connections are counted as those of any other address, for tests.
    Counted,
}

/// How fast something may arrive: a token bucket. The default is the rate of one connection's lines.
///
/// The server does not read from a faster sender until that has tokens again. No input is lost, and other members are
/// not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may arrive at once (20 lines).
    pub burst: NonZeroU32,
    /// How many may follow each second (5 lines).
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
